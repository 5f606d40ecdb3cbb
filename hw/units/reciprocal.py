"""Reciprocal, square root and its reciprocal by leading-zero normalisation."""

from amaranth.hdl import Value

from sim.golden import ReciprocalSpec

from ..fixed import fits
from ..pipeline import Pipe
from .normalise import normalise
from .scale import scale
from .unary import Unary, emit, stages

__all__ = ["Reciprocal"]


class Reciprocal(Unary):
    """1/x, 1/sqrt(x) or sqrt(x); latency 3 more than the table's, throughput 1 beat a clock.

    The stages: count leading zeros; normalise; the table of the mantissa; shift, rounding and
    saturation, of which ``spec.after`` may make several. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: ReciprocalSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    normal, steps, zero = normalise(pipe, code, spec.width, spec.step, spec.shifts)
    start = pipe.stage
    low = spec.window_low
    (mantissa,) = pipe.cut(mantissa=normal[low : low + spec.mantissa.input.bits])
    value = emit(spec.mantissa, pipe, mantissa)
    steps = pipe.align(steps, start, "steps")
    zero = pipe.align(zero, start, "zero")
    right = fits(pipe.m, spec.right_of(steps), spec.right_max.bit_length(), "right", where=~zero)
    return scale(
        pipe, spec.parts["after"], spec.after, value << spec.left, right, (zero, spec.at_zero),
        spec.output,
    )  # fmt: skip
