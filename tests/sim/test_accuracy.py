import dataclasses
import itertools
import math

import numpy as np
import pytest

from hw.design import design
from hw.request import ERROR_BOUND_ULP, Request
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from nnlut_train.tables import DirectTable
from sim.accuracy import (
    protocol_rows,
    softmax_accuracy,
    softmax_reference,
    unary_accuracy,
)
from sim.bound import reciprocal_error, softmax_bound
from sim.golden import DirectSpec, ReciprocalSpec, SoftmaxSpec
from sim.stimuli import corner_rows, random_rows

#: Rows of the largest measurement.
MANY = 100_000


def softmax(arch="pwl", **options):
    return design(Request("softmax", options.pop("bits", 8), arch=arch, **options), arch)


def naive_errors(spec, row):
    """Return the errors of a row in ulp, and its sum in ulp, by scalar floating point."""
    top = max(row)
    e = [math.exp((q - top) / 2**spec.input.frac) for q in row]
    total = math.fsum(e)
    largest = 2**spec.output.bits - 1
    wanted = [min(v / total * 2**spec.output.frac, largest) for v in e]
    result = spec.compute(np.array(row)).tolist()
    return [abs(a - b) for a, b in zip(result, wanted, strict=True)], result


@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_int8_softmax_is_within_one_ulp_over_many_rows(arch):
    spec = softmax(arch)
    assert spec.length == 128
    rows = list(random_rows(spec, MANY, np.random.default_rng(7)))
    assert {len(row) for row in rows} == set(range(1, 129))
    rows += corner_rows(spec)
    found = softmax_accuracy(spec, rows)
    assert found.rows == len(rows) >= MANY + 256
    assert found.elements == sum(map(len, rows))
    # Half an ulp is the least that rounding allows: a smaller error would be a wrong measurement.
    assert 0.5 <= found.max_ulp < 1.0
    assert found.max_ulp <= softmax_bound(spec) < 1.0
    assert found.flips == 0
    assert found.sum_max <= (256 + 128 / 2) / 256


def test_both_architectures_may_be_taken_by_auto():
    # `--arch auto` takes the smallest whose proven error is below the bound: here any.
    assert ERROR_BOUND_ULP == 1.0
    assert all(softmax_bound(softmax(arch)) < ERROR_BOUND_ULP for arch in ("pwl", "direct"))


@pytest.mark.parametrize("arch", ["pwl", "direct"])
@pytest.mark.parametrize(("length", "floor"), [(64, 1.07e-6), (128, 9.0e-7)])
def test_protocol(arch, length, floor):
    spec = softmax(arch)
    assert spec.input == Format(True, 8, 4)
    rows = protocol_rows(spec, length)
    assert np.shape(rows) == (256, length)
    logits = np.random.default_rng(0).normal(0.0, 2.0, (256, length))
    assert (np.abs(np.array(rows) / 16 - np.clip(logits, -8, 127 / 16)) <= 1 / 32).all()
    found = softmax_accuracy(spec, rows)
    assert found.mse == pytest.approx(floor, rel=0.05)
    assert found.max_ulp / 256 <= 0.0030


@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_measured_numbers_are_the_naive_ones(arch):
    spec = softmax(arch, length=9)
    rng = np.random.default_rng(3)
    rows = [*random_rows(spec, 60, rng), *list(corner_rows(spec))[::9]]
    errors, sums, flips, excess = [], [], 0, []
    for row in rows:
        row_errors, result = naive_errors(spec, row.tolist())
        errors += row_errors
        sums.append(sum(result) / 256)
        flips += result[int(np.argmax(row))] < max(result)
        excess.append(sum(result) - 256 - len(row) / 2)
    found = softmax_accuracy(spec, rows)
    assert found.max_ulp == pytest.approx(max(errors), rel=1e-9)
    squares = math.fsum(error**2 for error in errors)
    assert found.rms_ulp == pytest.approx(math.sqrt(squares / len(errors)), rel=1e-9)
    assert found.mse == pytest.approx(squares / len(errors) / 256**2, rel=1e-9)
    assert (found.rows, found.elements, found.flips) == (len(rows), len(errors), flips)
    assert (found.sum_min, found.sum_max) == (min(sums), max(sums))
    assert found.sum_excess_ulp == max(excess)
    assert found.to_json()["mse"] == found.mse


def test_flips_are_counted():
    # An exp table that peaks at a distance of 3: the largest logit does not win.
    good = softmax("direct", length=4)
    values = list(good.exp.table.values)
    values[3] = good.exp.output.max
    values[0] = values[1]
    table = DirectTable(good.exp.input, good.exp.output, tuple(values))
    bad = SoftmaxSpec(good.input, good.output, 4, DirectSpec(table), good.reciprocal)
    rows = [np.array([10, 7]), np.array([10, 9]), np.array([7, 10, -100]), np.array([5])]
    assert softmax_accuracy(good, rows).flips == 0
    assert softmax_accuracy(bad, rows).flips == 2


