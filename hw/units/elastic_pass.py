"""A pass over rows whose statistic waits in the stages that compute it, in place of a queue."""

from abc import abstractmethod
from typing import NamedTuple

from amaranth.hdl import Module, Signal, Value

from ..pipeline import Pipe
from ..store import Store
from ..stream import lanes_of
from .queue import Queue
from .row_pass import Row, RowPass
from .skid import skid

__all__ = ["ElasticPass", "ElasticPipe"]


class ElasticPipe(Pipe):
    """A pipeline each of whose stages moves as soon as the next one is free, or becomes so.

    Parameters
    ----------
    m : Module
        Where the registers go.
    name : str
        Prefix of the registers' names.
    store : Store
        What the stages' tables hold.
    valid : Value
        Something enters the first stage, once `advance` of it is high.
    stage : int
        Number of the first stage.
    """

    def __init__(self, m: Module, name: str, store: Store, valid: Value, stage: int) -> None:
        self._first = stage
        #: Of each stage, whether it moves; that of the last is the user's to assign.
        self.advances = [Signal(name=f"{name}s{stage}_advance")]
        super().__init__(m, self.advances[0], name, store)
        self.stage = stage
        #: Whether something is in the last stage.
        self.valid = valid

    def _register(self, name: str, value: Value, stage: int, *, reset: bool = False) -> Signal:
        self.advance = self.advances[stage - 1 - self._first]
        register = super()._register(name, value, stage, reset=reset)
        self.advance = self.advances[-1]
        return register

    def cut(self, **values: Value) -> list[Signal]:
        """End the stage: see `Pipe.cut`."""
        registers = super().cut(**values)
        self._open()
        return registers

    def step(self) -> None:
        """End the stage by a register that stands elsewhere: see `Pipe.step`."""
        super().step()
        self._open()

    def _open(self) -> None:
        """Give the stage that has begun its valid bit, and let the one before it move."""
        start = f"{self.name}s{self.stage}"
        valid, after = Signal(name=f"{start}_valid"), Signal(name=f"{start}_advance")
        with self.m.If(self.advance):
            self.m.d.sync += valid.eq(self.valid)
        self.m.d.comb += self.advance.eq(~valid | after)
        self.advances.append(after)
        self.valid, self.advance = valid, after


class _Held(NamedTuple):
    """A row's statistic, as from a queue: its value, whether it is there, and that it is taken."""

    r_data: Value
    r_rdy: Value
    r_en: Signal


class ElasticPass(RowPass):
    """A `RowPass` for small units: no queue of statistics, and the smallest row buffer.

    Elements pass most of the stages up to the accumulator beside them before they enter the buffer;
    these stages move together. Each later stage of the statistic moves when the next one is free,
    the last one when nothing is in the skid buffer behind it; there the statistic of the row that
    leaves stays, and in the stages those of the rows that wait. So as many complete rows are held
    as there are such stages, one more behind them and one in the accumulator; the input waits for
    no other reason but a stalled output. At the output there is a skid buffer, too: so no path of a
    stall leads through the unit.

    With S stages of statistic and A stages of apply, the first result of a row is offered ``S + A``
    clocks after its last beat was accepted. Throughput, parameters and members: `RowPass`.
    """

    spare = True

    @abstractmethod
    def accumulated(self, row: Row) -> Value:
        """Add the stages up to and with the accumulator, which ends them, to ``row.pipe``."""

    @abstractmethod
    def concluded(self, pipe: Pipe, total: Value) -> Value:
        """Add the stages from the accumulator's value to the statistic; return that."""

    def statistic(self, row: Row) -> Value:
        """Add all stages of the statistic; return its value for the whole row."""
        return self.concluded(row.pipe, self.accumulated(row))

    def elaborate(self, platform: object) -> Module:
        """Return the pass's logic."""
        m = Module()
        layout = self.i.payload.shape()
        moves, first = Signal(name="front_advance"), Signal(init=1)
        valid = self.i.valid
        entering = Row(
            Pipe(m, moves, "front_", self.store), lanes_of(self.i.payload),
            self._present(self.i.payload), valid, first, self.i.payload.last,
        )  # fmt: skip
        with m.If(moves & valid):
            m.d.sync += first.eq(self.i.payload.last)
        total = self.accumulated(entering)
        front = entering.pipe
        # A row of which the last beat is in the accumulator goes on as one value.
        ended = front.align(valid, 0, "valid", reset=True)
        complete = ended & front.align(self.i.payload.last, 0, "last")
        fits, go = Signal(), Signal(name="row_goes")
        back = ElasticPipe(m, "back_", self.store, go, front.stage)
        into = back.advance
        statistic = Value.cast(self.concluded(back, total))
        # Leaving.
        stored, present = Signal(layout), Signal(name="stored_present")
        ahead = Signal(name="before_advance")
        leaving = self._leaving(m, ahead, stored, present)
        elements = self.before(leaving)
        # The beats of a row of one beat and its statistic meet after the same number of clocks; two
        # of them are the buffer's.
        shared = min(front.stage, max(back.stage - leaving.pipe.stage - 2, 0))
        beside = Pipe(m, moves, "beside_", self.store)
        for _ in range(shared):
            beside.step()
        arrives = beside.align(valid, 0, "valid", reset=True)
        depth = self.spec.beats(self.spec.length) + back.stage - shared - leaving.pipe.stage
        m.submodules.buffer = buffer = Queue(width=layout.size, depth=depth)
        m.d.comb += [
            fits.eq(~arrives | buffer.w_rdy),
            go.eq(complete & fits),
            moves.eq((~complete | into) & fits),
            self.i.ready.eq(moves),
            buffer.w_data.eq(beside.align(Value.cast(self.i.payload), 0, "beat")),
            buffer.w_en.eq(arrives & (~complete | into)),
            stored.eq(buffer.r_data), present.eq(buffer.r_rdy), buffer.r_en.eq(ahead),
        ]  # fmt: skip
        taken = Signal(name="statistic_taken")
        value, known, on = skid(m, "statistic", statistic, back.valid, taken)
        m.d.comb += back.advance.eq(on)
        held = _Held(value, known, taken)
        self._leave(m, leaving, stored, elements, held, statistic.shape())
        return m
