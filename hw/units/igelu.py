"""I-BERT's GELU: a polynomial of degree 2 for erf."""

from amaranth.hdl import Const, Mux, Value

from sim.golden import IGeluSpec

from ..fixed import fits, round_shift, saturate
from ..pipeline import Pipe
from .unary import Unary, stages

__all__ = ["IGelu"]


class IGelu(Unary):
    """i-GELU of I-BERT; latency 5, throughput 1 beat a clock.

    The stages: magnitude, limited, plus b; square; L + 1 with its sign; multiply by x; multiply by
    a, rounding and saturation. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: IGeluSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    x = code.shift_left(spec.guard)
    magnitude = fits(pipe.m, Mux(code < 0, -x, x), len(x), "magnitude").as_unsigned()
    rest = Mux(magnitude > -spec.b, 0, -spec.b - magnitude)
    base = fits(pipe.m, rest, (-spec.b).bit_length(), "base")
    start = pipe.stage
    (base,) = pipe.cut(base=base.as_unsigned())
    (square,) = pipe.cut(square=base * base)
    poly, at = square + spec.c, pipe.align(code, start, "code")
    signed = Mux(at < 0, -poly, Mux(at == 0, 0, poly))
    (bracket,) = pipe.cut(bracket=(signed >> spec.shift) + spec.erf_one)
    (product,) = pipe.cut(product=bracket * pipe.align(code, start, "code").shift_left(spec.guard))
    total = round_shift(product * Const(spec.factor), spec.right)
    (result,) = pipe.cut(result=saturate(total, spec.output))
    return result