def test_default_rows_are_random_and_corner_rows():
    spec = softmax(length=5)
    found = softmax_accuracy(spec, count=50, seed=4)
    rows = [*random_rows(spec, 50, np.random.default_rng(4)), *corner_rows(spec)]
    assert found == softmax_accuracy(spec, rows)
    assert found.rows == len(rows) == 50 + 11 + 256
    assert found != softmax_accuracy(spec, count=50, seed=5)


def test_reference_is_clipped_to_the_largest_code():
    spec = softmax(length=4)
    assert softmax_reference(spec, np.array([[3]])).tolist() == [[255 / 256]]
    assert softmax_reference(spec, np.array([[3, 3], [127, -128]])).tolist() == [
        [0.5, 0.5],
        [255 / 256, pytest.approx(math.exp(-255 / 16), rel=1e-6)],
    ]


@pytest.mark.parametrize("fit_length", [1, 16, 128, 1024])
@pytest.mark.parametrize("bits", [4, 6, 8, 10])
@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_proven_bound_holds_and_is_below_one_ulp(arch, bits, fit_length):
    spec = softmax(arch, bits=bits, length=fit_length)
    bound = softmax_bound(spec)
    rng = np.random.default_rng(bits * fit_length)
    rows = [*random_rows(spec, 400 if fit_length > 200 else 2000, rng), *corner_rows(spec)]
    found = softmax_accuracy(spec, rows)
    # Half an ulp is of rounding; rows of one element have the largest code, and no error.
    assert (0.5 if fit_length > 1 else found.max_ulp) <= bound < 1.0
    assert found.max_ulp <= bound


def test_bound_holds_over_every_row_of_a_small_softmax():
    for arch in ("pwl", "direct"):
        spec = softmax(arch, bits=4, length=3)
        every = np.array(np.meshgrid(*[spec.input.codes()] * 3)).reshape(3, -1).T
        rows = [row[:n] for n in (1, 2, 3) for row in every]
        found = softmax_accuracy(spec, rows)
        assert found.max_ulp <= softmax_bound(spec)
        # The bound is of use only if it is not far off.
        assert softmax_bound(spec) < found.max_ulp + 0.35


def test_bound_sees_a_bad_table():
    good = softmax("direct", length=8)
    values = list(good.exp.table.values)
    values[40] += good.exp.output.max // 20
    table = DirectTable(good.exp.input, good.exp.output, tuple(values))
    bad = SoftmaxSpec(good.input, good.output, 8, DirectSpec(table), good.reciprocal)
    row = np.array([100, 60])
    measured = softmax_accuracy(bad, [row])
    assert measured.max_ulp > 1.0
    assert softmax_bound(bad) >= measured.max_ulp


@pytest.mark.parametrize("arch", ["pwl", "direct"])
@pytest.mark.parametrize(("bits", "length"), [(4, 1), (4, 20), (5, 7), (8, 30)])
def test_reciprocal_error_is_the_largest_over_all_codes(arch, bits, length):
    spec = softmax(arch, bits=bits, length=length).reciprocal
    assert spec.input.bits <= 21
    frac = spec.input.frac
    for low in ((1 << frac) - 5, 1 << frac, min((1 << frac) + 77, spec.input.max), spec.input.max):
        codes = np.arange(low, spec.input.max + 1)
        wanted = np.abs(spec.output.real(spec.compute(codes)) - 2.0**frac / codes).max()
        assert reciprocal_error(spec, low) == pytest.approx(wanted, rel=1e-12)


def test_reciprocal_error_where_the_table_sees_every_bit():
    table = DirectTable(Format(False, 7, 7), Format(False, 9, 8),
                        tuple(round(2**8 / (1 + i / 128)) for i in range(128)))  # fmt: skip
    spec = ReciprocalSpec(Format(False, 8, 4), Format(False, 12, 6), DirectSpec(table), False, 8)
    for low in (1, 3, 16, 100, 255):
        codes = np.arange(low, 256)
        wanted = np.abs(spec.compute(codes) / 64 - 16 / codes).max()
        assert reciprocal_error(spec, low) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_no_row_sums_to_more_than_its_rounding_explains(arch):
    spec = softmax(arch)
    inverse = reciprocal_error(spec.reciprocal, int(spec.exp.compute(np.array([0]))[0]))
    rng = np.random.default_rng(11)
    rows = [*random_rows(spec, 5000, rng), *corner_rows(spec)]
    # Every count of equal elements: ties of the rounding, all in one direction.
    rows += [np.full(n, 5) for n in range(1, 129)]
    for row in rows:
        result = spec.compute(row)
        exponentials = spec.exp.compute(row.max() - row)
        total = float(exponentials.sum() * spec.exp.output.scale)
        # Each element is off by at most half an ulp; all of them by the reciprocal's error.
        assert result.sum() <= 256 + len(row) / 2 + 256 * inverse * total
    # Measured, the reciprocal's part is hidden by the half ulps of the elements.
    assert softmax_accuracy(spec, rows).sum_excess_ulp <= 256 * inverse * 128


