"""Proved bounds: above every error that a search finds, not far above, and not of another unit."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from hw.catalogue import KINDS
from hw.design import design
from hw.request import Request
from nnlut_train.fit import METHODS
from nnlut_train.float_table import FloatTable
from nnlut_train.floats import FP16, FP32
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS, lookup
from nnlut_train.tables import PwlTable
from sim.accuracy import float_accuracy, unary_accuracy
from sim.accuracy.norm import norm_reference
from sim.accuracy.softmax import softmax_reference
from sim.golden import DirectSpec, FloatPwlSpec, NormRowSpec, PwlSpec, RowSpec
from sim.line_bound import float_line_bound, line_bound
from sim.measure import how_proved, measure
from sim.share_bound import boundary
from sim.worst import row_errors, worst_row

#: How much of the bound the search finds at least, where it is known to come near.
NEAR = {"softmax": 0.85, "rexp": 0.8, "lut2d": 0.85, "ibert": 0.9, "layernorm": 0.7}
ROWS = {name: options for name, options in KINDS.items() if "length" in options}


def spec_of(options):
    request = Request(**options)
    return design(request, request.wanted[0]), request


def bound_of(spec, request, rows=2):
    return measure(spec, request.ops, request.domain, rows=rows)[1]


@pytest.mark.parametrize("kind", ROWS)
def test_no_row_that_a_search_finds_is_above_the_bound(kind):
    spec, request = spec_of(ROWS[kind])
    bound, found = bound_of(spec, request), worst_row(spec.bare, steps=12)
    assert NEAR.get(kind, 0.3) * bound <= found.ulp <= bound < np.inf
    assert how_proved(spec) in ("interval", "analytic")
    # What was found is a row, and its error is that of the definition.
    codes = found.row[None]
    reference = norm_reference if isinstance(spec.bare, NormRowSpec) else softmax_reference
    form, scale = spec.output, spec.bare.output_scale
    exact = reference(spec.bare, codes)
    if isinstance(spec.bare, NormRowSpec):
        exact = form.clip(exact)
    off = np.abs(spec.bare.compute(codes) - exact / scale).max()
    assert off == pytest.approx(found.ulp, rel=1e-9)


@pytest.mark.parametrize("kind", [name for name in KINDS if name not in ROWS])
def test_functions_are_tried_in_full(kind):
    spec, request = spec_of(KINDS[kind])
    accuracy, bound = measure(spec, request.ops)
    assert (how_proved(spec), bound) == ("exhaustive", accuracy.max_ulp)
    if isinstance(spec.bare, FloatPwlSpec):  # of floating point those of the domain
        form, (low, high) = spec.bare.table.float_format, request.function.domain
        numbers = form.numbers(np.arange(1 << form.bits)).astype(float)
        assert accuracy.codes == ((numbers >= low) & (numbers <= high)).sum()
    else:
        assert accuracy.codes == len(request.ops) << spec.input.bits


@pytest.mark.parametrize("method", ["nnlut", "rexp", "lut2d", "ibert", "base2", "kulisch"])
def test_of_a_small_softmax_every_row_is_within_the_bound(method):
    spec, request = spec_of({"op": "softmax", "bits": 4, "length": 3, "method": method})
    rows = np.array(list(itertools.product(spec.input.codes(), repeat=3)))
    off = max(row_errors(spec, rows[:, :n], np.zeros((len(rows), n), bool)).max() for n in (1, 3))
    assert off <= bound_of(spec, request) <= off + (0.35 if method != "lut2d" else 40)


@pytest.mark.parametrize("length", [2, 3, 4])
def test_of_a_small_i_layernorm_every_row_is_within_the_bound(length):
    spec, request = spec_of(
        {"op": "layernorm", "bits": 8, "length": length, "method": "ibert", "input_frac": 2}
    )
    few = range(-9, 10) if length < 4 else range(-5, 6)
    for guard, shift in ((14, 5), (2, 6), (0, 3), (1, 0)):
        narrow = replace(spec, guard=guard, shift=shift)
        rows = np.array(list(itertools.product(few, repeat=length)))
        off = row_errors(narrow, rows, np.zeros(rows.shape, bool)).max()
        assert off <= bound_of(narrow, request)


@pytest.mark.parametrize("kind", ["softmax", "kulisch"])
def test_masked_elements_are_right_and_leave_the_row_alone(kind):
    spec, _ = spec_of(ROWS[kind])
    rng = np.random.default_rng(0)
    codes, mask = rng.integers(-32, 32, (50, 9)), rng.random((50, 9)) < 0.5
    mask[0] = True
    off = row_errors(spec, codes, mask)
    assert off[0] == 0 == spec.compute(codes[:1], mask[:1]).max()
    for row, missing, error in zip(codes[1:], mask[1:], off[1:], strict=True):
        if not missing.all():
            alone = row[~missing][None]
            assert error == pytest.approx(row_errors(spec, alone, alone > 99)[0], rel=1e-9)


def lines(op, bits, entries=8, fold="auto"):
    spec, request = spec_of(
        {"op": op, "bits": bits, "entries": entries, "fold": fold, "fit": "linear", "arch": "pwl"}
    )
    return spec, request.function


@pytest.mark.parametrize("fold", ["auto", "none"])
@pytest.mark.parametrize("op", FUNCTIONS)
def test_the_bound_of_lines_is_that_of_all_codes_and_half_an_ulp(op, fold):
    spec, function = lines(op, 8, fold=fold)
    if isinstance(spec, PwlSpec):
        exact, bound = unary_accuracy(spec, function).max_ulp, line_bound(spec.table, function)
        assert exact <= bound <= exact + 1.0


@pytest.mark.parametrize("op", ["gelu", "reciprocal", "sin"])
def test_32_bit_lines_are_proved_by_intervals(op):
    assert "linear" in METHODS
    spec, function = lines(op, 32)
    bound = line_bound(spec.table, function)
    codes = np.unique(np.random.default_rng(0).integers(spec.input.min, spec.input.max, 1 << 15))
    exact = spec.output.clip(function(spec.input.real(codes)))
    off = np.abs(spec.output.real(spec.compute(codes)) - exact).max() / spec.output.scale
    assert 0.5 * bound <= off <= bound < np.inf
    assert how_proved(spec) == "interval"
    # A single slope that is wrong is above what was proved of the right ones.
    slopes = list(spec.table.slopes)
    slopes[-2] = spec.table.slope.max
    wrong = replace(spec.table, slopes=tuple(slopes))
    assert line_bound(wrong, function) > bound


def test_nothing_is_proved_of_a_function_that_is_not_known_between_its_arguments():
    spec, _ = lines("gelu", 32)
    user = lookup("numpy:tanh", (-8.0, 8.0))
    assert line_bound(spec.table, user) is None
    assert float_line_bound(floats(FP32, "gelu")[0].table, user) is None


def floats(form, op):
    spec, function = lines(op, 16, fold="none")
    return FloatPwlSpec(FloatTable.of_lines(spec.table, form)), function


@pytest.mark.parametrize("op", ["gelu", "exp", "reciprocal"])
@pytest.mark.parametrize("form", [FP16, FP32])
def test_floating_point_lines_over_their_domain(form, op):
    spec, function = floats(form, op)
    off, bound = float_accuracy(spec, function).max_ulp, float_line_bound(spec.table, function)
    assert off <= bound <= 1.1 * off + 8
    changed = list(spec.table.intercepts)
    changed[3] = int(form.pattern(np.array([64.0]))[0])
    worse = replace(spec.table, intercepts=tuple(changed))
    assert float_line_bound(worse, function) > 1.5 * bound


@pytest.mark.parametrize("kind", ["softmax", "softmax, narrow distance", "rexp", "lut2d"])
def test_a_wrong_table_entry_is_above_what_was_proved(kind):
    # The bound that the right tables have is no bound of others: a search finds the row.
    spec, request = spec_of(ROWS[kind] | ({"arch": "direct"} if "softmax" in kind else {}))
    bound = bound_of(spec, request)
    table = spec.exp.table if isinstance(spec.exp, DirectSpec) else spec.exp
    values = list(table.values)
    values[50 if kind == "lut2d" else 2] = values[0]
    table = replace(table, values=tuple(values))
    wrong = replace(spec, exp=DirectSpec(table) if isinstance(spec.exp, DirectSpec) else table)
    found = worst_row(wrong, steps=10).ulp
    assert bound < found <= bound_of(wrong, request)


def test_dropped_guard_bits_are_above_what_was_proved():
    spec, request = spec_of(ROWS["ibert"])
    bound = bound_of(spec, request)
    coarse = replace(spec, precision=spec.output.frac + 14)
    assert bound < worst_row(coarse, steps=10).ulp <= bound_of(coarse, request)
    spec, request = spec_of(ROWS["i-layernorm"])
    bound = bound_of(spec, request)
    coarse = replace(spec, guard=1)
    assert bound < worst_row(coarse, steps=10).ulp <= bound_of(coarse, request)
    spec, request = spec_of(ROWS["layernorm"])
    bound = bound_of(spec, request)
    scaled = Format(True, spec.scaled.bits - 4, spec.scaled.frac - 4)
    coarse = replace(spec, scaled=scaled)
    assert bound < worst_row(coarse, steps=20).ulp <= bound_of(coarse, request)


def test_a_search_is_the_same_for_the_same_seed():
    spec, _ = spec_of(ROWS["rexp"])
    first, second = (worst_row(spec, steps=4) for _ in range(2))
    assert (first.ulp, first.rows) == (second.ulp, second.rows)
    assert (first.row == second.row).all()


def test_the_hull_has_all_points_and_sums_of_them():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 99, (2, 30)).astype(float)
    low, high = boundary(4 * x, 4 * y, 1), boundary(4 * x, 4 * y, -1)
    for _ in range(500):
        some = rng.integers(0, 30, int(rng.integers(0, 5)))
        at, value = x[some].sum(), y[some].sum()
        assert np.interp(at, *low.T) - 1e-9 <= value <= np.interp(at, *high.T) + 1e-9


def test_every_kind_of_unit_has_a_bound():
    assert {kind for kind in KINDS if spec_of(KINDS[kind])[0].longest} == set(ROWS)
    assert all(isinstance(spec_of(options)[0].bare, RowSpec) for options in ROWS.values())
    assert issubclass(FloatTable, PwlTable)
