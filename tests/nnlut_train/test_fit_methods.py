"""The methods that are compared with `optimal`: their claims, and that nothing beats it."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlut_train import protocol
from nnlut_train.errors import UsageError
from nnlut_train.fit import (
    Problem,
    continuous,
    equal_error,
    genetic,
    linear,
    lines,
    lutapp,
    optimal,
)
from nnlut_train.folding import Fold
from nnlut_train.formats import Format

METHODS = {
    "genetic": genetic, "linear": linear, "lutapp": lutapp, "equal_error": equal_error,
    "continuous": continuous,
}  # fmt: skip
INPUT = Format(True, 6, 3)
FINE = Format(True, 30, 24)


@pytest.fixture(autouse=True, scope="module")
def _few_generations():
    """Validity does not depend on how long the search is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(genetic, "GENERATIONS", 20)
        yield


def problem(function=np.tanh, inputs=INPUT, **changes):
    x = inputs.real(inputs.codes())
    values = {
        "function": "f", "target": function(x), "input": inputs, "output": Format(True, 10, 6),
        "slope": Format(True, 10, 6), "intercept": Format(True, 10, 6), "entries": 4,
        "reference": function,
    }  # fmt: skip
    return Problem(**(values | changes))


def shared(function=np.tanh, **changes):
    forms = tuple(Format(True, 6, frac) for frac in (1, 2, 3))
    return problem(function, Format(True, 7, 3), shared=forms, **changes)


def solved(method, task, seed=0):
    """Return the table of a method, which is checked to be one, and the notes."""
    *integers, notes = METHODS[method].solve(task, seed, False)
    assert all(v.dtype == np.int64 and v.ndim == 1 for v in integers)
    assert json.loads(json.dumps(notes)) == notes
    table = task.table(*integers, notes)  # refuses what does not ascend or fit
    assert table.entries <= task.entries
    return table, notes


def least(task):
    *integers, _ = optimal.solve(task, 0, False)
    return task.cost(task.table(*integers, {}))


@st.composite
def problems(draw):
    """Small problems of all kinds: rough and smooth, folded, shared, weighted, coarse."""
    bits, frac = draw(st.integers(3, 7)), draw(st.integers(-1, 6))
    signed = draw(st.booleans())
    inputs = Format(signed, bits, frac)
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    x = np.linspace(-1, 1, 1 << bits)
    shape = draw(st.sampled_from(["rough", "smooth", "line", "constant"]))
    target = {
        "rough": rng.normal(size=x.size),
        "smooth": np.sin(3 * x * rng.normal() + rng.normal()) * rng.normal(),
        "line": rng.normal() * x + rng.normal(),
        "constant": np.full(x.size, rng.normal()),
    }[shape]
    kind = draw(st.sampled_from(["plain", "fold", "shared"]))
    changes = {}
    if kind == "fold" and signed:
        name = draw(st.sampled_from(["even", "odd", "complement", "relu"]))
        changes["fold"] = Fold(name, Format(False, draw(st.integers(1, bits)), frac))
    if kind == "shared":
        drops = draw(st.sets(st.integers(0, 2), min_size=1))
        changes["shared"] = tuple(Format(signed, bits, frac - drop) for drop in sorted(drops))
    if draw(st.booleans()):
        weights = rng.random(x.size) + 0.01
        if kind != "shared":  # every scale must keep a code
            weights[rng.random(x.size) < 0.3] = 0
            weights[rng.integers(x.size)] = 1
        changes["weights"] = weights
    # Slopes have the fraction bits that unfolding needs.
    slope = Format(True, draw(st.integers(3, 10)), max(0, -frac) + draw(st.integers(2, 6)))
    entries = draw(st.integers(1, 1 << bits))
    task = Problem(
        "random", target, inputs, Format(True, 8, min(5, slope.frac + frac)), slope,
        Format(True, draw(st.integers(3, 10)), min(draw(st.integers(0, 6)), slope.frac + frac)),
        1, draw(st.sampled_from(["mse", "max"])), **changes,
    )  # fmt: skip
    return dataclasses.replace(task, entries=min(entries, 1 << task.argument.bits))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(task=problems(), seed=st.integers(0, 3))
def test_no_method_beats_the_optimum(task, seed):
    best = least(task)
    for method in METHODS:
        table, _ = solved(method, task, seed)
        assert task.cost(table) >= best * (1 - 1e-9) - 1e-15, method


