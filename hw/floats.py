"""IEEE-754 multiplication and addition as stages of a pipeline.

Codes are bit patterns (`nnlut_train.floats`); rounding is to nearest, ties to even; subnormal
numbers are exact, and what is no number has the code `FloatFormat.nan`. `sim.golden.floats` is the
same arithmetic in integers.
"""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from nnlut_train.floats import FloatFormat

from .fixed import fits
from .pipeline import Pipe

__all__ = ["add", "leading_zeros", "multiply", "order_key", "shift_sticky"]


class _Parts(NamedTuple):
    """A number taken apart; `significand` has its leading one, `exponent` is at least 1."""

    sign: Value
    exponent: Value
    significand: Value
    subnormal: Value
    infinite: Value
    nan: Value


def _parts(code: Value, form: FloatFormat) -> _Parts:
    fraction = code[: form.fraction_bits]
    exponent = code[form.fraction_bits : form.bits - 1]
    subnormal, special = exponent == 0, exponent == form.exponent_max
    return _Parts(
        code[-1], Cat(exponent[0] | subnormal, exponent[1:]), Cat(fraction, ~subnormal), subnormal,
        special & ~fraction.any(), special & fraction.any(),
    )  # fmt: skip


def order_key(code: Value, form: FloatFormat) -> Value:
    """Return the unsigned `FloatFormat.keys` of a code: numbers are compared by comparing keys."""
    body = code[: form.bits - 1]
    negative = code[-1] & body.any()
    return Cat(body ^ negative.replicate(len(body)), ~negative)


def leading_zeros(
    pipe: Pipe, value: Value, name: str, end: Value | None = None
) -> tuple[Value, Value]:
    """Shift `value` left until its highest bit is 1.

    Parameters
    ----------
    pipe : Pipe
        Whose module gets the logic; no stage is added.
    value : Value
        Unsigned, at least 2 bits.
    name : str
        Of the signals.
    end : Value, optional
        As wide as `value`: a one in it counts as one of `value`, but is not in the result.

    Returns
    -------
    count, shifted : Value
        Number of leading zeros, and the shifted value, as wide as `value`; where there is no one,
        ``2**k - 1`` with k bits, where k is the least that can hold every other count, and 0.
    """
    width, found = len(value), []
    seen = value if end is None else value | end
    for step in reversed(range((width - 1).bit_length())):
        shift = 1 << step
        empty = Signal(name=f"{pipe.name}{name}_empty{step}")
        pipe.m.d.comb += empty.eq(~seen[max(width - shift, 0) :].any())
        found = [empty, *found]
        after = Signal(width, name=f"{pipe.name}{name}_shifted{step}")
        pipe.m.d.comb += after.eq(Mux(empty, value << shift, value))
        value = after
        if end is None:
            seen = after
            continue
        seen_after = Signal(width, name=f"{pipe.name}{name}_seen{step}")
        pipe.m.d.comb += seen_after.eq(Mux(empty, seen << shift, seen))
        seen = seen_after
    return Cat(found), value


def shift_sticky(pipe: Pipe, value: Value, amount: Value, name: str) -> Value:
    """Shift right; the lowest bit of the result is also 1 if a 1 was shifted out.

    Parameters
    ----------
    pipe : Pipe
        Whose module gets the logic; no stage is added.
    value, amount : Value
        Unsigned.
    name : str
        Of the signals.
    """
    width = len(value)
    steps = min((width - 1).bit_length(), len(amount))
    for step in range(steps):
        shift = 1 << step
        after = Signal(width, name=f"{pipe.name}{name}_shifted{step}")
        kept = Cat(value[: shift + 1].any(), value[shift + 1 :])
        pipe.m.d.comb += after.eq(Mux(amount[step], kept, value))
        value = after
    if len(amount) == steps:
        return value
    return Mux(amount[steps:].any(), value.any(), value)


def _pack(form: FloatFormat, exponent: Value, significand: Value) -> Value:
    """Round to nearest even; return the code without its sign, which is never above infinity.

    Parameters
    ----------
    form : FloatFormat
        Of the code.
    exponent : Value
        Unsigned; the exponent field of the significand, one bit wider than the format's: 0 for a
        subnormal number.
    significand : Value
        Its leading one (or 0), the fraction, and at least 2 bits more, the last of which is sticky.
    """
    beyond = len(significand) - form.fraction_bits - 1
    kept = significand[beyond:]
    up = significand[beyond - 1] & (significand[: beyond - 1].any() | kept[0])
    # A carry out of the fraction belongs into the exponent; a leading one is implied.
    body = Cat(kept[:-1], exponent[: form.exponent_bits]) + up
    over = exponent >= form.exponent_max
    return Mux(over, form.infinity, body)[: form.bits - 1]


