"""Minimised table: a logic network in place of a ROM."""

import itertools

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from nnlut_train.logic import AND, MUX, XOR
from sim.golden import MinimisedSpec

from ..fixed import shape_of
from ..pipeline import Pipe
from .unary import Unary, stages

__all__ = ["Minimised"]


class Minimised(Unary):
    """A unary function as a logic network; latency 1, throughput 1 beat a clock.

    The nodes of a network that was made for LUTs are modules with the attribute ``keep_hierarchy``:
    each is one LUT. Synthesis would otherwise look for LUTs of its own, by the delay first, and
    take up to twice as many. Of gates, only the structure is given. Parameters and members:
    `Unary`.
    """


class _Lut(wiring.Component):
    """A node, combinational; `hw.verilog.kept` finds it by the name of the submodule."""

    def __init__(self, truth: int, inputs: int) -> None:
        self._truth = truth
        super().__init__({"i": In(inputs), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.eq(_mux(self._truth, list(self.i), len(self.i) > 6)[1])
        return m


def _mux(truth: int, inputs: list[Value], plain: bool = False) -> tuple[float, Value]:
    """Return a truth table as multiplexers, with equal halves joined, and what that costs.

    If `plain`, they stay multiplexers: synthesis then finds more of a slice's (MUXF7, MUXF8).
    """
    if not inputs:
        return 0.0, Const(truth, 1)
    width = 1 << (len(inputs) - 1)
    zero, one = truth & ((1 << width) - 1), truth >> width
    if zero == one:
        return _mux(zero, inputs[:-1], plain)
    every, last = (1 << width) - 1, inputs[-1]
    if not plain and {zero, one} == {0, every}:
        return 0.0, last if one else ~last
    (price, low), (other, high) = (_mux(half, inputs[:-1], plain) for half in (zero, one))
    if plain:
        return 0.0, Mux(last, high, low)
    if zero == 0:
        return other + AND, last & high
    if one == 0:
        return price + AND, ~last & low
    if zero == every:
        return other + AND, ~last | high
    if one == every:
        return price + AND, last | low
    if zero ^ one == every:
        return price + XOR, last ^ low
    return price + other + MUX, Mux(last, high, low)


def _gates(truth: int, inputs: list[Value]) -> Value:
    """Return a truth table as the cheapest of `_mux` in any order of the inputs."""
    found = []
    for order in itertools.permutations(range(len(inputs))):
        moved = 0
        for row in range(1 << len(inputs)):
            at = sum((row >> place & 1) << one for place, one in enumerate(order))
            moved |= (truth >> at & 1) << row
        found.append(_mux(moved, [inputs[one] for one in order]))
    return min(found, key=lambda pair: pair[0])[1]


@stages.register
def _(spec: MinimisedSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stage to `pipe` and return the result."""
    table = spec.table
    signals: list[Value] = [code[bit] for bit in range(len(code))]
    signals += [Const(0, 1), Const(1, 1)]
    for number, node in enumerate(table.network):
        inputs = [signals[one] for one in node.inputs]
        name = f"{pipe.name}node{pipe.stage}_{number}"
        signal = Signal(1, name=name)
        if spec.lut:
            lut = _Lut(node.truth, len(inputs))
            pipe.m.submodules[f"lut{spec.lut}_{name}"] = lut
            pipe.m.d.comb += [lut.i.eq(Cat(*inputs)), signal.eq(lut.o)]
        else:
            pipe.m.d.comb += signal.eq(_gates(node.truth, inputs))
        signals.append(signal)
    word = Cat(*(signals[one] for one in table.outputs))
    result = word.as_signed() if shape_of(table.output).signed else word.as_unsigned()
    (register,) = pipe.cut(result=result)
    return register
