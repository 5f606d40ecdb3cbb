"""Constrained and mixed problems: `optimal` against every table of every integer line.

What is enumerated is built from the definition of the hardware's result, not from
`Problem.points`.
"""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlut_train.errors import UsageError
from nnlut_train.fit import Problem, fit, optimal
from nnlut_train.folding import Fold
from nnlut_train.formats import Format

TOLERANCE = 1e-3  # what the search for the least sum of two errors may miss


class Everything:
    """Every integer line on every segment of a small problem.

    Segments begin and end at groups of arguments that no breakpoint separates. `squares` and
    `most` of shape (n, n, lines) are the errors of each line on the groups i to j; infinite where
    the line is not allowed to be there, and where j < i.
    """

    def __init__(self, task):
        self.task = task
        rows = [row for form in task.shared or (task.input,) for row in self.rows(form)]
        rows.sort(key=lambda row: row[0])
        start, code, x, wanted, weight = (np.array(v) for v in zip(*rows, strict=True))
        k, b = np.meshgrid(task.slope.codes(), task.intercept.codes())
        k, b = (v.reshape(-1, 1) for v in (task.slope.real(k), task.intercept.real(b)))
        self.value = k * x + b
        result, real = self.value, task.input.real(code)
        if task.fold is not None:
            result = {
                "even": result, "odd": np.where(code < 0, -result, result),
                "complement": np.where(code < 0, 1 - result, result),
                "relu": np.maximum(real, 0) - result,
            }[task.fold.kind]  # fmt: skip
        fine = np.ones(result.shape, dtype=bool)
        if task.limits is not None:
            fine &= (result >= task.limits[0] - 1e-9) & (result <= task.limits[1] + 1e-9)
        fine &= (result == wanted) | ~np.isin(code, task.exact)
        if task.max_ulp is not None:
            scale = task.output.scale
            rounded = np.clip(np.floor(result / scale + 0.5), task.output.min, task.output.max)
            fine &= np.abs(rounded - wanted / scale) <= task.max_ulp + 1e-9
        error = np.abs(result - wanted)
        edges = np.append(np.flatnonzero(np.diff(start, prepend=start[0] - 1)), start.size)
        self.starts, self.edges = start[edges[:-1]], edges
        n = len(edges) - 1
        self.squares = np.full((n, n, k.size), np.inf)
        self.most = self.squares.copy()
        self.sign = 0
        if task.monotone:
            self.sign = 1 if (np.diff(task.target[task.used]) >= 0).all() else -1
            if task.fold is not None:  # no step back from a code to its mirror image
                centre = 0.5 if task.fold.kind == "complement" else 0
                fine &= (self.sign * (self.value - centre) >= 0) | (code != 0)
        for i in range(n):
            for j in range(i, n):
                at = slice(edges[i], edges[j + 1])
                allowed = fine[:, at].all(axis=1)
                allowed &= (self.sign * np.diff(self.value[:, at], axis=1) >= 0).all(axis=1)
                squares = error[:, at] ** 2 @ weight[at]
                self.squares[i, j] = np.where(allowed, squares, np.inf)
                self.most[i, j] = np.where(allowed, error[:, at].max(axis=1), np.inf)

    def rows(self, form):
        """Start, code, argument, wanted value and weight of every code of a format."""
        task, rows = self.task, []
        step = 1 << (task.input.frac - form.frac)
        weights = np.ones(1 << task.input.bits) if task.weights is None else task.weights
        breakpoints = np.arange(task.input.min - step, task.input.max + step + 1)
        for small in form.codes().tolist():
            code = small * step
            if not task.input.min <= code <= task.input.max:
                continue
            at = code - task.input.min
            argument = code
            if task.fold is not None:
                argument = min(abs(code), task.fold.magnitude.max)
            start = argument
            if step > 1:  # breakpoints are rounded half up
                start = int(breakpoints[(breakpoints + step // 2) // step <= small].max())
            if weights[at] > 0:
                x = argument * task.input.scale
                rows.append((start, code, x, task.target[at], weights[at]))
        total = sum(row[-1] for row in rows) * max(1, len(task.shared))
        return [(*row[:-1], row[-1] / total) for row in rows]

    def join(self, costs, add=np.add, starts=None):
        """Least cost of a table: costs [i, j, line] are joined by `add`."""
        n = len(costs)
        blocked = np.zeros(n, dtype=bool)
        if starts is not None:
            blocked = ~np.isin(np.arange(n), starts)
        done = np.full((n + 1, costs.shape[2]), np.inf)  # by the last line
        best = np.inf
        for count in range(min(self.task.entries, n)):
            longer = np.full(done.shape, np.inf)
            for i in range(n):
                if (count == 0) != (i == 0) or (count and blocked[i]):
                    continue
                before = np.zeros(costs.shape[2])
                if count and self.sign:
                    left, right = (self.value[:, self.edges[i] - back] for back in (1, 0))
                    before = np.where(
                        self.sign * (right - left[:, None]) >= 0, done[i][:, None], np.inf
                    ).min(axis=0)
                elif count:
                    before = np.full(before.shape, done[i].min())
                if not np.isfinite(before).any():
                    continue
                for j in range(i, n):
                    longer[j + 1] = np.minimum(longer[j + 1], add(before, costs[i, j]))
            done = longer
            best = min(best, done[n].min())
        return float(best)

    def least(self, starts=None):
        """Least objective of a table that meets the constraints; infinite if none does."""
        task = self.task
        if task.objective == "mse":
            return self.join(self.squares, starts=starts)
        least = self.join(self.most, np.maximum, starts)
        if task.objective == "max" or not math.isfinite(least):
            return least
        best = np.inf
        for limit in np.unique(self.most[np.isfinite(self.most)]):
            if limit >= least and task.mix * limit**2 < best:
                squares = np.where(self.most <= limit, self.squares, np.inf)
                best = min(best, self.join(squares, starts=starts) + task.mix * limit**2)
        return best


CONSTRAINTS = ("limits", "exact", "max_ulp", "monotone", "several")


@st.composite
def problems(draw, constraint, objectives, kinds=("plain", "fold", "shared"), most_bits=4):
    bits = draw(st.integers(3, most_bits))
    frac = draw(st.integers(0, 3))
    kind = draw(st.sampled_from(kinds))
    if kind == "shared" and constraint in ("max_ulp", "monotone", "several"):
        kind = "plain"
    signed = kind == "fold" or draw(st.booleans())
    inputs = Format(signed, bits, frac)
    slope = Format(draw(st.booleans()), draw(st.integers(3, most_bits)), draw(st.integers(0, 3)))
    whole = slope.frac + frac
    intercept = Format(True, draw(st.integers(3, most_bits)), draw(st.integers(0, min(3, whole))))
    output = Format(True, draw(st.integers(3, 6)), draw(st.integers(0, min(4, whole))))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    x = inputs.real(inputs.codes())
    changes = {"objective": draw(st.sampled_from(objectives))}
    monotone = constraint in ("monotone", "several")
    if kind == "fold":
        folds = ["odd", "complement"] if monotone else ["even", "odd", "complement", "relu"]
        name = draw(st.sampled_from(folds))
        changes["fold"] = Fold(name, Format(False, draw(st.integers(2, bits)), frac))
    if kind == "shared":
        drops = draw(st.sets(st.integers(0, 2), min_size=1))
        changes["shared"] = tuple(Format(signed, bits, frac - drop) for drop in sorted(drops))
    count = x.size if kind != "fold" else x.size // 2 + 1
    shape = rng.normal(size=count)
    if monotone:
        shape = np.cumsum(np.abs(shape)) * rng.choice([-1, 1])
    centre = rng.normal()
    if monotone and kind == "fold":
        centre = 0.5 if name == "complement" else 0.0
    target = shape * rng.choice([0.3, 1.0]) + centre
    if draw(st.booleans()):  # what coarse lines can reach
        target = np.round(target * 2) / 2
    if kind == "fold":
        core = target[np.minimum(np.abs(inputs.codes()), changes["fold"].magnitude.max)]
        target = changes["fold"].unfold(inputs.codes(), core, 1.0, inputs.scale)
        if monotone:  # clipping must not change the direction
            output = Format(True, 12, min(4, whole))
    if draw(st.booleans()):
        weights = rng.random(x.size) + 0.05
        if kind == "plain":
            weights[rng.random(x.size) < 0.2] = 0
            weights[0] = 1
        changes["weights"] = weights
    if constraint in ("limits", "several"):
        low, high = np.sort(rng.choice([-2, -1, -0.5, 0, 0.25, 0.3, 1, 1.5, 3], 2, replace=False))
        changes["limits"] = float(low), float(high)
    if constraint == "exact" or (constraint == "several" and draw(st.integers(0, 4)) == 0):
        changes["exact"] = tuple(rng.choice(inputs.codes(), rng.integers(1, 3)).tolist())
    if constraint in ("max_ulp", "several"):
        changes["max_ulp"] = draw(st.sampled_from([0.5, 0.75, 1, 2, 5]))
    if constraint == "monotone" or (constraint == "several" and changes["objective"] != "max"):
        changes["monotone"] = True
    if changes["objective"] == "mixed":
        changes["mix"] = draw(st.sampled_from([0.0, 0.1, 1.0, 10.0]))
    most = changes["fold"].magnitude.bits if kind == "fold" else bits
    entries = min(draw(st.integers(1, 5)), 1 << most)
    return Problem(
        "random", target, inputs, output, slope, intercept, entries, **changes
    )  # fmt: skip


def compare(task, most=None):
    """The optimal table meets the constraints and costs what the best of all tables does.

    If the search is limited to `most` starts, the best is only known to be inside the gap.
    """
    every, exact, starts = Everything(task), most is None, None
    least = every.least()
    if not exact:
        grid = 1
        while np.unique(every.starts // grid).size > most:
            grid *= 2
        starts = np.unique(every.starts // grid, return_index=True)[1]
    if math.isinf(least if exact else every.least(starts)):
        if not exact:  # finer breakpoints might do, but are not looked for
            return
        with pytest.raises(UsageError, match=f"^no table of at most {task.entries} entries"):
            optimal.solve(task, 0, False)
        return
    *integers, notes = optimal.solve(task, 0, False)
    table, certificate = task.table(*integers, notes), notes["certificate"]
    assert table.entries <= task.entries
    assert task.meets(table)
    cost, tiny = task.cost(table), 1e-13
    assert certificate["lower_bound"] <= least * (1 + 1e-9) + tiny
    assert least <= cost * (1 + 1e-9) + tiny
    assert certificate["gap"] * cost == pytest.approx(
        cost - certificate["lower_bound"], abs=2e-9 * cost
    )
    if exact:
        tolerance = TOLERANCE * 1.01 if task.objective == "mixed" else 1e-9
        assert cost <= least * (1 + tolerance) + tiny
        assert certificate["gap"] <= tolerance
    if task.max_ulp is not None:
        codes = task.input.codes()[task.used]
        wanted = task.target[task.used] / task.output.scale
        assert (np.abs(table.lookup(codes) - wanted) <= task.max_ulp + 1e-9).all()
    if task.exact and not task.shared:
        codes = [c for c in task.exact if task.used[c - task.input.min]]
        at = np.array(codes, dtype=int) - task.input.min
        assert table.line(task.input.real(np.array(codes))).tolist() == task.target[at].tolist()


@pytest.mark.parametrize("constraint", ["limits", "exact", "max_ulp", "several"])
@settings(derandomize=True, deadline=None, max_examples=120)
@given(data=st.data())
def test_constrained_tables_equal_enumeration(constraint, data):
    compare(data.draw(problems(constraint, ("mse", "max"))))


@settings(derandomize=True, deadline=None, max_examples=120)
@given(task=problems("monotone", ("mse",)))
def test_monotone_tables_equal_enumeration(task):
    compare(task)


@pytest.mark.parametrize("constraint", [None, *CONSTRAINTS])
@settings(derandomize=True, deadline=None, max_examples=25)
@given(data=st.data())
def test_mixed_tables_are_within_their_gap(constraint, data):
    compare(data.draw(problems(constraint, ("mixed",), most_bits=3)))


@pytest.mark.parametrize("constraint", [None, *CONSTRAINTS])
@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=st.data())
def test_the_gap_of_a_coarse_grid_is_honest(constraint, data):
    objectives = ("mse",) if data.draw(st.integers(0, 4)) else ("mixed",)
    task = data.draw(problems(constraint, objectives, most_bits=4 if "mse" in objectives else 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimal, "MAX_STARTS", 4)
        patch.setattr(optimal, "MAX_CONSTRAINED", 4**2 << task.slope.bits)
        compare(task, most=4)


def problem(bits=8, **changes):
    form = Format(True, bits, bits - 3)
    x = form.real(form.codes())
    values = {
        "function": "tanh", "target": np.tanh(x), "input": form, "output": Format(True, 8, 6),
        "slope": Format(True, 8, 6), "intercept": Format(True, 8, 6), "entries": 6,
    }  # fmt: skip
    return Problem(**(values | changes))


def solved(task):
    return fit(task, cache=False)


def test_each_constraint_costs_something_and_holds():
    codes = problem().input.codes()
    x = problem().input.real(codes)
    free = solved(problem())
    assert (np.abs(free.line(x)) > 1).any()
    held = solved(problem(limits=(-1, 1)))
    assert (np.abs(held.line(x)) <= 1).all()
    bell = problem(target=np.exp(-(x**2)))
    assert solved(bell).line(0.0) != 1
    through = solved(dataclasses.replace(bell, exact=(0,)))
    assert through.line(0.0) == 1
    assert through.meta["cost"] > solved(bell).meta["cost"]
    near = solved(problem(max_ulp=2))
    wanted = problem().target * 64
    assert (np.abs(free.lookup(codes) - wanted) > 2).any()
    assert (np.abs(near.lookup(codes) - wanted) <= 2).all()
    for table in (held, near):
        assert table.meta["certificate"]["gap"] == 0
        assert table.meta["cost"] > free.meta["cost"]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_monotone_table_has_no_step_back(sign):
    coarse = Format(True, 6, 4)
    task = problem(slope=coarse, intercept=coarse, entries=8)
    task = dataclasses.replace(task, target=sign * task.target)
    x = task.input.real(task.input.codes())
    free, held = solved(task), solved(dataclasses.replace(task, monotone=True))
    assert (sign * np.diff(free.line(x)) < 0).any()
    assert (sign * np.diff(held.line(x)) >= 0).all()
    assert held.meta["cost"] > free.meta["cost"]
    assert held.meta["certificate"]["gap"] == 0


def test_constraints_that_ask_for_nothing_change_nothing():
    free = solved(problem())
    for changes in ({"limits": (-2, 2)}, {"max_ulp": 100}, {"exact": (), "limits": (-9, 9)}):
        assert solved(problem(**changes)) == free


def test_mixed_lies_between_the_two_errors():
    mean, most = (solved(problem(7, objective=objective)) for objective in ("mse", "max"))
    tables = [solved(problem(7, objective="mixed", mix=mix)) for mix in (0.0, 0.01, 0.1, 1.0, 1e3)]
    errors = [[t.meta["errors"][name] for name in ("line_mse", "line_max")] for t in tables]
    slack = 1 + 1e-3
    assert errors[0][0] <= mean.meta["cost"] * slack
    assert errors[-1][1] <= most.meta["cost"] * slack
    assert errors[0][1] > errors[-1][1] * slack
    for (mse, largest), (next_mse, next_largest) in itertools.pairwise(errors):
        assert mse <= next_mse * slack
        assert largest >= next_largest / slack
    assert all(table.meta["certificate"]["gap"] <= 1e-3 for table in tables)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limits": (2, 3), "intercept": Format(True, 4, 6)}, "no table of at most 6 entries"),
        ({"exact": (1,)}, "no table of at most 6 entries"),  # tanh(1/32) is no line's value
        ({"max_ulp": 0.5, "entries": 1}, "no table of at most 1 entries"),
        ({"target": np.ones(256), "limits": (-0.5, 0.5), "exact": (0,)}, "no table of at most 6"),
        (
            {
                "target": np.ones(256),
                "limits": (-0.5, 0.5),
                "max_ulp": 0.5,
                "fold": Fold("even", Format(False, 8, 5)),
            },
            "no table of at most 6 entries",
        ),
        ({"monotone": True, "objective": "max"}, "monotone goes with the objective mse or mixed"),
        ({"monotone": True, "target": np.cos(np.arange(256.0))}, "tanh must rise or fall"),
    ],
)
def test_what_cannot_be_met_is_refused(changes, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        solved(problem(**changes))
    if "monotone" not in changes:
        with pytest.raises(UsageError, match=f"^{message}"):
            solved(problem(**changes, objective="max"))


def test_a_single_code_may_have_any_slope():
    # Falling values, and slopes that cannot be negative: a line of one code does not rise.
    form = Format(False, 3, 0)
    task = problem(
        input=form, target=np.array([-1, -1.5, -1.5, -1.5, -2, -2.5, -3, -3]),
        output=Format(True, 3, 0), slope=Format(False, 3, 1), intercept=Format(True, 3, 0),
        entries=3, monotone=True, objective="mixed",
        weights=np.array([1, 0.6, 0.4, 0.9, 0, 0.8, 0.6, 0.9]),
    )  # fmt: skip
    assert solved(task).meta["cost"] == pytest.approx(Everything(task).least(), rel=1e-9)


def test_codes_that_no_bits_are_dropped_for_are_near_enough():
    # The product has as many fraction bits as the output: each value is a code.
    form, whole = Format(False, 3, 0), Format(True, 3, 0)
    task = problem(
        input=form, target=np.ones(8), output=whole, slope=whole, intercept=whole, max_ulp=0.5,
        limits=(-2, 2), entries=1,
    )  # fmt: skip
    assert solved(task).meta["cost"] == 0


def test_a_folded_sigmoid_can_be_monotone():
    # f(x) and 1 - f(-x) differ by rounding only: that is no fall.
    form = Format(True, 6, 3)
    x = form.real(form.codes())
    fold = Fold("complement", Format(False, 6, 3))
    task = problem(
        input=form, target=1 / (1 + np.exp(-x)), output=Format(False, 9, 8), monotone=True,
        fold=fold, entries=3,
    )  # fmt: skip
    table = solved(task)
    assert task.meets(table)
    assert (np.diff(table.line(x)[x >= 0]) >= 0).all()