def multiply(pipe: Pipe, a: Value, b: Value, form: FloatFormat) -> Value:
    """Add four stages that multiply: significands, two partial products, their sum, rounding.

    At most one number of a product that is not 0 is subnormal. It is normalised first, so that the
    product has its leading one in one of two places.

    Parameters
    ----------
    pipe : Pipe
        Gets the stages; the result belongs to the stage after the last one.
    a, b : Value
        Codes of the present stage.
    form : FloatFormat
        Of both, and of the result.

    Returns
    -------
    Value
        The code of the product.
    """
    bits, places = form.fraction_bits + 1, form.exponent_bits + 2
    left, right = _parts(a, form), _parts(b, form)
    small = Mux(left.subnormal, left.significand, right.significand)
    other = Mux(left.subnormal, right.significand, left.significand)
    count, normal = leading_zeros(pipe, small, "factor")
    zero = ~left.significand.any() | ~right.significand.any()
    infinite = left.infinite | right.infinite
    sign, nan, infinite, zero, exponent, normal, other = pipe.cut(
        sign=left.sign ^ right.sign, nan=left.nan | right.nan | (infinite & zero),
        infinite=infinite, zero=zero,
        exponent=fits(
            pipe.m, (left.exponent + right.exponent - count - form.bias).as_signed(), places,
            "product_exponent", signed=True,
        ).as_signed(),
        normal=normal, other=other,
    )  # fmt: skip
    half = bits // 2
    sign, nan, infinite, zero, exponent, low, high = pipe.cut(
        sign=sign, nan=nan, infinite=infinite, zero=zero, exponent=exponent,
        low=normal * other[:half], high=normal * other[half:],
    )  # fmt: skip
    sign, nan, infinite, zero, exponent, product = pipe.cut(
        sign=sign, nan=nan, infinite=infinite, zero=zero, exponent=exponent,
        product=Cat(low[:half], fits(pipe.m, low[half:] + high, 2 * bits - half, "product")),
    )  # fmt: skip
    high = product[-1]
    # Leading one, fraction, guard, sticky.
    aligned = Mux(high, product, product << 1)[: 2 * bits]
    aligned = Cat(aligned[: bits - 1].any(), aligned[bits - 1 :])
    field = (exponent + high)[:places].as_signed()
    tiny = field < 1
    lack = fits(pipe.m, Mux(tiny, 1 - field, 0), places, "lack").as_unsigned()
    denormal = shift_sticky(pipe, aligned, lack, "product")
    whole = fits(pipe.m, Mux(tiny, 0, field), form.exponent_bits + 1, "product_field")
    body = _pack(form, whole, denormal)
    body = Mux(infinite, form.infinity, Mux(zero, 0, body))
    (result,) = pipe.cut(result=Mux(nan, form.nan, Cat(body[: form.bits - 1], sign))[: form.bits])
    return result


def add(pipe: Pipe, a: Value, b: Value, form: FloatFormat) -> Value:
    """Add four stages that add: alignment, sum, normalisation, rounding.

    Parameters and result are those of `multiply`.
    """
    swap = a[:-1] < b[:-1]
    large, small = _parts(Mux(swap, b, a), form), _parts(Mux(swap, a, b), form)
    difference = large.exponent - small.exponent
    shift = fits(pipe.m, difference, form.exponent_bits, "shift").as_unsigned()
    # Guard, round and sticky bit below the last one.
    moved = shift_sticky(pipe, Cat(Const(0, 3), small.significand), shift, "addend")
    subtract = large.sign ^ small.sign
    sign, nan, infinite, exponent, minus, augend, addend = pipe.cut(
        sign=large.sign, nan=large.nan | small.nan | (large.infinite & small.infinite & subtract),
        infinite=large.infinite, exponent=large.exponent, minus=subtract,
        augend=large.significand, addend=moved,
    )  # fmt: skip
    width = form.fraction_bits + 5
    total = Cat(Const(0, 3), augend) + (addend ^ minus.replicate(len(addend))) + minus
    # Without the carry that a subtraction leaves.
    total = Cat(total[: width - 1], total[width - 1] & ~minus)
    # Equal numbers of opposite signs add up to +0.
    sign, nan, infinite, exponent, total = pipe.cut(
        sign=sign & (total.any() | ~minus), nan=nan, infinite=infinite, exponent=exponent,
        total=total,
    )  # fmt: skip
    # A one where the exponent would become that of a subnormal number ends the shift there.
    end = Const(1 << (width - 1), width) >> exponent
    count, normal = leading_zeros(pipe, total, "sum", end)
    # Above it, so that of 0 as well, there is no leading one.
    field = Mux(normal[-1], exponent + 1 - count, 0)
    field = fits(pipe.m, field, form.exponent_bits + 1, "sum_field")
    sign, nan, infinite, field, normal = pipe.cut(
        sign=sign, nan=nan, infinite=infinite, field=field, normal=normal
    )
    body = Mux(infinite, form.infinity, _pack(form, field, normal))
    (result,) = pipe.cut(result=Mux(nan, form.nan, Cat(body[: form.bits - 1], sign))[: form.bits])
    return result
