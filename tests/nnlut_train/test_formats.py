"""Rounding and saturation against exact rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

FORMATS = st.builds(
    Format, st.booleans(), st.integers(1, 48), st.integers(-8, 24)
)  # fmt: skip


def exact_code(value, form):
    """Half up, then saturated, without floating point."""
    code = math.floor(Fraction(value) * Fraction(2) ** form.frac + Fraction(1, 2))
    return min(max(code, form.min), form.max)


@pytest.mark.parametrize(
    ("text", "low", "high", "scale"),
    [
        ("s8.4", -128, 127, 1 / 16),
        ("u8.8", 0, 255, 1 / 256),
        ("s1.0", -1, 0, 1.0),
        ("u1.0", 0, 1, 1.0),
        ("u4.-2", 0, 15, 4.0),
        ("s48.50", -(2**47), 2**47 - 1, 2.0**-50),
    ],
)
def test_range_and_scale(text, low, high, scale):
    form = Format.parse(text)
    assert (form.min, form.max, form.scale) == (low, high, scale)


def test_codes_ascend_over_the_whole_range():
    assert Format(True, 3, 1).codes().tolist() == [-4, -3, -2, -1, 0, 1, 2, 3]
    assert Format(False, 2, 0).codes().tolist() == [0, 1, 2, 3]
    assert Format(True, 3, 1).codes().dtype == np.int64


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (0.5, 1), (1.5, 2), (2.5, 3), (0.25, 0), (0.75, 1),
        (-0.5, 0), (-1.5, -1), (-2.5, -2), (-0.75, -1), (-0.25, 0),
        (6.5, 7), (7.25, 7), (7.5, 7), (8.0, 7), (1e300, 7), (math.inf, 7),
        (-7.5, -7), (-7.75, -8), (-8.0, -8), (-8.5, -8), (-9.0, -8), (-math.inf, -8),
    ],
)  # fmt: skip
def test_quantize_ties_go_up_and_ends_saturate(value, code):
    form = Format(True, 4, 0)
    assert form.quantize(np.array([value])).tolist() == [code]
    # The same at another scale.
    assert Format(True, 4, 3).quantize(np.array(value / 8)) == code
    assert Format(True, 4, -5).quantize(np.array(value * 32)) == code


@pytest.mark.parametrize(("value", "code"), [(-0.5, 0), (-3.0, 0), (14.5, 15), (15.5, 15)])
def test_quantize_unsigned_ends(value, code):
    assert Format(False, 4, 0).quantize(np.array([value])).tolist() == [code]


@given(form=FORMATS, eighths=st.integers(-(2**49), 2**49))
def test_quantize_is_exact(form, eighths):
    # Eighths of a code step, so a quarter of them are next to a tie and one in eight is one.
    value = math.ldexp(eighths, -3 - form.frac)
    assert int(form.quantize(np.array(value))) == exact_code(value, form)


@given(form=FORMATS, value=st.floats(-(2.0**30), 2.0**30).map(lambda v: round(v, 3)))
def test_quantize_is_exact_for_decimal_values(form, value):
    assert int(form.quantize(np.array([value]))[0]) == exact_code(value, form)


@given(form=FORMATS, data=st.data())
def test_real_and_quantize_invert_each_other(form, data):
    codes = np.array(data.draw(st.lists(st.integers(form.min, form.max), max_size=8)), np.int64)
    real = form.real(codes)
    assert [Fraction(v) for v in real] == [c / Fraction(2) ** form.frac for c in codes.tolist()]
    assert form.quantize(real).tolist() == codes.tolist()


@given(form=FORMATS, values=st.lists(st.integers(-(2**60), 2**60)))
def test_saturate_limits_codes(form, values):
    wanted = [min(max(v, form.min), form.max) for v in values]
    assert form.saturate(np.array(values, np.int64)).tolist() == wanted


def test_clip_limits_values_without_rounding_them():
    clipped = Format(True, 4, 2).clip(np.array([-9.0, -2.0, 0.1, 1.75, 1.76, np.inf]))
    assert clipped.tolist() == [-2.0, -2.0, 0.1, 1.75, 1.75, 1.75]


@given(
    values=st.lists(st.integers(-(2**61), 2**61), min_size=1, max_size=8),
    shift=st.integers(0, 61),
)
def test_round_shift_is_exact(values, shift):
    wanted = [math.floor(Fraction(v, 2**shift) + Fraction(1, 2)) for v in values]
    assert round_shift(np.array(values, np.int64), shift).tolist() == wanted


def test_round_shift_takes_a_shift_for_each_value():
    values, shifts = np.array([5, 6, -5, -6, -7, 9]), np.array([0, 2, 1, 2, 2, 4])
    assert round_shift(values, shifts).tolist() == [5, 2, -2, -1, -2, 1]
    # A tie on either side of zero.
    assert round_shift(np.array([[6], [-6]]), np.array([2, 3])).tolist() == [[2, 1], [-1, -1]]


@given(FORMATS)
def test_text_round_trip(form):
    assert Format.parse(str(form)) == form


def test_text():
    assert str(Format(True, 8, 4)) == "s8.4"
    assert str(Format(False, 12, -3)) == "u12.-3"


@pytest.mark.parametrize(
    "text", ["", "8.4", "s8", "s8.", "s.4", "x8.4", "S8.4", " s8.4", "s8.4\n", "s-8.4", "s8.4.1",
             "s8.+4", None, 84]
)  # fmt: skip
def test_text_of_another_form_is_refused(text):
    message = r"^a format must read like s8\.4 or u8\.8 \(sign, bits, fraction bits\), not "
    with pytest.raises(UsageError, match=message) as error:
        Format.parse(text)
    assert str(error.value).endswith(repr(text))


@pytest.mark.parametrize("bits", [0, -1, 49])
def test_width_out_of_range_is_refused(bits):
    with pytest.raises(UsageError, match=rf"^a format's width must be 1 to 48 bits, not {bits}$"):
        Format(True, bits, 0)


@pytest.mark.parametrize("text", ["u0.0", "s49.4"])
def test_width_out_of_range_is_refused_in_text(text):
    with pytest.raises(UsageError, match=r"^a format's width must be 1 to 48 bits"):
        Format.parse(text)
