"""What the parts of a unit of lines cost: storage, comparators, multiply-add, registers.

A flattened netlist has no parts: logic is shared and optimised across them. So each part is
synthesised on its own, with its inputs free, beside the whole unit:

storage
    The registers of the tables and what writes them, with the bus; 0 where tables are constants.
select
    The comparators, and the multiplexers that give the segment's slope and intercept.
arithmetic
    Multiplication, addition, rounding and saturation (of floating point: both operations), without
    registers: the unit's own stages for a table of one segment.
pipeline
    The flip-flops that are not storage: of the stages, and of the handshake.
other
    What is left of the whole unit: the logic of the handshake and of the gate before a commit, less
    what optimisation across the parts saves. Where tables are constants it is negative, because
    constants make comparators and multiplexers smaller than free inputs do.

They add up to ``total``, the flattened unit with its AXI ports; how far the parts on their own are
from it is `other`.
"""

from collections.abc import Callable
from dataclasses import replace

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from nnlut_train.errors import UsageError
from nnlut_train.float_table import FloatTable
from nnlut_train.tables import DirectTable, PwlTable
from sim.golden import FloatPwlSpec, PwlSpec, Spec, WritableSpec
from sim.golden.register_map import register_map

from . import yosys
from .cost import AsicCost
from .fixed import shape_of
from .floats import order_key
from .lite import LiteSlave, lite
from .pipeline import Pipe
from .store import Constants, Lines
from .units.fold import magnitude
from .units.pwl import comparator_tree
from .units.registers import Registers
from .units.unary import emit
from .verilog import to_verilog

__all__ = ["PARTS", "components"]

#: Names of the parts, in the order of the result.
PARTS = ("storage", "select", "arithmetic", "pipeline", "other", "total")


class _Wires(Pipe):
    """A pipeline whose registers are wires: what is left is its logic."""

    def _register(self, name: str, value: Value, stage: int, *, reset: bool = False) -> Signal:
        # A signal, not the expression: that would be emitted again wherever it is used.
        wire = Signal(value.shape(), name=f"{self.name}s{stage}_{name}")
        self.m.d.comb += wire.eq(value)
        return wire


class _OneLine(Constants):
    """One slope and one intercept, given from outside."""

    def __init__(self, slope: Value, intercept: Value) -> None:
        self._line = [slope], [intercept]

    def lines(self, table: PwlTable) -> Lines:
        """Return no breakpoint, and the one line."""
        return [], *self._line


class _Storage(wiring.Component):
    """The registers of a writable unit, with their bus, and nothing that reads them."""

    def __init__(self, spec: WritableSpec) -> None:
        self.spec, self.map = spec, register_map(spec)
        super().__init__({
            "bus": In(lite(self.map.address_bits)), "commit": In(1), "pending": Out(1),
            "active": Out(sum(array.count * array.format.bits
                              for block in self.map.blocks for array in block.arrays)),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """Return registers and bus."""
        m, store = Module(), Registers(self.spec)
        m.submodules.slave = slave = LiteSlave(self.map.address_bits)
        wiring.connect(m, wiring.flipped(self.bus), slave.bus)
        store.connect(m, slave)
        held = [part for block in self.map.blocks for part in store.lines(block.table)]
        m.d.comb += [
            store.commit.eq(self.commit), self.pending.eq(store.pending),
            self.active.eq(Cat(held)),
        ]  # fmt: skip
        return m


class _Select(wiring.Component):
    """The comparator tree of a table with all its numbers given from outside."""

    def __init__(self, table: PwlTable) -> None:
        self.table = table
        width = table.slope.bits + table.intercept.bits
        super().__init__({
            "code": In(shape_of(table.input)),
            **{f"p{i}": In(shape_of(table.argument)) for i in range(table.entries - 1)},
            **{f"line{i}": In(width) for i in range(table.entries)},
            "selected": Out(width),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """Return the tree."""
        m, table = Module(), self.table
        code = (
            order_key(self.code, table.float_format)
            if isinstance(table, FloatTable)
            else magnitude(self.code, table.fold)
        )
        m.d.comb += self.selected.eq(
            comparator_tree(
                code,
                [getattr(self, f"p{i}") for i in range(table.entries - 1)],
                [getattr(self, f"line{i}") for i in range(table.entries)],
            )
        )
        return m


class _Arithmetic(wiring.Component):
    """The stages of a unit with one line, given from outside, without their registers."""

    def __init__(self, spec: PwlSpec | FloatPwlSpec) -> None:
        table = spec.table
        self.spec = replace(spec, table=replace(
            table, breakpoints=(), slopes=table.slopes[:1], intercepts=table.intercepts[:1]
        ))  # fmt: skip
        super().__init__({
            "code": In(shape_of(table.input)), "slope": In(shape_of(table.slope)),
            "intercept": In(shape_of(table.intercept)), "result": Out(shape_of(table.output)),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """Return the logic of all stages."""
        m = Module()
        pipe = _Wires(m, Const(1, 1), store=_OneLine(self.slope, self.intercept))
        m.d.comb += self.result.eq(emit(self.spec, pipe, self.code))
        return m


def _text(part: wiring.Component, name: str) -> str:
    from amaranth.back import verilog

    with yosys.environment():
        return verilog.convert(part, name=name, emit_src=False, strip_internal_attrs=True)


def components(
    spec: Spec, cost: Callable[[str, str], AsicCost], whole: AsicCost | None = None
) -> dict[str, float]:
    """Return the area of each of `PARTS` of a unit of lines.

    Parameters
    ----------
    spec : Spec
        A `PwlSpec` or a `FloatPwlSpec`, or a `WritableSpec` of one.
    cost : callable
        From Verilog and the name of its top module to the cost in gates, such as `hw.synth`'s for
        one library and one clock; all parts are synthesised in the same way.
    whole : AsicCost, optional
        That of the unit, where it is known.

    Returns
    -------
    dict
        Areas in the unit of `cost`.

    Raises
    ------
    UsageError
        If it is another kind of unit.
    StepError
        If the synthesis fails.
    """
    bare = spec.bare
    if not isinstance(bare, PwlSpec | FloatPwlSpec):
        raise UsageError(f"components are those of a unit of lines, not of a {bare.kind}")
    table = bare.table
    assert not isinstance(table, DirectTable)
    if whole is None:
        whole = cost(to_verilog(spec, "unit", "the whole unit"), "unit")
    storage, stored = 0.0, 0
    if isinstance(spec, WritableSpec):
        registers = cost(_text(_Storage(spec), "storage"), "storage")
        storage, stored = registers.area, registers.flip_flops
    each = whole.sequential_area / whole.flip_flops
    parts = {
        "storage": storage,
        "select": cost(_text(_Select(table), "select"), "select").area,
        "arithmetic": cost(_text(_Arithmetic(bare), "arithmetic"), "arithmetic").area,
        "pipeline": (whole.flip_flops - stored) * each,
    }
    other = whole.area - sum(parts.values())
    return {**parts, "other": other, "total": whole.area}
