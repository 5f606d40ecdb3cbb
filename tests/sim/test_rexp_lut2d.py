"""REXP and the 2D LUT: tables by the formulas, the model by rows of fractions."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from naive import half_up
from vasyltsov import METHODS, ONES, exponential, last_of_rexp, naive_row, softmax_of

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_divide
from nnlut_train.tables import DirectTable
from sim.accuracy import protocol_rows, softmax_accuracy, softmax_floor, softmax_reference
from sim.golden import spec_from_json
from sim.stimuli import corner_rows, random_rows

both = pytest.mark.parametrize("method", METHODS)
precise = pytest.mark.parametrize("precision", ONES)


@precise
@pytest.mark.parametrize("entries", [None, 1, 5, 256])
def test_rexp_tables_are_the_formulas(precision, entries):
    spec, one = softmax_of("rexp", precision, entries=entries), ONES[precision]
    last, sums = last_of_rexp(one), entries or 16
    exp = [exponential(Fraction(-i), one) for i in range(last + 1)]
    assert list(spec.exp.values[: last + 1]) == exp
    assert exp[0] == one
    assert exp[-1] == 0
    assert list(spec.alpha.values[:sums]) == [one // j for j in range(1, sums + 1)]
    assert spec.entries == {"exp": last + 1, "alpha": sums}
    # What fills them up to a power of two.
    assert not any(spec.exp.values[last + 1 :])
    assert not any(spec.alpha.values[sums:])


@precise
@pytest.mark.parametrize("entries", [None, 1, 5, 256])
def test_2d_tables_are_the_formulas(precision, entries):
    spec, one = softmax_of("lut2d", precision, entries=entries), ONES[precision]
    sums = entries or 60
    exp = [exponential(Fraction(-i, 10), one) for i in range(101)]
    assert list(spec.exp.values) == exp + [0] * 27
    scale_ex, scale_sum = Fraction(1, 10), Fraction(1)
    sigma = np.array(spec.sigma.values).reshape(-1, 16)
    assert sigma[:sums, :11].tolist() == [
        [math.floor((i * scale_ex) / (j * scale_sum) * one) for i in range(11)]
        for j in range(1, sums + 1)
    ]
    assert spec.entries == {"exp": 101, "sigma": 11 * sums}
    assert not sigma[:sums, 11:].any()
    assert not sigma[sums:].any()


@pytest.mark.parametrize(
    ("method", "sizes"),
    [
        ("rexp", {"uint8": (8 + 16, 24), "int16": (13 + 16, 58), "uint4": (5 + 16, 21),
                  "uint2": (4 + 16, 20)}),
        ("lut2d", {"uint8": (101 + 660, 761), "int16": (101 + 660, 1522),
                   "uint4": (101 + 660, 761), "uint2": (101 + 660, 761)}),
    ],
)  # fmt: skip
def test_sizes(method, sizes):
    for precision, (entries, size) in sizes.items():
        spec = softmax_of(method, precision)
        assert sum(spec.entries.values()) == entries
        assert spec.table_bytes == size


def test_the_default_precision_is_uint8():
    assert softmax_of("rexp", None) == softmax_of("rexp", "uint8")


@pytest.mark.parametrize("frac", [-2, 0, 3, 4, 8])
@precise
@both
def test_model_is_the_naive_one(method, precision, frac):
    spec = softmax_of(method, precision, input_frac=frac, length=24, mask=True)
    rng = np.random.default_rng(frac + 2)
    rows = [*random_rows(spec, 12, rng), *list(corner_rows(spec))[::31]]
    for row in rows:
        assert spec.compute(row).tolist() == naive_row(spec, row.tolist())
        mask = rng.random(len(row)) < rng.choice([0.2, 0.9])
        assert spec.compute(row, mask).tolist() == naive_row(spec, row.tolist(), mask)


@both
def test_every_distance_and_every_sum(method):
    spec = softmax_of(method, "uint8", length=128)
    for code in range(-128, 128):
        pair = [127, code]
        assert spec.compute(np.array(pair)).tolist() == naive_row(spec, pair)
    for count in range(1, 129):
        row = [5] * count
        assert spec.compute(np.array(row)).tolist() == naive_row(spec, row)


@both
def test_rows_of_many_dimensions_are_rows_one_by_one(method):
    spec = softmax_of(method, "uint8", length=6)
    codes = np.random.default_rng(1).integers(-128, 128, (3, 4, 6))
    result = spec.compute(codes)
    assert result.shape == codes.shape
    assert result[1, 2].tolist() == spec.compute(codes[1, 2]).tolist()


@both
@precise
def test_a_masked_element_is_no_element(method, precision):
    spec, rng = softmax_of(method, precision, length=16, mask=True), np.random.default_rng(4)
    for _ in range(20):
        row, mask = rng.integers(-128, 128, 16), rng.random(16) < 0.5
        mask[0] = False
        result = spec.compute(row, mask)
        assert not result[mask].any()
        assert result[~mask].tolist() == spec.compute(row[~mask]).tolist()
    assert not spec.compute(row, np.ones(16, dtype=bool)).any()


@both
@precise
def test_one_is_the_largest_code(method, precision):
    spec = softmax_of(method, precision)
    assert spec.one == spec.output.max == ONES[precision]
    for code in (-128, 0, 127):
        assert spec.compute(np.array([code])).tolist() == [spec.one]
    one_hot = np.full(128, -128)
    one_hot[77] = 127
    wanted = np.zeros(128, dtype=np.int64)
    wanted[77] = spec.one
    assert spec.compute(one_hot).tolist() == wanted.tolist()


@both
def test_sums_beyond_the_table_saturate_unless_it_is_asked_to_be_longer(method):
    row = np.zeros(128, dtype=np.int64)
    published, longer = softmax_of(method), softmax_of(method, entries=128)
    sums = {"rexp": 16, "lut2d": 60}[method]
    assert set(published.compute(row).tolist()) == {255 // sums}
    assert set(longer.compute(row).tolist()) == {255 // 128}
    # Within the table, both are the same.
    few = row[:sums]
    assert published.compute(few).tolist() == longer.compute(few).tolist()


@both
@precise
def test_json_round_trip(method, precision):
    spec = softmax_of(method, precision, length=12, lanes=4, mask=True, entries=20)
    assert spec_from_json(spec.describe()) == spec
    assert [name for name, _ in spec.tables()] == list(spec.entries)
    data = spec.describe()
    del data["sums"]
    with pytest.raises(UsageError, match=rf"^spec: {method}\.sums is missing$"):
        spec_from_json(data)


@both
def test_fields_must_go_together(method):
    spec = softmax_of(method)
    other = list(spec.entries)[1]
    exp, wrong = spec.exp, Format(False, 9, 9)
    negative = DirectTable(exp.input, Format(True, 9, 8), (*exp.values[:-1], -1))
    cases = [
        ({"input": Format(False, 8, 4)}, "input must be signed, not u8.4"),
        ({"sums": 0}, "sums must be at least 1, not 0"),
        ({"sums": 300}, rf"{other} must map u\d+.0 to u8.8 without a fold, not u\d+.0 to u8.8"),
        ({"output": wrong}, r"exp must map u\d.0 to u9.9 without a fold, not u\d.0 to u8.8"),
        ({"exp": negative, "output": negative.output}, "exp must have values of at least 0, not"),
    ]  # fmt: skip
    for change, message in cases:
        with pytest.raises(UsageError, match=rf"^spec: {method}\.{message}"):
            replace(spec, **change)


def test_a_numerator_of_zero_must_give_zero():
    spec = softmax_of("lut2d")
    values = (1, *spec.sigma.values[1:])
    with pytest.raises(UsageError, match=r"^spec: lut2d.sigma must be 0 where the exponential is$"):
        replace(spec, sigma=DirectTable(spec.sigma.input, spec.output, values))


@both
@precise
def test_accuracy_counts_in_codes_of_one(method, precision):
    spec, one = softmax_of(method, precision, length=64), ONES[precision]
    rows = protocol_rows(spec, 64, 8)
    accuracy = softmax_accuracy(spec, rows)
    errors, floors, sums = [], [], []
    for row in rows:
        e = [math.exp((code - row.max()) / 16) for code in row.tolist()]
        results = spec.compute(row).tolist()
        sums.append(sum(results) / one)
        errors += [result / one - x / sum(e) for result, x in zip(results, e, strict=True)]
        floors += [round(one * x / sum(e)) / one - x / sum(e) for x in e]
    assert accuracy.max_ulp == pytest.approx(max(map(abs, errors)) * one, rel=1e-9)
    assert accuracy.mse == pytest.approx(np.mean(np.square(errors)), rel=1e-9)
    assert softmax_floor(spec, rows) == pytest.approx(np.mean(np.square(floors)), rel=1e-9)
    assert (accuracy.sum_min, accuracy.sum_max) == pytest.approx((min(sums), max(sums)))


def test_a_probability_of_one_is_no_error():
    """1.0 is a code of these: nothing is clipped."""
    spec = softmax_of("rexp")
    assert softmax_reference(spec, np.array([[3]])) == 1.0
    accuracy = softmax_accuracy(spec, [np.array([3])])
    assert (accuracy.max_ulp, accuracy.sum_max) == (0.0, 1.0)


@pytest.mark.parametrize("divisor", [1, 2, 3, 10, 15, 255, 32767])
def test_round_divide_is_the_nearest_integer(divisor):
    values = np.unique(np.r_[np.arange(70), divisor * np.arange(4) + divisor // 2, 2**40 - 1])
    wanted = [half_up(Fraction(value, divisor)) for value in values.tolist()]
    assert round_divide(values, divisor).tolist() == wanted
