"""IEEE-754 multiplication and addition in integers: what the float blocks are held to.

Exact rational arithmetic on Python's integers and one rounding, written without any floating-point
operation; the tests hold it, NumPy and the hardware (`hw.floats`) against each other.
"""

from nnlut_train.floats import FloatFormat

__all__ = ["add", "multiply"]


def _parts(code: int, form: FloatFormat) -> tuple[int, int, int]:
    """Return sign, integer significand, and the exponent of its last bit, of a finite number."""
    fraction = code & ((1 << form.fraction_bits) - 1)
    exponent = code >> form.fraction_bits & form.exponent_max
    significand = fraction | (1 << form.fraction_bits if exponent else 0)
    return code >> (form.bits - 1), significand, max(exponent, 1) - form.bias - form.fraction_bits


def _round(sign: int, magnitude: int, exponent: int, form: FloatFormat) -> int:
    """Return the code nearest to ``magnitude * 2**exponent``, ties to even."""
    last = 1 - form.bias - form.fraction_bits  # the exponent of the least subnormal number
    drop = max(magnitude.bit_length() - form.fraction_bits - 1, last - exponent)
    if drop > 0:
        half, kept = 1 << (drop - 1), magnitude >> drop
        rest = magnitude - (kept << drop)
        kept += rest > half or (rest == half and kept & 1)
    else:
        kept = magnitude << -drop
    # A significand that rounds up to the next power of two carries into the exponent field.
    field = exponent + drop - last
    code = kept + (field << form.fraction_bits) if kept else 0
    return min(code, form.infinity) | sign << (form.bits - 1)


def multiply(a: int, b: int, form: FloatFormat) -> int:
    """Return the code of the product of the numbers with codes `a` and `b`.

    IEEE 754-2019, sections 4.3.1, 6 and 7: NaN times anything and infinity times zero are NaN.
    """
    sign = (a ^ b) >> (form.bits - 1)
    bodies = [code & ((1 << (form.bits - 1)) - 1) for code in (a, b)]
    if max(bodies) > form.infinity or sorted(bodies) == [0, form.infinity]:
        return form.nan
    if form.infinity in bodies:
        return form.infinity | sign << (form.bits - 1)
    (_, left, low), (_, right, high) = (_parts(code, form) for code in (a, b))
    return _round(sign, left * right, low + high, form)


def add(a: int, b: int, form: FloatFormat) -> int:
    """Return the code of the sum of the numbers with codes `a` and `b`.

    Infinity minus infinity is NaN; a sum of 0 is +0, unless both numbers are -0.
    """
    top = form.bits - 1
    bodies = [code & ((1 << top) - 1) for code in (a, b)]
    if max(bodies) > form.infinity:
        return form.nan
    if form.infinity in bodies:
        if bodies == [form.infinity] * 2 and a != b:
            return form.nan
        return a if bodies[0] == form.infinity else b
    parts = [_parts(code, form) for code in (a, b)]
    least = min(exponent for *_, exponent in parts)
    total = sum((-m if sign else m) << (e - least) for sign, m, e in parts)
    if total == 0:
        return (a & b) >> top << top
    return _round(int(total < 0), abs(total), least, form)
