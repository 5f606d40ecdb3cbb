"""Floating point: NumPy against integers, and tables of lines."""

import random

import numpy as np
import pytest
from float_cases import pairs

from nnlut_train.errors import UsageError
from nnlut_train.files import from_json
from nnlut_train.float_table import FloatTable
from nnlut_train.floats import FP16, FP32
from nnlut_train.formats import Format
from nnlut_train.tables import PwlTable
from sim.golden import FloatPwlSpec, PwlSpec, WritableSpec, floats, spec_from_json
from sim.golden.writable import padded

FORMATS = pytest.mark.parametrize("form", [FP16, FP32], ids=lambda form: form.name)


def table_of(form, breakpoints, slopes, intercepts):
    """Return a table of real numbers."""
    codes = form.codes
    return FloatTable(
        codes, codes, codes, codes, tuple(form.keys(form.pattern(np.array(breakpoints))).tolist()),
        tuple(form.pattern(np.array(slopes)).tolist()),
        tuple(form.pattern(np.array(intercepts)).tolist()),
    )  # fmt: skip


@FORMATS
@pytest.mark.parametrize("op", ["multiply", "add"])
def test_numpy_is_the_integer_model(form, op):
    a, b = map(np.array, zip(*pairs(form, 100_000, seed=1), strict=True))
    with np.errstate(all="ignore"):
        x, y = form.numbers(a), form.numbers(b)
        numpy = form.pattern(x * y if op == "multiply" else x + y)
    model = getattr(floats, op)
    ours = [model(*pair, form) for pair in zip(a.tolist(), b.tolist(), strict=True)]
    np.testing.assert_array_equal(numpy, ours)


@FORMATS
def test_special_values(form):
    sign, inf, nan, one = 1 << (form.bits - 1), form.infinity, form.nan, form.bias
    one <<= form.fraction_bits
    assert floats.add(inf, inf | sign, form) == nan
    assert floats.multiply(inf, 0, form) == floats.multiply(sign, inf, form) == nan
    assert floats.multiply(inf + 1, 0, form) == nan  # a signalling NaN, too
    assert floats.add(sign, sign, form) == sign
    assert floats.add(sign, 0, form) == floats.add(one, one | sign, form) == 0
    assert floats.multiply(sign, one, form) == sign
    # Half of the least subnormal number is a tie, and goes to 0; a bit more does not.
    half = one - (1 << form.fraction_bits)
    assert [floats.multiply(1, code, form) for code in (half, half + 1)] == [0, 1]
    # The largest number and half a step: a tie, which overflows.
    step = (form.exponent_max - 1 - form.fraction_bits - 1) << form.fraction_bits
    assert [floats.add(inf - 1, code, form) for code in (step, step - 1)] == [inf, inf - 1]


@FORMATS
def test_keys_are_in_the_order_of_the_numbers(form):
    draw = random.Random(0)
    codes = np.array(
        [0, 1, form.infinity, form.infinity - 1, *(draw.getrandbits(form.bits) for _ in range(999))]
    )
    codes = np.append(codes, codes ^ 1 << (form.bits - 1))
    numbers, keys = form.numbers(codes), form.keys(codes)
    there = ~np.isnan(numbers)
    a, b = numbers[there][:, None], numbers[there][None, :]
    ka, kb = keys[there][:, None], keys[there][None, :]
    np.testing.assert_array_equal(a >= b, ka >= kb)
    assert keys.min() >= 0
    assert keys.max() < 1 << form.bits


def test_every_argument_of_a_table():
    table = table_of(FP16, [-3.0, 0.0, 1e-7, 2.5], [0.0, -0.125, 3.1, 700.0, 1.0],
                     [-0.0, -0.3, 6e-8, -2e-3, np.inf])  # fmt: skip
    codes = np.arange(1 << 16)
    which = table.segment(codes)
    expected = [
        floats.add(floats.multiply(table.slopes[i], code, FP16), table.intercepts[i], FP16)
        for code, i in zip(codes.tolist(), which.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(FloatPwlSpec(table).compute(codes), expected)
    numbers = FP16.numbers(codes)
    there = ~np.isnan(numbers)
    edges = FP16.numbers(FP16.pattern(np.array([-3.0, 0.0, 1e-7, 2.5])))
    np.testing.assert_array_equal(
        which[there], (numbers[there][:, None] >= edges).sum(axis=1)
    )  # a tie goes right
    assert which[0] == which[1 << 15]
    assert (table.lookup(codes[~there]) == FP16.nan).all()


def test_a_table_is_a_file_and_a_specification():
    table = table_of(FP32, [0.5], [1.0, 2.0], [0.25, -1.0])
    assert from_json(table.to_json()) == table
    spec = WritableSpec(FloatPwlSpec(table))
    assert spec_from_json(spec.describe()) == spec
    changed = table.to_json() | {"slopes": [0, 0]}
    with pytest.raises(UsageError, match="sha256"):
        from_json(changed)


def test_more_entries_are_the_same_function():
    table = table_of(FP16, [0.5], [1.0, 2.0], [0.25, -1.0])
    codes = np.arange(1 << 16)
    np.testing.assert_array_equal(padded(table, 6).lookup(codes), table.lookup(codes))


def test_lines_are_rounded_to_floats():
    form = Format(True, 16, 12)
    lines = PwlTable(form, form, form, form, (-4096, 0, 1), (0, 410, 4096, 8192), (0, 5, 9, -3))
    table = FloatTable.of_lines(lines, FP16)
    x = np.array([-2.0, -1.0, -0.5, 0.0, 1.0])
    real = FP16.numbers(table.lookup(FP16.pattern(x))).astype(float)
    np.testing.assert_allclose(real, lines.line(x), rtol=2e-3)
    # Two breakpoints that are one number in binary16: the segment between them is gone.
    fine = Format(True, 32, 28)
    near = PwlTable(fine, fine, form, form, (1 << 28, (1 << 28) + 1), (0, 1, 2), (3, 4, 5))
    joined = FloatTable.of_lines(near, FP16)
    assert joined.entries == 2
    assert joined.slopes == tuple(FP16.pattern(np.array([0.0, 2 / 4096])).tolist())


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"slope": Format(False, 32, 0)}, "must all be u16.0 or u32.0"),
        ({"slopes": (0, 1 << 16)}, r"slopes\[1\] must be 0 to 65535"),
        ({"slopes": ()}, "at least 1"),
        ({"breakpoints": (5, 5), "slopes": (0, 0, 0), "intercepts": (0, 0, 0)}, "must ascend"),
        ({"intercepts": (0,)}, "must have 2 values"),
    ],
)
def test_what_is_no_table(change, wrong):
    table = table_of(FP16, [0.5], [1.0, 2.0], [0.25, -1.0])
    names = ("input", "output", "slope", "intercept", "breakpoints", "slopes", "intercepts")
    fields = {name: getattr(table, name) for name in names}
    with pytest.raises(UsageError, match=wrong):
        FloatTable(**fields | change)


def test_a_fixed_point_unit_takes_no_floats():
    with pytest.raises(UsageError, match="must be of kind pwl, not float_pwl"):
        PwlSpec(table_of(FP16, [], [1.0], [0.0]))
