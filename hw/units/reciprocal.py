"""Reciprocal and reciprocal square root by leading-zero normalisation."""

from amaranth.hdl import Const, Module, Mux, Signal, Value

from sim.golden import ReciprocalSpec

from ..fixed import round_shift, saturate, shape_of
from ..pipeline import Pipe
from .unary import Unary, emit, stages

__all__ = ["Reciprocal"]


def _leading_zero_steps(m: Module, code: Value, spec: ReciprocalSpec, name: str) -> Signal:
    """Return how many whole steps of zeros lead `code`, at most ``spec.shifts``."""
    steps = Signal(range(spec.shifts + 1), init=spec.shifts, name=name)
    # The group of `step` bits nearest to the top that has a one decides: it is assigned last.
    for count in reversed(range(spec.shifts)):
        top = spec.width - count * spec.step
        with m.If(code[top - spec.step : top].any()):
            m.d.comb += steps.eq(count)
    return steps


class Reciprocal(Unary):
    """1/x or 1/sqrt(x); latency 3 more than the table's, throughput 1 beat a clock.

    The stages: count leading zeros; normalise; the table of the mantissa; shift, rounding and
    saturation. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: ReciprocalSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    wide = Signal(spec.width, name=f"{pipe.name}wide")
    pipe.m.d.comb += wide.eq(code)
    steps = _leading_zero_steps(pipe.m, wide, spec, f"{pipe.name}steps")
    code, steps, zero = pipe.cut(code=wide, steps=steps, zero=~wide.any())
    start = pipe.stage
    normal = (code << (steps * spec.step))[: spec.width]
    low = spec.window_low
    (mantissa,) = pipe.cut(mantissa=normal[low : low + spec.mantissa.input.bits])
    value = emit(spec.mantissa, pipe, mantissa)
    steps = pipe.align(steps, start, "steps")
    zero = pipe.align(zero, start, "zero")
    right = (spec.right - steps)[: spec.right.bit_length()]
    shifted = saturate(round_shift(value << spec.left, right), spec.output)
    (result,) = pipe.cut(result=Mux(zero, Const(spec.output.max, shape_of(spec.output)),
                                    shifted))  # fmt: skip
    return result
