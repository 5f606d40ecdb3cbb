"""`optimal` against enumeration of every table, and against published figures."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlut_train import protocol
from nnlut_train.fit import Problem, fit, optimal
from nnlut_train.fit import programme as implementation
from nnlut_train.folding import fold_for
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS

Q1_6 = Format(True, 8, 6)
OBJECTIVES = ("mse", "max")


def gelu(x):
    return x * np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])


def hswish(x):
    return x * np.clip(x + 3, 0, 6) / 6


# Function, range, entries and the published mean squared error of a dynamic programme with Q1.6
# coefficients, as printed. That of exp in 16 entries is not the least: see the test.
PUBLISHED = [
    (gelu, -4, 4, 8, "2.77e-05"),
    (gelu, -4, 4, 16, "3.20e-06"),
    (hswish, -4, 4, 8, "1.11e-04"),
    (hswish, -4, 4, 16, "8.0e-06"),
    (np.exp, -8, 0, 8, "1.12e-05"),
    (np.exp, -8, 0, 16, "5.02e-06"),
]


def segment_costs(x, f, weights, slope, intercept, objective):
    """Costs [i, j] of the points i to j - 1, over every line of the lattice."""
    k, b = np.meshgrid(slope.real(slope.codes()), intercept.real(intercept.codes()))
    error = np.abs(k.reshape(-1, 1) * x + b.reshape(-1, 1) - f)
    costs = np.full((x.size, x.size + 1), np.inf)
    for i in range(x.size):
        if objective == "mse":
            sums = np.cumsum(weights[i:] * error[:, i:] ** 2, axis=1)
        else:
            sums = np.maximum.accumulate(error[:, i:], axis=1)
        costs[i, i + 1 :] = sums.min(axis=0)
    return costs


def cheapest(costs, entries, join):
    """Least cost of all partitions in at most so many segments, by enumeration."""
    n = len(costs)
    best = np.inf
    for count in range(min(entries, n)):
        for inner in itertools.combinations(range(1, n), count):
            edges = (0, *inner, n)
            best = min(best, join([costs[i, j] for i, j in itertools.pairwise(edges)]))
    return best


def programme(costs, entries):
    """Least total cost in at most so many segments, for more points than can be enumerated."""
    best = np.full(len(costs) + 1, np.inf)
    best[0] = 0
    for _ in range(entries):
        best = np.minimum(best, (best[:-1, None] + costs).min(axis=0))
    return best[-1]


def check(x, f, weights, slope, intercept, entries, objective, result):
    """The result is a valid table that has the cost it claims."""
    first, k, b, cost = result
    assert first[0] == 0
    assert (np.diff(first) > 0).all()
    assert first.size <= entries
    assert k.dtype == b.dtype == np.int64
    for codes, form in ((k, slope), (b, intercept)):
        assert codes.shape == first.shape
        assert ((form.min <= codes) & (codes <= form.max)).all()
    assert ((np.diff(k) != 0) | (np.diff(b) != 0)).all()
    i = np.searchsorted(first, np.arange(x.size), side="right") - 1
    error = np.abs(slope.real(k)[i] * x + intercept.real(b)[i] - f)
    expected = np.average(error**2, weights=weights) if objective == "mse" else error.max()
    assert cost == pytest.approx(expected, rel=1e-12, abs=1e-15)


def formats(most_bits):
    return st.builds(Format, st.booleans(), st.integers(1, most_bits), st.integers(-1, 4))


@st.composite
def cases(draw, sizes, most_bits):
    n = draw(sizes)
    steps = draw(st.lists(st.sampled_from([0.25, 0.3, 1.0]), min_size=n, max_size=n))
    x = draw(st.sampled_from([-3.0, 0.0, 0.7, 40.0])) + np.cumsum(steps)
    f = np.array(draw(st.lists(st.floats(-4, 4, width=32), min_size=n, max_size=n)))
    weight = st.sampled_from([0.0, 0.0, 1e-3, 1.0, 1.0, 7.5])
    weights = np.array(draw(st.lists(weight, min_size=n, max_size=n)))
    return x, f, weights, draw(formats(most_bits)), draw(formats(most_bits))


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(derandomize=True, deadline=None, max_examples=400)
@given(case=cases(st.integers(1, 7), 4), entries=st.integers(1, 8), equal=st.booleans())
def test_equals_enumeration(objective, case, entries, equal):
    x, f, weights, slope, intercept = case
    given_weights = None if equal else weights
    if equal or not weights.any():
        weights = np.ones(x.size)
    result = optimal.search(x, f, given_weights, slope, intercept, entries, objective)
    check(x, f, weights, slope, intercept, entries, objective, result)
    costs = segment_costs(x, f, weights, slope, intercept, objective)
    least = cheapest(costs, entries, sum if objective == "mse" else max)
    if objective == "mse":
        least /= weights.sum()
    assert result[3] == pytest.approx(least, rel=1e-9, abs=1e-13)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(case=cases(st.integers(65, 90), 5), entries=st.integers(1, 12), small=st.booleans())
def test_many_points_and_small_buffers_equal_a_plain_programme(case, entries, small):
    x, f, weights, slope, intercept = case
    f = np.cumsum(f) / 16
    if not weights.any():
        weights = np.ones(x.size)
    with pytest.MonkeyPatch.context() as patch:
        if small:  # the rare paths: segments given up and completed, work cut into chunks
            patch.setattr(implementation, "FIRST_RADIUS", 0)
            patch.setattr(implementation, "CHUNK", 100)
        result = optimal.search(x, f, weights, slope, intercept, entries, "mse")
    check(x, f, weights, slope, intercept, entries, "mse", result)
    costs = segment_costs(x, f, weights, slope, intercept, "mse")
    assert result[3] == pytest.approx(programme(costs, entries) / weights.sum(), rel=1e-9)


def test_a_segment_may_cost_all_that_the_coarse_search_allows():
    x = np.arange(100.0)
    f = np.random.default_rng(0).normal(size=100)
    fine = Format(True, 32, 28)
    cost = optimal.search(x, f, None, fine, fine, 1, "mse")[3]
    assert cost == pytest.approx(np.mean((f - np.polyval(np.polyfit(x, f, 1), x)) ** 2), rel=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_segments_begin_only_at_starts(objective):
    x = np.arange(8.0)
    f, starts, form = np.sin(x), np.array([0, 3, 4, 6]), Format(True, 4, 2)
    first, _, _, cost = optimal.search(x, f, None, form, form, 3, objective, starts)
    assert set(first) <= set(starts)
    costs = segment_costs(x, f, np.ones(8), form, form, objective)
    edges = np.append(starts, 8)
    least = cheapest(costs[np.ix_(starts, edges)], 3, sum if objective == "mse" else max)
    assert cost == pytest.approx(least / (8 if objective == "mse" else 1), rel=1e-12)


def lattice_programme(x, f, entries, slopes):
    """Mean squared error of Q1.6 tables whose slopes are those that `slopes` gives a segment."""
    n = x.size
    costs = np.full((n, n + 1), np.inf)
    for i in range(n):
        u, v, w = x[i:] - x[i], f[i:] - f[i], np.arange(1, n - i + 1)
        mu, mv = np.cumsum(u) / w, np.cumsum(v) / w
        uu, uv = np.cumsum(u * u) - w * mu**2, np.cumsum(u * v) - w * mu * mv
        vv = np.cumsum(v * v) - w * mv**2
        k = slopes(np.divide(uv, uu, out=np.zeros(n - i), where=w > 1))
        ideal = (mv + f[i])[:, None] - k * (mu + x[i])[:, None]
        b = np.clip(np.rint(ideal * 64), -128, 127) / 64
        error = k**2 * uu[:, None] - 2 * k * uv[:, None] + w[:, None] * (b - ideal) ** 2
        costs[i, i + 1 :] = np.maximum(error.min(axis=1) + vv, 0)
    return programme(costs, entries) / n


@pytest.mark.parametrize(("function", "low", "high", "entries", "published"), PUBLISHED)
def test_published_figures(function, low, high, entries, published):
    x = np.arange(low, high, 0.01)
    f = function(x)
    result = optimal.search(x, f, None, Q1_6, Q1_6, entries, "mse")
    check(x, f, None, Q1_6, Q1_6, entries, "mse", result)
    every = np.arange(-128, 128)[None, :] / 64
    assert result[3] == pytest.approx(lattice_programme(x, f, entries, lambda k: every), rel=1e-8)

    def four(k):  # the published programme tried the four slopes around the real one
        return np.clip(np.floor(k * 64)[:, None] + np.arange(-1, 3), -128, 127) / 64

    digits = len(published.split("e")[0]) - 2
    if (function, entries) == (np.exp, 16):
        assert f"{lattice_programme(x, f, entries, four):.2e}" == published
        assert f"{result[3]:.2e}" == "4.76e-06"  # better
    else:
        assert f"{result[3]:.{digits}e}" == published


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_deterministic(objective):
    x = np.linspace(-4, 4, 150)
    runs = [optimal.search(x, gelu(x), None, Q1_6, Q1_6, 8, objective) for _ in range(2)]
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_one_entry_and_as_many_as_points(objective):
    x = np.arange(6.0)
    f = np.array([0.0, 3.0, -2.0, 5.0, 1.0, -6.0])
    form = Format(True, 6, 0)
    assert optimal.search(x, f, None, form, form, 1, objective)[0].tolist() == [0]
    first, _, _, cost = optimal.search(x, f, None, form, form, 6, objective)
    assert cost == 0
    assert first.size <= 6


def test_a_line_needs_one_segment_whatever_the_entries():
    x = np.arange(-8, 8) / 4
    for objective in OBJECTIVES:
        result = optimal.search(x, 0.75 * x - 0.25, None, Q1_6, Q1_6, 16, objective)
        assert [v.tolist() for v in result[:3]] == [[0], [48], [-16]]
        assert result[3] == 0


def test_coefficients_at_the_ends_of_their_ranges():
    x = np.arange(-8, 8) / 4
    form = Format(True, 4, 2)
    for objective in OBJECTIVES:
        steep = optimal.search(x, 100 * x, None, form, form, 1, objective)
        assert steep[1] == [form.max]
        high = optimal.search(x, x * 0 + 100.0, None, Format(True, 8, 6), form, 1, objective)
        assert high[2] == [form.max]


def test_points_without_weight_cost_nothing():
    x = np.arange(12.0)
    f = np.where(x < 6, x, 100 * np.sin(x))
    weights = np.where(x < 6, 2.0, 0.0)
    form = Format(True, 8, 4)
    first, _, _, cost = optimal.search(x, f, weights, form, form, 4, "mse")
    assert cost == 0
    assert first.tolist() == [0]


def test_tiny_weights_and_wide_slopes():
    # One point of real weight: thousands of slopes are equally good but for the intercept's code.
    x = np.arange(20) / 16
    f = np.exp(-x)
    weights = np.where(np.arange(20) == 7, 1.0, 1e-30)
    slope, intercept = Format(True, 16, 14), Format(True, 6, 4)
    k, b = np.meshgrid(slope.real(slope.codes()), intercept.real(intercept.codes()))
    least = np.min((k * x[7] + b - f[7]) ** 2) / weights.sum()
    cost = optimal.search(x, f, weights, slope, intercept, 20, "mse")[3]
    assert cost <= least * (1 + 1e-9) + 1e-25


def problem(bits, objective, **options):
    form = Format(True, bits, bits - 3)
    target = hswish(form.real(form.codes()))
    return Problem("hswish", target, form, Format(True, 14, 10), Q1_6, Q1_6, 6, objective,
                   **options)  # fmt: skip


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_fit_gives_a_table_of_the_cost_it_notes(objective, capsys):
    weights = np.exp(-(np.linspace(-2, 2, 256) ** 2))
    table = fit(problem(8, objective, weights=weights), progress=True, cache=False)
    certificate = table.meta["certificate"]
    assert certificate["gap"] == 0
    assert certificate["lower_bound"] == pytest.approx(table.meta["cost"], rel=1e-9)
    assert certificate["lower_bound"] <= table.meta["cost"]
    measured = table.meta["errors"]["line_mse" if objective == "mse" else "line_max"]
    assert measured == pytest.approx(table.meta["cost"], rel=1e-12)
    assert capsys.readouterr() == ("", "")  # no terminal, no progress bar


def solved(task):
    """Cost and certificate of the best table."""
    *integers, notes = optimal.solve(task, 0, False)
    return task.cost(task.table(*integers, {})), notes["certificate"]


def test_more_than_12_bits_take_a_coarser_grid_and_say_so():
    cost, certificate = solved(problem(13, "mse"))
    assert 0 < certificate["gap"] < 0.05
    bound = certificate["lower_bound"]
    assert certificate["gap"] == pytest.approx((cost - bound) / cost, rel=1e-9)
    # Codes are 1/1024 apart there, so the table is hardly worse than that of 12 bits.
    assert cost == pytest.approx(solved(problem(12, "mse"))[0], rel=1e-2)
    assert solved(problem(13, "max"))[1]["gap"] == 0


def test_a_table_of_a_coarser_grid_is_searched_again_near_its_breakpoints(monkeypatch):
    least, exact = solved(problem(9, "mse"))
    assert exact["gap"] == 0
    monkeypatch.setattr(optimal, "MAX_STARTS", 1 << 7)
    cost, certificate = solved(problem(9, "mse"))
    assert certificate["lower_bound"] <= least * (1 + 1e-9)
    assert least * (1 - 1e-9) <= cost
    points = problem(9, "mse").points()
    coarse = optimal.search(
        points.x, points.target, None, Q1_6, Q1_6, 6, "mse", np.arange(0, 512, 4)
    )[3]
    assert cost < coarse


# Function, entries, input scales that share the table, and the least mean squared error as printed.
PROTOCOL = [
    ("gelu", 8, [5], "2.775e-05"),
    ("gelu", 16, [5], "3.198e-06"),
    ("hswish", 8, [5], "1.119e-04"),
    ("hswish", 16, [5], "8.02e-06"),
    ("exp", 8, [4], "1.155e-05"),
    ("gelu", 8, None, "3.20e-05"),
    ("gelu", 16, None, "5.11e-06"),
    ("hswish", 8, None, "1.11e-04"),
    ("hswish", 16, None, "1.21e-05"),
    ("exp", 8, None, "1.63e-05"),
    ("exp", 16, None, "9.2e-06"),
]


@pytest.mark.parametrize(("name", "entries", "scales", "printed"), PROTOCOL)
def test_optima_of_the_protocol(name, entries, scales, printed):
    cost, certificate = solved(protocol.problem(name, entries, scales=scales))
    assert certificate["gap"] == 0
    digits = len(printed.split("e")[0]) - 2
    assert f"{cost:.{digits}e}" == printed


# Function, fraction bits of the INT8 input, range of the codes that count, and the least mean
# squared errors as printed: folded, and not folded with the same storage.
FOLDED = [
    ("gelu", 4, 4, "1.2e-06", "2.7e-05"),
    ("gelu", 5, 4, "1.3e-06", "2.8e-05"),
    ("silu", 4, 8, "2.8e-06", "6.2e-05"),
    ("silu", 5, 8, "1.1e-06", "2.5e-05"),
]


@pytest.mark.parametrize(("name", "frac", "most", "folded", "plain"), FOLDED)
def test_folding_is_worth_more_than_a_factor_of_15(name, frac, most, folded, plain):
    function, inputs, output = FUNCTIONS[name], Format(True, 8, frac), Format(True, 8, frac)
    x = inputs.real(inputs.codes())
    signed = Problem(
        name, function(x), inputs, output, Q1_6, Q1_6, 8, weights=(np.abs(x) <= most).astype(float)
    )
    # The core stays below 1/2: all eight bits are fraction bits.
    core = Format(True, 8, 8)
    fold = fold_for(function, "relu", inputs, output)
    costs = [
        solved(task)[0]
        for task in (dataclasses.replace(signed, fold=fold, slope=core, intercept=core), signed)
    ]
    assert 15 * costs[0] <= costs[1]
    assert [f"{cost:.1e}" for cost in costs] == [folded, plain]
