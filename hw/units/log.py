"""Natural logarithm by leading-zero normalisation."""

from amaranth.hdl import Const, Mux, Value

from sim.golden import LogSpec

from ..fixed import round_shift, saturate, select, shape_of
from ..pipeline import Pipe
from .normalise import normalise
from .unary import Unary, emit, stages

__all__ = ["Log"]


class Log(Unary):
    """ln(x) as ln(m) + k ln 2; latency 3 more than the table's, throughput 1 beat a clock.

    The stages: count leading zeros; normalise; the table of the mantissa; addition of k ln 2,
    rounding and saturation. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: LogSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    normal, zeros, zero = normalise(pipe, code, spec.input.bits, 1, spec.shifts)
    start = pipe.stage
    low = spec.window_low
    (mantissa,) = pipe.cut(mantissa=normal[low : low + spec.mantissa.input.bits])
    value = emit(spec.mantissa, pipe, mantissa)
    # The number of zeros is delayed, not k ln 2: it has fewer bits.
    zeros = pipe.align(zeros, start, "zeros")
    zero = pipe.align(zero, start, "zero")
    # A multiplication would take a DSP block, and more gates.
    term = select(zeros, [Const(spec.term_of(count)) for count in range(spec.shifts + 1)])
    shifted = saturate(round_shift((value << spec.left) + term, spec.right), spec.output)
    (result,) = pipe.cut(result=Mux(zero, Const(spec.output.min, shape_of(spec.output)),
                                    shifted))  # fmt: skip
    return result