def test_plain_exp_is_much_worse_than_the_folded_one():
    plain, folded = softmax(fold="none"), softmax()
    assert plain.exp.kind == "pwl"
    assert folded.exp.kind == "exp"
    assert plain.exp.table.entries == folded.exp.fraction.table.entries == 16
    rows = [*random_rows(plain, 3000, np.random.default_rng(0)), *corner_rows(plain)]
    worse, better = softmax_accuracy(plain, rows), softmax_accuracy(folded, rows)
    assert worse.max_ulp > 1.0 > better.max_ulp
    assert worse.max_ulp > 2 * better.max_ulp
    assert softmax_bound(plain) >= worse.max_ulp


@pytest.mark.parametrize("op", FUNCTIONS)
def test_unary_accuracy_is_the_naive_one(op):
    for arch in ("pwl", "direct"):
        spec, function = design(Request(op, 6), arch), FUNCTIONS[op]
        low, high = spec.output.min, spec.output.max
        errors, clipped, codes = [], 0, spec.input.codes().tolist()
        for q in codes:
            exact = float(function(np.array(q * spec.input.scale))) / spec.output.scale
            clipped += not low <= exact <= high
            errors.append(abs(int(spec.compute(np.array(q))) - min(max(exact, low), high)))
        found = unary_accuracy(spec, function)
        assert found.max_ulp == pytest.approx(max(errors), abs=1e-9)
        assert found.rms_ulp == pytest.approx(math.sqrt(np.mean(np.square(errors))), abs=1e-9)
        assert errors[codes.index(found.worst_code)] == pytest.approx(found.max_ulp, abs=1e-9)
        assert (found.codes, found.clipped) == (64, clipped)
        assert found.to_json()["clipped"] == clipped


@pytest.mark.parametrize("bits", [4, 8, 12])
@pytest.mark.parametrize("op", FUNCTIONS)
def test_direct_tables_are_within_half_an_ulp(op, bits):
    assert unary_accuracy(design(Request(op, bits), "direct"), FUNCTIONS[op]).max_ulp <= 0.5


@pytest.mark.parametrize("op", FUNCTIONS)
def test_tables_of_lines_are_accurate_by_default(op):
    # By default the lines cost no more than the rounding does.
    assert unary_accuracy(design(Request(op, 8), "pwl"), FUNCTIONS[op]).max_ulp < 1.5


@pytest.mark.parametrize("bits", range(4, 17))
def test_log_is_nearly_as_accurate_as_rounding_allows(bits):
    # docstring of `hw.design.tables.Tables.log`: 1/16 ulp, and the lines' own error.
    found = unary_accuracy(design(Request("log", bits), "pwl"), FUNCTIONS["log"])
    assert found.max_ulp <= 0.55


def every_row(spec):
    """Return all rows of a small softmax, of all lengths."""
    codes = spec.input.codes().tolist()
    return [
        np.array(row)
        for length in range(1, spec.length + 1)
        for row in itertools.product(codes, repeat=length)
    ]


def test_the_bound_is_tight_where_the_tables_are_fine():
    # Exponentials and reciprocals that are all but exact leave half an ulp of rounding, no less.
    length = 3
    coarse = design(Request("softmax", 4, length=length), "direct")
    exp = design(Request("softmax", 4, length=length, output_frac=12), "direct")
    spec = SoftmaxSpec(coarse.input, coarse.output, length, exp.exp, exp.reciprocal)
    measured = softmax_accuracy(spec, every_row(spec)).max_ulp
    assert measured <= softmax_bound(spec) <= measured + 0.03
    assert softmax_bound(spec) >= 0.5


@pytest.mark.parametrize("bias", [-200, -50, 40])
def test_the_bound_counts_the_error_of_the_maximum_itself(bias):
    # exp(0) of this table is not 1: rows of one element are wrong by that alone.
    spec = design(Request("softmax", 4, length=2), "direct")
    values = spec.exp.table.values
    biased = dataclasses.replace(
        spec.exp.table, values=tuple(int(spec.exp.output.saturate(v + bias)) for v in values)
    )
    spec = dataclasses.replace(spec, exp=DirectSpec(biased))
    measured = softmax_accuracy(spec, every_row(spec)).max_ulp
    assert measured <= softmax_bound(spec)


def test_the_reciprocal_is_checked_where_it_is_not_normalised():
    request = Request("softmax", 5, length=16, input_frac=2, output_frac=2, fold="none", entries=1)
    spec = design(request, "pwl")
    low = int(spec.exp.compute(np.zeros(1, np.int64))[0])
    assert low < 1 << (spec.reciprocal.width - 1 - spec.reciprocal.shifts)
    codes = np.arange(low, spec.reciprocal.input.max + 1)
    form = spec.reciprocal.output
    errors = form.real(spec.reciprocal.compute(codes)) - 1 / spec.reciprocal.input.real(codes)
    assert reciprocal_error(spec.reciprocal, low) == np.abs(errors).max()


def test_there_is_no_bound_where_the_sum_may_be_zero():
    spec = design(Request("softmax", 4, length=2), "direct")
    zeros = dataclasses.replace(spec.exp.table, values=(0,) * 16)
    assert softmax_bound(dataclasses.replace(spec, exp=DirectSpec(zeros))) == np.inf
