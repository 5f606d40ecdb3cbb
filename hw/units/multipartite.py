"""Multipartite unit: initial values and offsets looked up side by side, added, saturated."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Value
from amaranth.lib.memory import Memory, MemoryData

from nnlut_train.multipartite import offset_bits, stored_bits
from sim.golden import MultipartiteSpec

from ..fixed import clip, saturate
from ..pipeline import Pipe
from .fold import magnitude, rest, unfold
from .steps import Stepped
from .unary import Unary, stages

__all__ = ["Multipartite"]


class Multipartite(Unary):
    """A unary function as tables that are added; throughput 1 beat a clock.

    The steps: magnitude; tables; complement of the offsets and sum; unfolding, the guard bits
    dropped, saturation. ``spec.steps.ends`` has where registers are. No multiplier. Latency is
    ``spec.stages``, 1 by default. Parameters and members: `Unary`.
    """


class _Roms:
    """The tables of one stage; a register behind them may become one of a block RAM's."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe, self.count = pipe, 0

    def __call__(self, values: Sequence[int], width: int, address: Value) -> Value:
        """Return what a table of unsigned values has at `address`."""
        if len(set(values)) == 1:
            return Const(values[0], width)
        rom = Memory(MemoryData(shape=width, depth=len(values), init=list(values)))
        self.pipe.m.submodules[f"{self.pipe.name}rom{self.pipe.stage}_{self.count}"] = rom
        self.count += 1
        port = rom.read_port(domain="comb")
        self.pipe.m.d.comb += port.addr.eq(address)
        return port.data


@stages.register
def _(spec: MultipartiteSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    return _Tables(spec, pipe, code).build()


class _Tables(Stepped):
    """The steps of one unit: `sim.golden.indexed_steps.MultipartiteSteps` has what they are."""

    def __init__(self, spec: MultipartiteSpec, pipe: Pipe, code: Value) -> None:
        super().__init__(pipe, spec.steps, spec.stages, spec.stages > 1, {"argument": code})
        self.table = spec.table
        self.start, self.left = pipe.stage, rest(code, spec.table.fold)
        #: Of each table, whether its signs are mixed, so that it is in offset binary.
        self.mixed: list[bool] = []

    def _magnitude(self, *_: object) -> None:
        limit = clip if self.named else saturate
        self.live["argument"] = magnitude(self.live["argument"], self.table.fold, limit)

    def _table(self, *_: object) -> None:
        """Look up; side by side."""
        table, bits, argument = self.table, self.table.argument.bits, self.live["argument"]
        if argument.shape().signed:  # counted from the smallest code
            argument = Cat(argument[:-1], ~argument[-1])
        rom = _Roms(self.pipe)
        looked_up, uppers, bias = [], [], 0
        parts = zip(table.tables, table.positions, table.pieces, table.heads, strict=True)
        for values, at, piece, head in parts:
            upper = argument[at + piece - 1]
            row = argument[at : at + piece - 1] ^ (~upper).replicate(piece - 1)
            size, negative = offset_bits(values), min(values) < 0
            mixed = negative and max(values) >= 0
            # A sign that all offsets share is not stored.
            if mixed:
                values = [value + (1 << (size - 1)) for value in values]
            elif negative:
                values = [~value for value in values]
            looked_up.append(rom(values, size, Cat(row, argument[bits - head :])))
            self.mixed.append(mixed)
            uppers.append(upper ^ (negative and not mixed))
            bias += 1 << (size - mixed)
        width = stored_bits(table.reach)
        initial = [value - bias & (1 << width) - 1 for value in table.initial]
        first = rom(initial, width, argument[bits - table.head :])
        self.live = {f"offset{at}": value for at, value in enumerate(looked_up)}
        self.live |= {f"upper{at}": value for at, value in enumerate(uppers)} | {"initial": first}

    def _sum(self, *_: object) -> None:
        *values, first = self.live.values()
        terms = []
        looked_up, uppers = values[: len(self.mixed)], values[len(self.mixed) :]
        for value, upper, mixed in zip(looked_up, uppers, self.mixed, strict=True):
            value = value ^ (~upper).replicate(len(value))
            # In offset binary no sign has to be extended: the initial values have the offset taken
            # off.
            terms.append(value if mixed else Cat(value, upper))
        # The narrow ones first: narrow adders.
        terms = [*sorted(terms, key=len), first]
        total = sum(terms[1:], terms[0])[: stored_bits(self.table.reach)]
        self.live = {"sum": total.as_signed() if self.table.reach[0] < 0 else total}

    def _unfold(self, *_: object) -> None:
        table, frac = self.table, self.table.output.frac + self.table.kept
        whole = unfold(
            self.pipe.align(self.left, self.start, "rest"), self.live["sum"] >> table.shift,
            table.fold, frac, frac - table.input.frac,
        )  # fmt: skip
        limit = clip if self.named else saturate
        self.live = {"result": limit(whole >> table.kept, table.output)}
