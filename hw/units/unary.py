"""What the units with one result a beat have in common: a stream in, a pipeline, a stream out."""

from functools import singledispatch

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.golden import LanesSpec, UnarySpec

from ..pipeline import Pipe
from ..store import CONSTANTS, Store
from ..stream import input_beats, lanes_of, output_beats

__all__ = ["Unary", "emit", "stages"]


@singledispatch
def stages(spec: UnarySpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages of `spec` to `pipe` and return the result; each unit registers its own."""
    raise TypeError(f"no unit has the stages of a {type(spec).__name__}")


def emit(spec: UnarySpec, pipe: Pipe, code: Value) -> Value:
    """Add the logic of `spec` to `pipe` and return its result, ``spec.latency`` stages later.

    Raises
    ------
    AssertionError
        If the logic has another number of stages than the specification states.
    """
    start = pipe.stage
    result = stages(spec, pipe, code)
    count = pipe.stage - start
    assert count == spec.latency, f"{spec.kind} has {count} stages, not {spec.latency}"
    return result


class Unary(wiring.Component):
    """A unary function as a pipeline between two streams.

    Latency is ``spec.latency`` clocks, throughput one beat a clock. A stalled output stops all
    stages at once; they hold their contents.

    Parameters
    ----------
    spec : UnarySpec or LanesSpec
        What the unit computes.

    Members
    -------
    i : In(stream.Signature(StructLayout))
        ``data``: argument code, format ``spec.input``; with several lanes an array of them, and
        ``keep``. ``last``: end of the row.
    o : Out(stream.Signature(StructLayout))
        ``data``: result code, format ``spec.output``, likewise. ``keep``, ``last``: those of the
        argument; lanes that are not kept have any result.
    """

    #: Where the tables are.
    store: Store = CONSTANTS

    def __init__(self, spec: UnarySpec | LanesSpec) -> None:
        self.spec = spec
        super().__init__({"i": In(input_beats(spec)), "o": Out(output_beats(spec))})

    @property
    def capacity(self) -> int:
        """Most beats that are inside at a time: one a stage."""
        return self.spec.latency_of(1)

    def elaborate(self, platform: object) -> Module:
        """Return the unit's logic."""
        m = Module()
        advance = ~self.o.valid | self.o.ready
        pipe = Pipe(m, advance, store=self.store)
        unit = self.spec.unit if isinstance(self.spec, LanesSpec) else self.spec
        if unit.user_bits:
            pipe.user = self.i.payload.user
        results = pipe.each(lambda lane, code: emit(unit, lane, code), lanes_of(self.i.payload))
        m.d.comb += [
            self.i.ready.eq(advance),
            self.o.valid.eq(pipe.align(self.i.valid, 0, "valid", reset=True)),
            self.o.payload.last.eq(pipe.align(self.i.payload.last, 0, "last")),
        ]
        for code, result in zip(lanes_of(self.o.payload), results, strict=True):
            m.d.comb += code.eq(result)
        if self.spec.lanes > 1:
            m.d.comb += self.o.payload.keep.eq(pipe.align(self.i.payload.keep, 0, "keep"))
        return m
