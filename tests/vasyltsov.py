"""The softmaxes of Vasyltsov & Chang once more: the formulas, and rows of Python fractions."""

import math
from decimal import Decimal, getcontext
from fractions import Fraction

from naive import half_up

from hw.design import design
from hw.request import Request

METHODS = ("rexp", "lut2d")
#: The largest code, 1.0, of each precision.
ONES = {"uint8": 255, "int16": 32767, "uint4": 15, "uint2": 3}
#: The same by the format that the results must have.
ONE_OF = {"u8.8": 255, "s16.15": 32767, "u4.4": 15, "u2.2": 3}


def softmax_of(method, precision="uint8", **options):
    request = Request("softmax", method=method, precision=precision, **options)
    return design(request, *request.possible)


def exponential(x, one):
    """Return ``floor(e**x * one)``, by 50 digits."""
    getcontext().prec = 50
    return int((Decimal(x.numerator) / Decimal(x.denominator)).exp() * one)


def last_of_rexp(one):
    """Return x_q + 1, x_q being the smallest integer whose exponential is at least `one`."""
    x_q = 0
    while Decimal(x_q).exp() < one:
        x_q += 1
    return x_q + 1


def naive_exponential(method, distance, one):
    """Return the exponential of a distance (a fraction) that the tables have."""
    if method == "rexp":
        return exponential(-Fraction(min(math.floor(distance), last_of_rexp(one))), one)
    return exponential(-Fraction(min(half_up(distance * 10), 100), 10), one)


def naive_row(spec, row, mask=None):
    """Return the probabilities of one row, element by element."""
    one, scale = ONE_OF[str(spec.output)], Fraction(2) ** -spec.input.frac
    there = [not masked for masked in mask] if mask is not None else [True] * len(row)
    if not any(there):
        return [0] * len(row)
    maximum = max(code for code, here in zip(row, there, strict=True) if here)
    exponentials = [
        naive_exponential(spec.kind, (maximum - code) * scale, one) if here else 0
        for code, here in zip(row, there, strict=True)
    ]
    j = max(1, min(half_up(Fraction(sum(exponentials), one)), spec.sums))
    if spec.kind == "rexp":
        return [half_up(Fraction(e * (one // j), one)) for e in exponentials]
    scale_ex, scale_sum = Fraction(1, 10), 1
    return [
        math.floor(half_up(Fraction(e, one) / scale_ex) * scale_ex / (j * scale_sum) * one)
        for e in exponentials
    ]