EDGES = {
    "one entry": problem(entries=1),
    "narrow": problem(inputs=Format(True, 4, 1), entries=5),
    "one bit": problem(inputs=Format(False, 1, 0), entries=2),
    "an entry a code": problem(inputs=Format(False, 4, 2), entries=16),
    "constant": problem(lambda x: np.full(x.shape, 0.25)),
    "zero": problem(lambda x: 0 * x),
    "one code": problem(weights=np.eye(64)[40]),
    "two codes": problem(weights=np.eye(64)[3] + np.eye(64)[60], entries=3),
    "no reference": problem(reference=None),
    "tiny coefficients": problem(slope=Format(True, 2, 3), intercept=Format(False, 1, 0)),
    "folded": problem(fold=Fold("odd", Format(False, 5, 3))),
    "saturating fold": problem(fold=Fold("even", Format(False, 2, 3)), entries=4),
    "shared": shared(),
    "shared, one entry": shared(entries=1),
    "weights": problem(weights=np.linspace(0, 1, 64) ** 2),
}


@pytest.mark.parametrize("objective", ["mse", "max"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("edge", EDGES)
def test_edge_cases_have_valid_tables(edge, method, objective):
    task = dataclasses.replace(EDGES[edge], objective=objective)
    table, _ = solved(method, task)
    again, _ = solved(method, task)
    assert again == table
    assert task.cost(table) >= least(task) * (1 - 1e-9) - 1e-15
    if edge in ("constant", "zero"):
        assert task.cost(table) == 0


def test_lines_between_equal_edges_are_dropped():
    # Exp on (-8, 0) with a breakpoint on 0: that code belongs to the line that ends there.
    task = problem(np.exp, slope=FINE, intercept=FINE)
    edges = np.array([-4, -4, -1, -0.2, 0, 0])
    *integers, notes = lines.rounded(task, edges, np.arange(5.0), np.zeros(5))
    table = task.table(*integers, notes)
    assert table.breakpoints == (-8, -2)  # -0.2 is -1.6 codes
    assert FINE.real(np.array(table.slopes)).tolist() == [1, 2, 3]
    assert notes == {"saturated": 0}


def test_lines_without_a_code_are_dropped_and_not_counted():
    narrow = Format(True, 4, 2)
    task = problem(slope=narrow, intercept=narrow)
    edges = np.array([-9, -4.5, -1.03, -0.99, 1, 4, 9])  # in codes: -36, -8.24, -7.92, 8, 32
    slopes = np.array([9.0, 1.9, 9.0, 1.0, -2.2, 9.0])
    *integers, notes = lines.rounded(task, edges, slopes, np.zeros(6))
    assert [v.tolist() for v in integers] == [[-8, 8], [7, 4, -8], [0, 0, 0]]
    assert notes == {"saturated": 2}  # 7.6 rounds to 8; 7 is the largest


def test_the_best_lines_are_the_best_of_all():
    slope, intercept = Format(True, 6, 4), Format(True, 7, 5)
    weights = np.random.default_rng(0).random(64) ** 3
    for task in (
        problem(slope=slope, intercept=intercept, weights=weights),
        shared(slope=slope, intercept=intercept),
    ):
        # Empty segments: no code left of the first, two breakpoints at once, none on the right.
        given = np.array([task.input.min, -9, -9, 4, 17, task.input.max])
        breakpoints, slopes, intercepts = lines.lines_on(task, given)
        points = task.points()
        segment = np.searchsorted(breakpoints, points.start, side="right")
        assert set(segment) == set(range(len(slopes)))
        split = np.searchsorted(given, points.start, side="right")
        assert len(set(zip(segment, split, strict=True))) == len(slopes)
        k, b = np.meshgrid(slope.codes(), intercept.codes())
        for i in range(len(slopes)):
            x, f, w = (v[segment == i] for v in (points.x, points.target, points.weight))
            value = slope.real(k)[..., None] * x + intercept.real(b)[..., None]
            errors = (value - f) ** 2 @ w
            at = (b == intercepts[i]) & (k == slopes[i])
            assert errors[at].item() == pytest.approx(errors.min(), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("entries", [1, 3, 8])
def test_linear_breakpoints_are_uniform(entries):
    task = problem(inputs=Format(True, 9, 6), slope=FINE, intercept=FINE, entries=entries)
    table, notes = solved("linear", task)
    low, high = task.domain
    edges = np.linspace(low, high, entries + 1)
    real = task.input.real(np.array(table.breakpoints))
    assert np.abs(real - edges[1:-1]).max(initial=0) <= task.input.scale / 2
    assert notes == {"saturated": 0}
    k, b = FINE.real(np.array(table.slopes)), FINE.real(np.array(table.intercepts))
    for end in (edges[:-1], edges[1:]):
        np.testing.assert_allclose(k * end + b, np.tanh(end), atol=1e-6)


def test_linear_spans_the_codes_that_count():
    x = np.arange(-32, 32)
    task = problem(weights=((x >= -8) & (x <= 24)).astype(float))
    assert solved("linear", task)[0].breakpoints == (0, 8, 16)


def test_half_a_code_rounds_up():
    task = problem(inputs=Format(False, 3, 0), weights=(np.arange(8) < 6).astype(float), entries=2)
    assert solved("linear", task)[0].breakpoints == (3,)  # 2.5


@pytest.mark.parametrize("task", [protocol.problem("gelu", 8), problem(np.sin), shared()])
def test_lutapp_improves_the_lines_of_the_genetic_search(task):
    table, notes = solved("lutapp", task, 3)
    chords, before = solved("genetic", task, 3)
    assert set(table.breakpoints) <= set(chords.breakpoints)
    assert task.cost(table) <= task.cost(chords) * (1 + 1e-9)
    best = lines.lines_on(task, np.array(chords.breakpoints))
    assert table == task.table(*best, {})
    assert before.keys() - notes.keys() == {"saturated"}
    assert notes["fitness"] == before["fitness"]


def direct_error(points, first, last):
    """Squared error of the least-squares line over the points first to last, by `np.polyfit`."""
    x, f, w = (v[first : last + 1] for v in (points.x, points.target, points.weight))
    if np.unique(x).size < 2:
        return float(w @ (f - np.average(f, weights=w)) ** 2)
    return float(w @ (f - np.polyval(np.polyfit(x, f, 1, w=np.sqrt(w)), x)) ** 2)


def test_errors_of_segments_are_those_of_least_squares():
    task = shared(weights=np.random.default_rng(2).random(128) + 0.1)
    points = task.points()
    for first in (0, 3, 40):
        errors = equal_error.segment_errors(points, first)
        direct = [direct_error(points, first, last) for last in range(first, points.x.size)]
        np.testing.assert_allclose(errors, direct, rtol=1e-7, atol=1e-15)
        assert (np.diff(errors) >= 0).all()


@pytest.mark.parametrize("function", [np.exp, np.tanh])
def test_equal_error_is_equal(function):
    task = problem(function, Format(True, 14, 12), output=Format(True, 16, 12), entries=7)
    points = task.points()
    first, error = equal_error.partition(points, 7)
    ends = np.append(first[1:], points.x.size) - 1
    errors = [direct_error(points, i, j) for i, j in zip(first, ends, strict=True)]
    # Points are not divided, so that a point more or less is the only difference.
    assert len(errors) == 7
    np.testing.assert_allclose(errors, error, rtol=0.02)
    assert max(errors) == pytest.approx(error, rel=1e-6)
    for i, j in zip(first[:-1], ends[:-1], strict=True):
        assert direct_error(points, i, j + 1) > error
    assert solved("equal_error", task)[1] == {"segment_error": error}


@settings(derandomize=True, deadline=None, max_examples=60)
@given(seed=st.integers(0, 1 << 20), entries=st.integers(1, 5), coarse=st.booleans())
def test_no_partition_has_a_smaller_largest_error(seed, entries, coarse):
    inputs, rng = Format(False, 3, 1), np.random.default_rng(seed)
    forms = (inputs, Format(False, 3, -1)) if coarse else ()
    task = problem(
        inputs=inputs, target=rng.normal(size=8), weights=rng.random(8) + 0.1, shared=forms,
        entries=entries, reference=None,
    )  # fmt: skip
    points = task.points()
    first, error = equal_error.partition(points, entries)
    assert first[0] == 0
    assert len(first) <= entries
    edges = np.flatnonzero(np.diff(points.start)) + 1
    assert set(first[1:].tolist()) <= set(edges.tolist())

    def largest(inner):
        pairs = itertools.pairwise((0, *inner, points.x.size))
        return max(direct_error(points, i, j - 1) for i, j in pairs)

    every = (
        largest(inner)
        for count in range(min(entries, len(edges) + 1))
        for inner in itertools.combinations(edges.tolist(), count)
    )
    assert error == pytest.approx(min(every), rel=1e-6, abs=1e-12)
    assert largest(first[1:].tolist()) <= error * (1 + 1e-6) + 1e-12


def test_points_of_one_start_stay_together():
    rng = np.random.default_rng(7)
    points = shared(target=rng.normal(size=128), reference=None).points()
    edges = np.flatnonzero(np.diff(points.start)) + 1
    assert len(edges) < points.x.size - 1
    for entries in range(2, 40):
        first = equal_error.partition(points, entries)[0]
        assert set(first[1:].tolist()) <= set(edges.tolist())


@pytest.mark.parametrize("task", [problem, shared])
def test_a_straight_line_is_one_segment(task):
    points = task(lambda x: 0.3 * x + 0.1, output=Format(True, 12, 6)).points()
    assert equal_error.partition(points, 9)[0].tolist() == [0]


def interpolation_error(task, knots):
    """Weighted squared error of the chords between knots, by definition."""
    points, x = task.points(), task.argument.real(np.array(knots))
    y = task.core(x)
    segment = np.searchsorted(knots[1:-1], points.start, side="right")
    k = np.diff(y) / np.diff(x)
    value = y[:-1][segment] + k[segment] * (points.x - x[:-1][segment])
    return float(points.weight @ (value - points.target) ** 2)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1 << 20), entries=st.integers(1, 6),
    kind=st.sampled_from(["plain", "folded", "shared"]),
)  # fmt: skip
def test_continuous_equals_enumeration(seed, entries, kind):
    rng = np.random.default_rng(seed)
    inputs = Format(kind != "plain", 3 + (kind == "folded"), 1)
    count = 1 << inputs.bits
    changes = {"weights": rng.random(count) * (rng.random(count) < 0.8) + 1e-3}
    if kind == "folded":
        changes["fold"] = Fold("odd", Format(False, 3, 1))
    if kind == "shared":
        changes["shared"] = (inputs, Format(True, 3, 0))
    task = problem(
        inputs=inputs, target=rng.normal(size=count), reference=None, entries=entries, **changes
    )
    knots, error, grid = continuous.interpolate(task)
    low, high = (round(end / task.argument.scale) for end in task.domain)
    assert (knots[0], knots[-1], grid) == (low, high, 1)
    assert len(knots) <= entries + 1
    best = min(
        interpolation_error(task, [low, *inner, high])
        for size in range(min(entries, high - low))
        for inner in itertools.combinations(range(low + 1, high), size)
    )
    assert error == pytest.approx(best, rel=1e-9, abs=1e-15)
    assert interpolation_error(task, knots.tolist()) == pytest.approx(best, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("bits", [6, 13])
def test_continuous_is_continuous(bits):
    task = problem(inputs=Format(True, bits, bits - 3), slope=FINE, intercept=FINE)
    table, notes = solved("continuous", task)
    assert table.entries == 4
    p = task.input.real(np.array(table.breakpoints))
    k, b = FINE.real(np.array(table.slopes)), FINE.real(np.array(table.intercepts))
    left, right = k[:-1] * p + b[:-1], k[1:] * p + b[1:]
    np.testing.assert_allclose(left, right, atol=1e-6)
    np.testing.assert_allclose(right, np.tanh(p), atol=1e-6)
    # More codes than knots: 8192 codes are 8191 steps.
    assert notes["knot_grid"] == (1 if bits == 6 else 16)
    assert all((p - task.input.min) % notes["knot_grid"] == 0 for p in table.breakpoints)
    assert task.cost(table) == pytest.approx(notes["interpolation_mse"], rel=1e-3)


@pytest.mark.parametrize("method", ["linear", "continuous"])
def test_a_function_that_is_not_finite_is_refused(method):
    # Known at the codes that count, but not between them.
    codes = np.arange(-32, 32)
    task = problem(
        lambda x: np.where(np.isin(x * 8, [-30, 0, 30]), 0.0, np.nan), target=np.zeros(64),
        weights=np.isin(codes, [-30, 0, 30]).astype(float),
    )  # fmt: skip
    with pytest.raises(UsageError, match="f must be finite between its arguments' codes"):
        solved(method, task)
