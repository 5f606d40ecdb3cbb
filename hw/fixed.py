"""`nnlut_train.formats` for Amaranth: the same rule for rounding and saturation."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned

from nnlut_train.formats import Format

__all__ = [
    "claiming", "claims_sum", "clip", "divide_by", "fits", "round_divide", "round_shift",
    "saturate", "select", "shape_of", "times",
]  # fmt: skip

#: In a proof build: the claims so far. None in every other one.
_claims: list[str] | None = None
#: How many bits fewer the claims have than what is claimed; see `claiming`.
_fewer = 0


def shape_of(form: Format) -> Shape:
    """Return the Amaranth shape of a format's codes."""
    return signed(form.bits) if form.signed else unsigned(form.bits)


@contextlib.contextmanager
def claiming(fewer: int = 0) -> Iterator[list[str]]:
    """Make what is elaborated meanwhile a proof build: `fits` and `claims_sum` add their claims.

    Parameters
    ----------
    fewer : int
        Claim that values fit so many bits fewer: a planted fault, which refutes what is tight.

    Yields
    ------
    list of str
        The claims' names, as they come: each is a wire that is 1 where something is lost.
    """
    global _claims, _fewer
    before = _claims, _fewer
    _claims, _fewer = [], fewer
    try:
        yield _claims
    finally:
        _claims, _fewer = before


def _claim(m: Module, lost: Value, name: str) -> None:
    assert _claims is not None
    _claims.append(f"lost{len(_claims)}_{name}")
    wire = Signal(name=_claims[-1])
    m.d.comb += wire.eq(lost)


def fits(
    m: Module, value: Value, bits: int, name: str, *, signed: bool = False,
    where: Value | Callable[[], Value] | None = None, whole: Value | None = None,
) -> Value:  # fmt: skip
    """Return the low `bits` of a value that has no more: what is cut off repeats the sign.

    That is claimed of a value for which it does not follow from its shape, and proved by
    `hw.prove.overflow`. The logic is that of ``value[:bits]``, and nothing else.

    Parameters
    ----------
    m : Module
        Gets the claim in a proof build.
    value : Value
        What is cut.
    bits : int
        How many are kept.
    name : str
        Of the claim.
    signed : bool
        Whether the highest bit that is kept is a sign.
    where : Value, optional
        The claim is only made where this is 1; or what returns it, called in a proof build alone.
    whole : Value, optional
        The number that `value` has the bits of, where that is not its own shape's.
    """
    kept = value[:bits]
    if _claims is not None:
        held = value[: max(0, bits - _fewer)]
        lost = (held.as_signed() if signed and len(held) else held.as_unsigned()) != (
            value if whole is None else whole
        )
        if where is not None:
            lost &= where() if callable(where) else where
        _claim(m, lost, name)
    return kept


def claims_sum(m: Module, added: Value, count: int, bits: int, name: str) -> None:
    """Claim, in a proof build, that a sum of `count` such values has at most `bits`.

    Of a signed value one of them is the sign. A sum of fewer is then no longer, by induction.
    """
    if _claims is None:
        return
    bits = max(1, bits - _fewer)
    if added.shape().signed:
        half = 1 << bits - 1
        _claim(m, (added > (half - 1) // count) | (added < -(half // count)), name)
    else:
        _claim(m, added > ((1 << bits) - 1) // count, name)


def round_shift(value: Value, shift: int | Value) -> Value:
    """Drop `shift` low bits of `value`, rounding half up.

    Parameters
    ----------
    value : Value
        Two's complement or unsigned.
    shift : int or Value
        Bits to drop; a Value must be unsigned.
    """
    if isinstance(shift, int):
        # Without the bits below the half, which cannot carry into the result.
        return value if shift == 0 else ((value >> (shift - 1)) + 1) >> 1
    # Shifted with one bit to spare, so that the rounding bit stays in sight.
    doubled = (value << 1) >> shift
    return (doubled + 1) >> 1


def saturate(value: Value, form: Format) -> Value:
    """Limit `value` to the range of `form`; the result has the shape of `form`."""
    shape = value.shape()
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    high = (1 << (shape.width - shape.signed)) - 1
    target = shape_of(form)
    if high > form.max:
        value = Mux(value > form.max, Const(form.max, target), value)
    if low < form.min:
        value = Mux(value < form.min, Const(form.min, target), value)
    # Extended before it is cut: the value may be narrower than the format.
    shape = Value.cast(value).shape()
    sign = value[-1] if shape.signed else Const(0, 1)
    value = Cat(value, sign.replicate(form.bits))[: form.bits]
    return value.as_signed() if form.signed else value


def clip(value: Value, form: Format) -> Value:
    """Limit `value` to the range of `form`, as `saturate` does, by its high bits alone.

    A comparison of all bits is a carry chain on an FPGA; the high bits are a few LUTs.
    """
    shape = value.shape()
    target, magnitude = shape_of(form), form.bits - form.signed
    negative = value[-1] if shape.signed else Const(0, 1)
    plain = len(value) - shape.signed
    above = value[magnitude:plain] if plain > magnitude else Const(0, 0)
    limits = [(Const(form.max, target), ~negative & above.any())]
    if form.signed:
        if plain > magnitude:
            limits.append((Const(form.min, target), negative & ~above.all()))
    else:
        limits.append((Const(0, target), negative))
    wide = Cat(value, negative.replicate(form.bits))[: form.bits]
    result = wide.as_signed() if form.signed else wide
    for limit, beyond in limits:
        result = Mux(beyond, limit, result)
    return result


def times(value: Value, factor: int) -> Value:
    """Multiply `value` by a constant of at least 1: an addition less than it has ones in binary.

    What is written as a multiplication would take a DSP block of an FPGA.
    """
    ones = [value << bit for bit in range(factor.bit_length()) if factor >> bit & 1]
    return sum(ones[1:], ones[0])


def divide_by(value: Value, divisor: int, multiply: Callable[[Value, int], Value] = times) -> Value:
    """Divide `value` by a constant, rounding down: a multiplication by a constant, and a shift.

    The factor is the reciprocal, rounded up, with so many bits that the quotient is exact for every
    value (Granlund and Montgomery, PLDI 1994, Theorem 4.2).

    Parameters
    ----------
    value : Value
        Unsigned.
    divisor : int
        At least 1.
    multiply : callable
        How to multiply a Value by the factor. `times` suits a divisor of ``2**n - 1``, whose factor
        has few ones; `operator.mul` leaves it to the synthesis, and may take a DSP block.

    Returns
    -------
    Value
        Unsigned; bits above those of the largest quotient are 0.
    """
    shift = len(value) + (divisor - 1).bit_length()
    return multiply(value, -(-(1 << shift) // divisor)) >> shift


def round_divide(value: Value, divisor: int) -> Value:
    """Divide `value` by a constant, rounding half up; see `divide_by`.

    Parameters
    ----------
    value : Value
        Unsigned.
    divisor : int
        At least 1.

    Returns
    -------
    Value
        Unsigned, as wide as the largest quotient.
    """
    half = divisor // 2
    largest = ((1 << len(value)) - 1 + half) // divisor
    return divide_by(value + half, divisor)[: largest.bit_length()]


def select(index: Value, values: Sequence[Value]) -> Value:
    """Return ``values[index]``: multiplexers, of constants little more than a gate a bit."""
    if len(values) == 1:
        return values[0]
    bit = (len(values) - 1).bit_length() - 1
    low, high = values[: 1 << bit], values[1 << bit :]
    return Mux(index[bit], select(index, high), select(index, low))
