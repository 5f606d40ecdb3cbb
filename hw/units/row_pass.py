"""One pass over rows, of which every unit is built whose results depend on a whole row.

The elements of a row enter a buffer while a statistic of them (a maximum, a sum) is accumulated;
when the row has ended, its elements leave the buffer and meet the statistic, while the next row
enters.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from amaranth.hdl import Const, Module, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from sim.golden import RowSpec

from ..pipeline import Pipe
from ..store import CONSTANTS, Store
from ..stream import beats, lanes_of
from .row import Row
from .skid import skid

__all__ = ["ROW_SLOTS", "Row", "RowPass"]

#: Rows whose statistic is held at the same time.
ROW_SLOTS = 8


class RowPass(wiring.Component):
    """One pass over rows; subclasses say what the statistic is, and what becomes of the elements.

    Throughput is one beat a clock, sustained; the input waits only while the output is stalled, or
    `ROW_SLOTS` complete rows are in the buffer. Rows of one length leave without a gap.
    With S stages of statistic and A stages of apply, the first result of a row is offered
    ``S + A + 2`` clocks after its last beat was accepted (stages before the statistic is needed
    run while it is computed).

    Parameters
    ----------
    spec : RowSpec
        For lanes, masks, and the length of the longest row.
    element, result : Shape
        Of what enters, and of what leaves.

    Members
    -------
    i : In(stream.Signature(StructLayout))
        Rows of elements; see `hw.stream.beat_layout`. No row is longer than ``spec.length``.
    o : Out(stream.Signature(StructLayout))
        Rows of results, a beat for each beat; ``keep``, ``mask`` and ``last`` are those of it.
    """

    #: Where the tables are; the unit's.
    store: Store = CONSTANTS
    #: Whether it is a plain pipeline, for rows of at most one beat: S + A clocks, and no buffer.
    plain = False
    #: What its queues are: of the same ports and clocks as this.
    queue: Callable[..., Any] = SyncFIFOBuffered
    #: Whether there is one more place, behind the last stage: a skid buffer.
    spare = False

    def __init__(self, spec: RowSpec, element: Shape, result: Shape) -> None:
        self.spec = spec
        super().__init__({
            "i": In(beats(element, spec.lanes, mask=spec.mask)),
            "o": Out(beats(result, spec.lanes, mask=spec.mask)),
        })  # fmt: skip

    @abstractmethod
    def statistic(self, row: Row) -> Value:
        """Add the statistic's stages to ``row.pipe``; return its value for the whole row."""

    def before(self, row: Row) -> list[Value]:
        """Add stages that elements pass before the statistic is needed; none by default."""
        return row.elements

    @abstractmethod
    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Add the stages of elements and their row's statistic; return the results of the lanes.

        ``row.elements`` are what `before` returned.
        """

    def _present(self, payload: Value) -> list[Value]:
        lanes, spec = range(self.spec.lanes), self.spec
        keep = list(payload.keep) if spec.lanes > 1 else [Const(1, 1) for _ in lanes]
        return [keep[k] & ~payload.mask[k] if spec.mask else keep[k] for k in lanes]

    def elaborate(self, platform: object) -> Module:
        """Return the pass's logic."""
        m = Module()
        if self.plain:
            self._plain(m)
            return m
        layout = self.i.payload.shape()
        # Entering.
        moves = Signal()
        first = Signal(init=1)
        advance = Signal(name="statistic_advance")
        entering = Row(
            Pipe(m, advance, "statistic_", self.store), lanes_of(self.i.payload),
            self._present(self.i.payload), moves, first, self.i.payload.last,
        )  # fmt: skip
        statistic = Value.cast(self.statistic(entering))
        pipe = entering.pipe
        # Leaving: elements wait for their row's statistic at the end of a pipeline of their own.
        stored, present = Signal(layout), Signal(name="stored_present")
        ahead = Signal(name="before_advance")
        leaving = self._leaving(m, ahead, stored, present)
        elements = self.before(leaving)
        # One row fills the buffer while its statistic is computed; the next one is entering then,
        # and some beats have left already.
        m.submodules.buffer = buffer = self.queue(
            width=layout.size,
            depth=self.spec.beats(self.spec.length) + max(pipe.stage - leaving.pipe.stage, 0) + 2,
        )
        m.submodules.statistics = statistics = self.queue(width=len(statistic), depth=ROW_SLOTS)
        complete = Signal()
        m.d.comb += [
            complete.eq(pipe.align(moves, 0, "valid", reset=True)
                        & pipe.align(self.i.payload.last, 0, "last")),
            advance.eq(~complete | statistics.w_rdy),
            statistics.w_data.eq(statistic),
            statistics.w_en.eq(complete),
            moves.eq(self.i.valid & buffer.w_rdy),
            self.i.ready.eq(advance & buffer.w_rdy),
            buffer.w_data.eq(self.i.payload),
            buffer.w_en.eq(self.i.valid & advance),
        ]  # fmt: skip
        with m.If(moves & advance):
            m.d.sync += first.eq(self.i.payload.last)
        m.d.comb += [
            stored.eq(buffer.r_data), present.eq(buffer.r_rdy), buffer.r_en.eq(ahead),
        ]  # fmt: skip
        self._leave(m, leaving, stored, elements, statistics, statistic.shape())
        return m

    def _plain(self, m: Module) -> None:
        """Add the logic of a pass over rows of one beat: one pipeline, and nothing waits in it."""
        advance = Signal(name="advance")
        payload = self.i.payload
        lanes, present = lanes_of(payload), self._present(payload)
        # What both compute of the elements, the synthesis makes once.
        entering, early = (
            Row(Pipe(m, advance, name, self.store), lanes, present, self.i.valid, Const(1, 1),
                Const(1, 1))
            for name in ("statistic_", "before_")
        )  # fmt: skip
        statistic = self.statistic(entering)
        elements = self.before(early)
        began = early.pipe.stage
        for _ in range(began, entering.pipe.stage):
            early.pipe.step()
        elements = [early.pipe.align(e, began, f"e{k}") for k, e in enumerate(elements)]
        valid = early.pipe.align(self.i.valid, 0, "valid", reset=True)
        late = Row(Pipe(m, advance, "apply_", self.store), elements, early.here(), valid,
                   Const(0, 1), Const(1, 1))  # fmt: skip
        results = self.apply(late, statistic)
        for target, result in zip(lanes_of(self.o.payload), results, strict=True):
            m.d.comb += target.eq(result)
        for name in ("keep", "mask"):
            if name in payload.shape().members:
                value = early.pipe.align(payload[name], 0, name)
                m.d.comb += self.o.payload[name].eq(late.pipe.align(value, 0, name))
        m.d.comb += [
            self.o.payload.last.eq(1),
            self.o.valid.eq(late.pipe.align(valid, 0, "valid", reset=True)),
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
        ]

    def _leaving(self, m: Module, advance: Value, stored: data.View, present: Value) -> Row:
        """Return the row of the beats `stored`, each there if `present`."""
        return Row(
            Pipe(m, advance, "before_", self.store), lanes_of(stored), self._present(stored),
            present, Const(0, 1), stored.last,
        )  # fmt: skip

    def _leave(
        self, m: Module, early: Row, stored: data.View, elements: list[Value],
        statistics: Any, shape: Shape,
    ) -> None:  # fmt: skip
        """Let `elements`, which `early` has ended with, meet their row's statistic.

        `statistics` is the queue that it comes from: a FIFO, or what has a FIFO's read ports.
        """
        waiting = early.pipe.align(early.valid, 0, "valid", reset=True)
        last = early.pipe.align(early.last, 0, "last")
        offered, moves, advance = Signal(), Signal(name="leaves"), Signal(name="apply_advance")
        statistic = Signal(shape, name="row_statistic")
        late = Row(Pipe(m, advance, "apply_", self.store), elements, early.here(), offered,
                   Const(0, 1), last)  # fmt: skip
        results = self.apply(late, statistic)
        m.d.comb += [
            statistic.eq(statistics.r_data),
            offered.eq(waiting & statistics.r_rdy),
            moves.eq(offered & advance),
            early.pipe.advance.eq(~waiting | moves),
            statistics.r_en.eq(moves & last),
        ]
        # With `spare`, a skid buffer is behind the last stage.
        payload = Signal.like(self.o.payload, name="leaving") if self.spare else self.o.payload
        there = Signal() if self.spare else self.o.valid
        if not self.spare:
            m.d.comb += advance.eq(~self.o.valid | self.o.ready)
        m.d.comb += [
            there.eq(late.pipe.align(offered, 0, "valid", reset=True)),
            payload.last.eq(late.pipe.align(last, 0, "last")),
        ]
        for target, result in zip(lanes_of(payload), results, strict=True):
            m.d.comb += target.eq(result)
        for name in ("keep", "mask"):
            if name in payload.shape().members:
                value = early.pipe.align(stored[name], 0, name)
                m.d.comb += payload[name].eq(late.pipe.align(value, 0, name))
        if self.spare:
            value, valid, free = skid(m, "result", payload.as_value(), there, self.o.ready)
            m.d.comb += [self.o.payload.eq(value), self.o.valid.eq(valid), advance.eq(free)]
