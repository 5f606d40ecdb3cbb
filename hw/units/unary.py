"""What the units with one result a beat have in common: a stream in, a pipeline, a stream out."""

from functools import singledispatch

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.golden import UnarySpec

from ..pipeline import Pipe
from ..stream import beats

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
    spec : UnarySpec
        What the unit computes.

    Members
    -------
    i : In(stream.Signature(StructLayout))
        ``data``: argument code, format ``spec.input``. ``last``: end of the row.
    o : Out(stream.Signature(StructLayout))
        ``data``: result code, format ``spec.output``. ``last``: that of the argument.
    """

    def __init__(self, spec: UnarySpec) -> None:
        self.spec = spec
        super().__init__({"i": In(beats(spec.input)), "o": Out(beats(spec.output))})

    def elaborate(self, platform: object) -> Module:
        """Return the unit's logic."""
        m = Module()
        advance = ~self.o.valid | self.o.ready
        pipe = Pipe(m, advance)
        result = emit(self.spec, pipe, self.i.payload.data)
        m.d.comb += [
            self.i.ready.eq(advance),
            self.o.valid.eq(pipe.align(self.i.valid, 0, "valid", reset=True)),
            self.o.payload.data.eq(result),
            self.o.payload.last.eq(pipe.align(self.i.payload.last, 0, "last")),
        ]
        return m
