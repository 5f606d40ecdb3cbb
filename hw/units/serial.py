"""Lanes that take turns: several elements a beat, fewer multipliers, more clocks."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.golden import SerialSpec

from ..pipeline import Pipe
from ..store import CONSTANTS, Store
from ..stream import input_beats, lanes_of, output_beats
from .unary import emit

__all__ = ["Serial"]


class Serial(wiring.Component):
    """A unary function whose lanes share copies of its unit.

    A beat waits at the input, where a stream keeps it as it is, until its last group has entered
    the pipeline; it is accepted with that. Results wait in registers for the last group's, which
    leaves them with the others. Latency, from there, is that of the unit; throughput one beat in
    ``spec.interval`` clocks.

    Parameters
    ----------
    spec : SerialSpec
        What the unit computes.

    Members
    -------
    i : In(stream.Signature(StructLayout))
        ``data``: an array of argument codes, format ``spec.input``. ``keep``: a bit a lane. With a
        shared unit ``user``: the function. ``last``: end of the row.
    o : Out(stream.Signature(StructLayout))
        ``data``: result codes, format ``spec.output``. ``keep``, ``last``: those of the argument;
        lanes that are not kept have any result.
    o_between : Out(1)
        No beat is at the input in part.
    """

    #: Where the tables are.
    store: Store = CONSTANTS

    def __init__(self, spec: SerialSpec) -> None:
        self.spec = spec
        super().__init__({
            "i": In(input_beats(spec)), "o": Out(output_beats(spec)), "o_between": Out(1),
        })  # fmt: skip

    @property
    def capacity(self) -> int:
        """Most beats that are inside at a time: each has a stage of its own, at least."""
        return self.spec.latency_of(1)

    def elaborate(self, platform: object) -> Module:
        """Return the unit's logic."""
        m, spec = Module(), self.spec
        arriving, leaving = self.i.payload, self.o.payload
        number, advance, final = Signal(range(spec.interval)), Signal(), Signal()
        pipe = Pipe(m, advance, store=self.store)
        if spec.user_bits:
            pipe.user = arriving.user
        lanes = lanes_of(arriving)
        groups = [Cat(lanes[at : at + spec.group]) for at in range(0, spec.lanes, spec.group)]
        width = spec.input.bits
        group = Array(groups)[number]
        codes = [group[at * width :][:width] for at in range(spec.group)]
        if spec.input.signed:
            codes = [code.as_signed() for code in codes]
        whole = number == spec.interval - 1
        results = Cat(pipe.each(lambda lane, code: emit(spec.unit, lane, code), codes))
        valid = pipe.align(self.i.valid, 0, "valid", reset=True)
        m.d.comb += [
            final.eq(pipe.align(whole, 0, "whole")),
            advance.eq(~(valid & final) | self.o.ready),
            self.i.ready.eq(advance & whole),
            self.o_between.eq(number == 0),
            self.o.valid.eq(valid & final),
            leaving.last.eq(pipe.align(arriving.last, 0, "last")),
            leaving.keep.eq(pipe.align(arriving.keep, 0, "keep")),
        ]
        with m.If(self.i.valid & advance):
            m.d.sync += number.eq(Mux(whole, 0, number + 1))
        # The groups before the last move up by one with each that follows.
        waiting = Signal(len(results) * (spec.interval - 1), reset_less=True)
        beat = Cat(waiting, results)
        with m.If(valid & advance):
            m.d.sync += waiting.eq(beat[len(results) :])
        m.d.comb += Cat(lanes_of(leaving)).eq(beat)
        return m
