"""Sine and cosine by quarter waves."""

from amaranth.hdl import Const, Mux, Shape, Signal, Value

from sim.golden import SineSpec

from ..fixed import round_shift, saturate
from ..pipeline import Pipe
from .unary import Unary, emit, stages

__all__ = ["Sine"]


class Sine(Unary):
    """sin(x) or cos(x); latency 2 more than the table's, throughput 1 beat a clock.

    The stages: multiply by the constant 2/pi, whose two lowest integer bits are the quarter, and
    invert the fraction in every other quarter; the table of a quarter wave; sign, rounding and
    saturation. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: SineSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    m, bits = pipe.m, spec.quarter.input.bits
    product = code * Const(spec.factor)
    # Wide enough for the quarter, where the argument is so fine that it never leaves the first.
    width = max(product.shape().width, spec.drop + bits + 2)
    turn = Signal(Shape(width, product.shape().signed), name=f"{pipe.name}turn")
    quarter = Signal(2, name=f"{pipe.name}quarter")
    m.d.comb += [
        turn.eq(product),
        quarter.eq(turn[spec.drop + bits : spec.drop + bits + 2] + int(spec.cosine)),
    ]
    fraction = turn[spec.drop : spec.drop + bits] ^ quarter[0].replicate(bits)
    fraction, negative = pipe.cut(fraction=fraction, negative=quarter[1])
    start = pipe.stage
    value = emit(spec.quarter, pipe, fraction)
    negative = pipe.align(negative, start, "negative")
    signed = Mux(negative, -value, value)
    (result,) = pipe.cut(result=saturate(round_shift(signed, spec.shift), spec.output))
    return result
