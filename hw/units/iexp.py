"""I-BERT's exponential: range reduction by ln 2, and a polynomial of degree 2."""

from operator import mul

from amaranth.hdl import Const, Mux, Signal, Value

from sim.golden import IExpSpec

from ..fixed import divide_by, fits, round_shift, saturate, shape_of
from ..pipeline import Pipe
from .unary import Unary, stages

__all__ = ["IExp"]


class IExp(Unary):
    """i-exp of I-BERT; latency 5, throughput 1 beat a clock.

    The stages: z, a division by the constant ln 2 done as a multiplication; p + b; square, and add
    c; multiply by a; shift, rounding and saturation. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: IExpSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    m, width = pipe.m, spec.dividend_bits
    # n = -x - z_min ln2 is at least 0, and floor(n / ln2) = z - z_min.
    n = Signal(width, name=f"{pipe.name}n")
    argument = code.shift_left(spec.guard)
    above = (argument if spec.negated else -argument) - spec.z_min * spec.ln2
    fits(m, above, width, "dividend")
    m.d.comb += n.eq(above)
    count, n = pipe.cut(count=divide_by(n, spec.ln2, mul), n=n)
    r = fits(m, n - count * spec.ln2, spec.ln2.bit_length(), "rest")
    z = count + spec.z_min
    right = spec.right_of(z)
    limited = Mux(right > spec.right_max, spec.right_max, right)
    base, right, over = pipe.cut(
        base=fits(m, spec.b - r, spec.b.bit_length(), "base"),
        right=fits(m, limited, spec.right_max.bit_length(), "right", where=z >= -spec.integer_bits),
        over=z < -spec.integer_bits,
    )
    start = pipe.stage
    (poly,) = pipe.cut(poly=base * base + spec.c)
    product = fits(m, poly * Const(spec.factor), spec.product_bits, "product")
    (product,) = pipe.cut(product=product)
    right, over = pipe.align(right, start, "right"), pipe.align(over, start, "over")
    result = saturate(round_shift(product, right), spec.output)
    (result,) = pipe.cut(result=Mux(over, Const(spec.output.max, shape_of(spec.output)), result))
    return result
