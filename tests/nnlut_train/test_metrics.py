"""The metrics of the comparison, against slow direct evaluation."""

from fractions import Fraction

import numpy as np
import pytest

from nnlut_train import metrics, protocol
from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.tables import PwlTable

DOMAIN = (-1.0, 1.5)
TABLE = PwlTable(
    Format(True, 8, 6), Format(True, 8, 4), Format(True, 8, 6), Format(True, 8, 6),
    (-19, 3, 30), (-10, 5, 40, 60), (7, 0, -9, 20),
)  # fmt: skip


def square(x):
    return x**2


def by_hand(table, x, breakpoints=None, scale=64):
    """Evaluate one line in exact arithmetic: a tie belongs to the right."""
    breakpoints = table.breakpoints if breakpoints is None else breakpoints
    x = Fraction(float(x))
    i = sum(x >= Fraction(p, scale) for p in breakpoints)
    return float(Fraction(table.slopes[i], 64) * x + Fraction(table.intercepts[i], 64))


def grid_errors(step=0.01):
    return np.array([by_hand(TABLE, x) - x**2 for x in np.arange(*DOMAIN, step)])


@pytest.mark.parametrize("step", [0.01, 0.125])
def test_the_grid_is_measured_as_by_hand(step):
    errors = grid_errors(step)
    assert metrics.grid_mse(TABLE, square, DOMAIN, step) == pytest.approx(np.mean(errors**2))
    assert metrics.max_error(TABLE, square, DOMAIN, step) == pytest.approx(np.abs(errors).max())


def test_the_grid_leaves_its_upper_end_out():
    x = metrics.grid((0.0, 1.0), 0.25)
    assert x.tolist() == [0.0, 0.25, 0.5, 0.75]


def test_weights_say_how_much_a_point_counts():
    x = np.arange(*DOMAIN, 0.01)
    density = np.exp(-x)
    want = sum(density * grid_errors() ** 2) / sum(density)
    found = metrics.weighted_mse(TABLE, square, DOMAIN, lambda x: 3.0 * np.exp(-x))
    assert found == pytest.approx(want)
    equal = metrics.weighted_mse(TABLE, square, DOMAIN, np.ones_like)
    assert equal == pytest.approx(metrics.grid_mse(TABLE, square, DOMAIN))


def test_the_own_scale_is_measured_as_by_hand(monkeypatch):
    monkeypatch.setattr(PwlTable, "at", None)  # not to be called: the table has that format
    x = [q / 64 for q in range(-64, 97)]  # both ends belong to the domain
    want = np.mean([(by_hand(TABLE, v) - v**2) ** 2 for v in x])
    assert metrics.scale_mse(TABLE, square, DOMAIN, TABLE.input) == pytest.approx(want)


def test_another_scale_rounds_the_breakpoints_half_up():
    x = [q / 4 for q in range(-4, 7)]
    rounded = (-1, 0, 2)  # -19/16 = -1.1875, 3/16 = 0.1875, 30/16 = 1.875
    want = np.mean([(by_hand(TABLE, v, rounded, 4) - v**2) ** 2 for v in x])
    assert metrics.scale_mse(TABLE, square, DOMAIN, Format(True, 8, 2)) == pytest.approx(want)


@pytest.mark.parametrize("name", protocol.CASES)
def test_the_average_over_the_scales_is_the_objective(name):
    problem = protocol.problem(name, 3)
    low, high = problem.domain
    middle = [int((low + (high - low) * part) * 2**problem.input.frac) for part in (0.3, 0.6)]
    table = problem.table(middle, (10, 20, 30), (5, -6, 7), {})
    function = protocol.CASES[name].function
    forms = problem.shared or (problem.input,)
    each = [metrics.scale_mse(table, function, function.domain, form) for form in forms]
    assert np.mean(each) == pytest.approx(problem.cost(table), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.grid((1.0, 1.0)), "LO < HI"),
        (lambda: metrics.grid((0.0, 1.0), 0.0), "positive step"),
        (lambda: metrics.scale_mse(TABLE, square, (0.3, 0.4), Format(True, 8, 1)), "no code"),
        (lambda: metrics.scale_mse(TABLE, square, DOMAIN, Format(True, 8, 7)), "fewer fraction"),
        (lambda: metrics.weighted_mse(TABLE, square, DOMAIN, np.zeros_like), "not all zero"),
        (lambda: metrics.weighted_mse(TABLE, square, DOMAIN, lambda x: x), "numbers >= 0"),
        (lambda: metrics.weighted_mse(TABLE, square, DOMAIN, lambda x: 1.0), "numbers >= 0"),
        (lambda: metrics.weighted_mse(TABLE, square, DOMAIN, lambda x: x / 0 * 0), "numbers >= 0"),
    ],
)
def test_what_cannot_be_measured_is_said(call, message):
    with np.errstate(all="ignore"), pytest.raises(UsageError, match=message):
        call()
