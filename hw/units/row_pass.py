"""One pass over rows, of which every unit is built whose results depend on a whole row.

The elements of a row enter a buffer while a statistic of them (a maximum, a sum) is accumulated;
when the row has ended, its elements leave the buffer and meet the statistic, while the next row
enters.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amaranth.hdl import Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from sim.golden import RowSpec

from ..pipeline import Pipe
from ..store import CONSTANTS, Store
from ..stream import beats, lanes_of

__all__ = ["ROW_SLOTS", "Row", "RowPass"]

#: Rows whose statistic is held at the same time.
ROW_SLOTS = 8


def _tree(combine: Callable[[Value, Value], Value], values: Sequence[Value]) -> Value:
    """Combine `values` two by two, in a tree."""
    while len(values) > 1:
        values = [combine(*values[at : at + 2]) if at + 1 < len(values) else values[at]
                  for at in range(0, len(values), 2)]  # fmt: skip
    return values[0]


@dataclass
class Row:
    """The beats of rows, as they pass a pipeline.

    Parameters
    ----------
    pipe : Pipe
        The pipeline; all other values belong to its stage 0.
    elements : list of Value
        One a lane.
    present : list of Value
        One bit a lane: 0 where there is no element, or a masked one.
    valid, first, last : Value
        A beat is there; it is the row's first; it is the row's last.
    """

    pipe: Pipe
    elements: list[Value]
    present: list[Value]
    valid: Value
    first: Value
    last: Value

    def here(self) -> list[Value]:
        """Return `present` at the pipeline's present stage."""
        return [self.pipe.align(bit, 0, f"present{lane}") for lane, bit in enumerate(self.present)]

    def reduce(
        self, combine: Callable[[Value, Value], Value], values: Sequence[Value], name: str
    ) -> Value:
        """Combine the lanes' values in a tree; with several lanes, that ends a stage.

        Parameters
        ----------
        combine : callable
            Associative; from two values to one.
        values : sequence of Value
            One a lane, all of the pipeline's present stage.
        name : str
            Name of the register.

        Returns
        -------
        Value
            Of the stage that is the present one then.
        """
        if len(values) == 1:
            return values[0]
        (result,) = self.pipe.cut(**{name: _tree(combine, values)})
        return result

    def total(self, values: Sequence[Value], name: str) -> Value:
        """Add the lanes' values; with several lanes, that ends a stage.

        Parameters
        ----------
        values : sequence of Value
            One a lane, all of the pipeline's present stage.
        name : str
            Name of the register.

        Returns
        -------
        Value
            The sum, wide enough for every one.
        """
        return self.reduce(lambda a, b: a + b, values, name)

    def totals(self, **values: Sequence[Value]) -> list[Value]:
        """Add several kinds of values over the lanes; with several lanes, that ends one stage.

        Parameters
        ----------
        **values : sequence of Value
            One a lane, all of the pipeline's present stage, by the names of the registers.

        Returns
        -------
        list of Value
            The sums, in the order of `values`, each wide enough for every one.
        """
        if len(self.elements) == 1:
            return [each[0] for each in values.values()]
        sums = {name: _tree(lambda a, b: a + b, each) for name, each in values.items()}
        return self.pipe.cut(**sums)

    def accumulate(
        self, shape: Shape, step: Callable[[Value], Value], initial: int | Value, name: str
    ) -> Value:
        """End the stage with a register that runs over the beats of a row.

        Parameters
        ----------
        shape : Shape
            Its shape.
        step : callable
            What it becomes with the present beat, from what it was: `initial` before the first.
        initial : int or Value
            What it is before the row's first beat.
        name : str
            Its name.

        Returns
        -------
        Value
            The register; of the whole row in the clock in which `last` is in this stage.
        """
        pipe = self.pipe
        first = pipe.align(self.first, 0, "first")
        valid = pipe.align(self.valid, 0, "valid", reset=True)
        register = Signal(shape, name=f"{pipe.name}{name}", reset_less=True)
        previous = Signal(shape, name=f"{pipe.name}{name}_before")
        pipe.m.d.comb += previous.eq(Mux(first, initial, register))
        with pipe.m.If(pipe.advance & valid):
            pipe.m.d.sync += register.eq(step(previous))
        pipe.step()
        return register


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
        leaving = Row(
            Pipe(m, ahead, "before_", self.store), lanes_of(stored), self._present(stored), present,
            Const(0, 1), stored.last,
        )  # fmt: skip
        elements = self.before(leaving)
        # One row fills the buffer while its statistic is computed; the next one is entering then,
        # and some beats have left already.
        m.submodules.buffer = buffer = SyncFIFOBuffered(
            width=layout.size,
            depth=self.spec.beats(self.spec.length) + max(pipe.stage - leaving.pipe.stage, 0) + 2,
        )
        m.submodules.statistics = statistics = SyncFIFOBuffered(
            width=len(statistic), depth=ROW_SLOTS
        )
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

    def _leave(
        self, m: Module, early: Row, stored: data.View, elements: list[Value],
        statistics: SyncFIFOBuffered, shape: Shape,
    ) -> None:  # fmt: skip
        """Let `elements`, which `early` has ended with, meet their row's statistic."""
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
            advance.eq(~self.o.valid | self.o.ready),
            self.o.valid.eq(late.pipe.align(offered, 0, "valid", reset=True)),
            self.o.payload.last.eq(late.pipe.align(last, 0, "last")),
        ]
        for target, result in zip(lanes_of(self.o.payload), results, strict=True):
            m.d.comb += target.eq(result)
        for name in ("keep", "mask"):
            if name in self.o.payload.shape().members:
                value = early.pipe.align(stored[name], 0, name)
                m.d.comb += self.o.payload[name].eq(late.pipe.align(value, 0, name))
