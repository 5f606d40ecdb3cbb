"""A unit whose tables are in registers behind AXI4-Lite."""

from collections.abc import Callable

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.golden import WritableSpec
from sim.golden.register_map import register_map

from ..lite import LiteSlave, lite
from ..store import Store
from ..stream import input_beats, output_beats
from .registers import Registers

__all__ = ["Writable"]


class Writable(wiring.Component):
    """Any unit, with a gate before it that lets new tables take effect between two rows.

    What is written goes to a shadow of the tables. A commit closes the gate before the next row
    (for units whose results do not depend on the row: before the next beat); when the unit is
    empty, all tables take the shadow's contents in one clock, and the gate opens. docs/writable.md
    has the registers.

    Latency and throughput are the unit's. A commit costs the time in which the unit runs empty, and
    2 clocks.

    Parameters
    ----------
    spec : WritableSpec
        The unit, with the tables that it has after a reset.
    build : callable
        Returns the component of ``spec.unit`` whose tables are in the given store.

    Members
    -------
    i, o : stream
        Those of the unit.
    bus : In(lite(address_bits))
        The registers.
    o_overlong, o_holes : Out(1); i_partial : In(1)
        Those of a row unit. ``CONTROL.clear`` clears the flags, too.
    """

    def __init__(self, spec: WritableSpec, build: Callable[[Store], wiring.Component]) -> None:
        self.spec, self._build = spec, build
        self.registers = register_map(spec)
        self._partial = bool(spec.longest) and spec.lanes > 1
        super().__init__({
            "i": In(input_beats(spec)), "o": Out(output_beats(spec)),
            "bus": In(lite(self.registers.address_bits)),
            **{f"o_{flag}": Out(1) for flag in self.registers.flags},
            **({"i_partial": In(1)} if self._partial else {}),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """Return unit, registers and gate."""
        m = Module()
        store = Registers(self.spec)
        m.submodules.unit = unit = self._build(store)
        m.submodules.slave = slave = LiteSlave(self.registers.address_bits)
        wiring.connect(m, wiring.flipped(self.bus), slave.bus)
        store.connect(m, slave)
        for flag, shown in zip(self.registers.flags, store.flags, strict=True):
            source = getattr(unit, f"o_{flag}")
            m.d.comb += [shown.eq(source), getattr(self, f"o_{flag}").eq(source)]
        if self.registers.flags:
            m.d.comb += unit.i_clear.eq(store.clear)
        if self._partial:
            m.d.comb += unit.i_partial.eq(self.i_partial)
        self._gate(m, unit, store)
        return m

    def _gate(self, m: Module, unit: wiring.Component, store: Registers) -> None:
        spec, arriving, leaving = self.spec, self.i, self.o
        inside = Signal(range(unit.capacity + 1))
        # A row ends where its sender says so, or where the unit cuts it; a beat that takes several
        # clocks, with the last of them.
        between = unit.o_between if spec.longest or spec.interval > 1 else Const(1, 1)
        closed = store.pending & between
        m.d.comb += [
            unit.i.payload.eq(arriving.payload),
            unit.i.valid.eq(arriving.valid & ~closed),
            arriving.ready.eq(unit.i.ready & ~closed),
            leaving.payload.eq(unit.o.payload),
            leaving.valid.eq(unit.o.valid),
            unit.o.ready.eq(leaving.ready),
            store.commit.eq(store.pending & between & (inside == 0)),
        ]
        enters, leaves = unit.i.valid & unit.i.ready, unit.o.valid & unit.o.ready
        m.d.sync += inside.eq(inside + enters - leaves)
