"""Exponential by range reduction to base 2."""

from amaranth.hdl import Const, Mux, Shape, Signal, Value

from sim.golden import ExpSpec

from ..fixed import round_shift, saturate, shape_of
from ..pipeline import Pipe
from .unary import Unary, emit, stages

__all__ = ["Exp"]


class Exp(Unary):
    """exp(x) as 2**i * 2**f; latency 2 more than the table's, throughput 1 beat a clock.

    The stages: multiply by the constant log2(e), whose integer part becomes a shift; the table of
    2**f; shift, rounding and saturation. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: ExpSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    m, bits = pipe.m, spec.fraction.input.bits
    product = code * Const(spec.factor)
    # Wide enough for the fraction, where the argument is so fine that it never leaves it.
    width = max(product.shape().width, spec.drop + bits + 1)
    power = Signal(Shape(width, product.shape().signed), name=f"{pipe.name}power")
    m.d.comb += power.eq(product)
    exponent = power >> (spec.drop + bits)
    # How far below the largest exponent: the right shift of the mantissa.
    right = spec.right_of(exponent)
    overflow = exponent >= spec.integer_bits
    limited = Mux(right > spec.right_max, spec.right_max, right)
    (fraction, shift, over) = pipe.cut(
        fraction=power[spec.drop : spec.drop + bits],
        shift=limited[: spec.right_max.bit_length()],
        over=overflow,
    )
    start = pipe.stage
    mantissa = emit(spec.fraction, pipe, fraction)
    shift = pipe.align(shift, start, "shift")
    over = pipe.align(over, start, "over")
    shifted = saturate(round_shift(mantissa << spec.left, shift), spec.output)
    (result,) = pipe.cut(result=Mux(over, Const(spec.output.max, shape_of(spec.output)),
                                    shifted))  # fmt: skip
    return result
