"""Softmax of rows of any length, one element a clock."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from sim.golden import SoftmaxSpec

from ..fixed import round_shift, saturate, shape_of
from ..pipeline import Pipe
from ..stream import beat_layout, beats
from .unary import emit

__all__ = ["Softmax"]

#: Rows whose maximum, or whose reciprocal, is held at the same time.
ROW_SLOTS = 8


class Softmax(wiring.Component):
    """Softmax in three passes over a row, each pass at work on another row.

    1. *Load*: logits enter the first row buffer, while their maximum is found.
    2. *Sum*: the row moves to the second buffer as distances from its maximum, while their
       exponentials are summed and the reciprocal of the sum is taken.
    3. *Scale*: the distances leave the second buffer; their exponentials are multiplied by the
       reciprocal.

    The two buffers are a ping-pong pair in a chain: row n + 1 loads and row n is summed while row
    n - 1 leaves. They hold logits and distances, which are narrow, and not exponentials; that
    costs a second exp table and saves more than half of the storage. As both are queues, short
    rows follow each other without a gap, too.

    Latency is ``spec.latency_of(length)`` clocks. Throughput is one element a clock, sustained;
    only more than ``ROW_SLOTS - 2`` complete rows behind one long row make the input wait.

    A row longer than ``spec.length`` is cut there: the elements so far are a row, with ``last``
    on its end, and the next element begins another. `o_overlong` tells.

    Parameters
    ----------
    spec : SoftmaxSpec
        Formats, tables, length of the longest row.

    Members
    -------
    i : In(stream.Signature(StructLayout))
        ``data``: logit, format ``spec.input``. ``last``: end of the row.
    o : Out(stream.Signature(StructLayout))
        ``data``: probability, format ``spec.output``. ``last``: end of the row.
    o_overlong : Out(1)
        Goes high when a row was cut, and stays so until reset.
    """

    def __init__(self, spec: SoftmaxSpec) -> None:
        self.spec = spec
        super().__init__(
            {"i": In(beats(spec.input)), "o": Out(beats(spec.output)), "o_overlong": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        """Return the unit's logic."""
        m = Module()
        spec = self.spec
        logit_beat, distance_beat = beat_layout(spec.input), beat_layout(spec.exp.input)
        m.submodules.logits = logits = SyncFIFOBuffered(
            width=logit_beat.size, depth=spec.length + 2
        )
        m.submodules.maxima = maxima = SyncFIFOBuffered(width=spec.input.bits, depth=ROW_SLOTS)
        # The second buffer also bridges the time in which the row's reciprocal is computed.
        m.submodules.distances = distances = SyncFIFOBuffered(
            width=distance_beat.size, depth=spec.length + spec.reciprocal.latency + 3
        )
        m.submodules.reciprocals = reciprocals = SyncFIFOBuffered(
            width=spec.reciprocal.output.bits, depth=ROW_SLOTS
        )
        self._load(m, logits, maxima)
        self._sum(m, logits, maxima, distances, reciprocals)
        self._scale(m, distances, reciprocals)
        return m

    def _load(self, m: Module, logits: SyncFIFOBuffered, maxima: SyncFIFOBuffered) -> None:
        spec, beat = self.spec, self.i.payload
        stored = beat_layout(spec.input)(logits.w_data)
        first = Signal(init=1)
        position = Signal(range(spec.length))
        largest = Signal(shape_of(spec.input), reset_less=True)
        new_largest = Signal(shape_of(spec.input))
        last = Signal()
        full_length = position == spec.length - 1
        m.d.comb += [
            last.eq(beat.last | full_length),
            new_largest.eq(Mux(first | (beat.data > largest), beat.data, largest)),
            self.i.ready.eq(logits.w_rdy & maxima.w_rdy),
            stored.data.eq(beat.data),
            stored.last.eq(last),
            logits.w_en.eq(self.i.valid & maxima.w_rdy),
            maxima.w_data.eq(new_largest),
            maxima.w_en.eq(self.i.valid & logits.w_rdy & last),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                largest.eq(new_largest),
                first.eq(last),
                position.eq(Mux(last, 0, position + 1)),
            ]
            with m.If(full_length & ~beat.last):
                m.d.sync += self.o_overlong.eq(1)

    def _sum(
        self, m: Module, logits: SyncFIFOBuffered, maxima: SyncFIFOBuffered,
        distances: SyncFIFOBuffered, reciprocals: SyncFIFOBuffered,
    ) -> None:  # fmt: skip
        spec = self.spec
        logit = beat_layout(spec.input)(logits.r_data)
        stored = beat_layout(spec.exp.input)(distances.w_data)
        advance = Signal(name="sum_advance")
        present = logits.r_rdy & maxima.r_rdy
        moves = Signal(name="sum_moves")
        distance = Signal(shape_of(spec.exp.input))
        m.d.comb += [
            moves.eq(present & distances.w_rdy & advance),
            distance.eq(maxima.r_data.as_signed() - logit.data),
            logits.r_en.eq(moves),
            maxima.r_en.eq(moves & logit.last),
            stored.data.eq(distance),
            stored.last.eq(logit.last),
            distances.w_en.eq(moves),
        ]
        pipe = Pipe(m, advance, "sum_")
        exponential = emit(spec.exp, pipe, distance)
        valid = pipe.align(moves, 0, "valid", reset=True)
        last = pipe.align(logit.last, 0, "last")

        first = Signal(init=1, name="sum_first")
        total = Signal(shape_of(spec.reciprocal.input), reset_less=True)
        with m.If(advance & valid):
            m.d.sync += [total.eq(Mux(first, 0, total) + exponential), first.eq(last)]
        summed = pipe.stage
        pipe.step()
        reciprocal = emit(spec.reciprocal, pipe, total)
        done = pipe.align(valid & last, summed, "done", reset=True)
        m.d.comb += [
            advance.eq(~done | reciprocals.w_rdy),
            reciprocals.w_data.eq(reciprocal),
            reciprocals.w_en.eq(done),
        ]

    def _scale(self, m: Module, distances: SyncFIFOBuffered, reciprocals: SyncFIFOBuffered) -> None:
        spec = self.spec
        distance = beat_layout(spec.exp.input)(distances.r_data)
        # Exponentials wait at the end of their own pipeline for the row's reciprocal.
        exp_advance = Signal()
        m.d.comb += distances.r_en.eq(exp_advance)
        exp_pipe = Pipe(m, exp_advance, "scale_exp_")
        exponential = emit(spec.exp, exp_pipe, distance.data)
        waiting = exp_pipe.align(distances.r_rdy, 0, "valid", reset=True)
        last = exp_pipe.align(distance.last, 0, "last")

        advance = ~self.o.valid | self.o.ready
        moves = Signal(name="scale_moves")
        m.d.comb += [
            moves.eq(waiting & reciprocals.r_rdy & advance),
            exp_advance.eq(~waiting | moves),
            reciprocals.r_en.eq(moves & last),
        ]
        pipe = Pipe(m, advance, "scale_")
        (product,) = pipe.cut(product=exponential * reciprocals.r_data)
        (result,) = pipe.cut(result=saturate(round_shift(product, spec.shift), spec.output))
        m.d.comb += [
            self.o.valid.eq(pipe.align(moves, 0, "valid", reset=True)),
            self.o.payload.data.eq(result),
            self.o.payload.last.eq(pipe.align(last, 0, "last")),
        ]
