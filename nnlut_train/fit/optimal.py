"""Optimal tables: exact search over breakpoints and integer coefficients.

Lines are fitted on the lattice that the hardware stores, not rounded afterwards: the cost of a
segment is that of its best integer (slope, intercept) inside both formats. Nothing is better, up
to the rounding of float64 sums.

* ``mse``: dynamic programming over the breakpoints: `programme`.
* ``max``: greedy longest segments and bisection: `minimax`.
* With constraints: `constrained` and `monotone`; ``mixed``: `mixed`.

Several input scales that share a table, and both signs of a folded argument, are no different: each
adds points to the lines' sums, in the order of the breakpoints (`Points.start`).

A squared error of more than `MAX_STARTS` codes, and under constraints of more than
`MAX_CONSTRAINED` allows, is searched on a grid of breakpoints, then on ever finer ones near what
was found; a bound on the gap to the optimum is proved and noted.

Of an input whose codes are too many to be looked at there is a sample (`Problem.codes`).
Breakpoints are codes of it then, and a bound is one on the error over it; the note says so.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ..errors import UsageError
from ..formats import Format
from ..tables import PwlTable
from .constrained import Constrained
from .minimax import InfeasibleError, Minimax, Tube
from .mixed import solve_mixed
from .programme import Programme

if TYPE_CHECKING:
    from . import Problem

__all__ = ["fewest_bits", "fewest_entries", "search", "solve"]

#: ``mse`` lets segments begin at so many codes at most: its effort grows with the square.
MAX_STARTS = 1 << 12
#: Constraints are searched for every slope and pair of starts: at most so many of them.
MAX_CONSTRAINED = 1 << 27
#: Fraction bits that `fewest_bits` may add to a coefficient.
MORE_BITS = 6
#: Pairs of formats with so many fraction bits more than the best are trimmed, too.
NEARLY = 2


def _costed(weights: np.ndarray | None, size: int) -> np.ndarray:
    """Return weights with a maximum of 1: given ones, or equal ones."""
    if weights is None or not weights.any():
        return np.ones(size)
    return weights / weights.max()


def _tidy(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first points, slopes and intercepts as integers, equal neighbours merged."""
    first, k, b = (np.asarray(v).astype(np.int64) for v in columns)
    new = np.append(True, (np.diff(k) != 0) | (np.diff(b) != 0))
    return first[new], k[new], b[new]


def search(
    x: np.ndarray, target: np.ndarray, weights: np.ndarray | None, slope_format: Format,
    intercept_format: Format, entries: int, objective: str, starts: np.ndarray | None = None,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:  # fmt: skip
    """Find the best piecewise-linear approximation with integer coefficients.

    Parameters
    ----------
    x, target, weights : float64 arrays, shape (n,)
        Points in the order of the breakpoints, the wanted values there, and non-negative weights
        of the squared errors: None or all zero for equal ones; ``max`` ignores them.
    slope_format, intercept_format : Format
        Codes k and b make the line ``slope_format.scale * k * x + intercept_format.scale * b``.
    entries, objective : int, str
        Number of segments at most, 1 or more; ``mse`` or ``max``.
    starts : int64 array, optional
        Ascending indices, from 0, at which segments may begin; all by default.
    progress : bool
        Show a progress bar, if standard error is a terminal.

    Returns
    -------
    first : int64 array, shape (m,)
        Index of each segment's first point; the first is 0.
    slopes, intercepts : int64 arrays, shape (m,)
        Codes of the coefficients; no two neighbours are equal.
    cost : float
        Weighted mean squared error, or maximum error.
    """
    weights = _costed(None if objective == "max" else weights, x.size)
    starts = np.arange(x.size) if starts is None else starts
    if objective == "mse":  # what has no weight costs nothing in the segment to the left of it
        starts = starts[np.add.reduceat(weights, starts) > 0]
        starts[0] = 0
    method = Programme if objective == "mse" else Minimax
    task = method((x, target, weights), starts, slope_format, intercept_format)
    blocks, *lines = task.run(entries, progress)[:3]
    first, k, b = _tidy(starts[np.asarray(blocks, np.int64)], *lines)
    i = np.searchsorted(first, np.arange(x.size), side="right") - 1
    error = np.abs(slope_format.real(k)[i] * x + intercept_format.real(b)[i] - target)
    cost = np.average(error**2, weights=weights) if objective == "mse" else error.max()
    return first, k, b, float(cost)


class _Solver:
    """One problem, prepared for the searches."""

    def __init__(self, problem: "Problem", progress: bool) -> None:
        self.problem, self.progress = problem, progress
        self.points = points = problem.points()
        self.weights = _costed(points.weight, points.x.size)
        self.samples = points.x, points.target, self.weights
        self.formats = problem.slope, problem.intercept
        self.tube: Tube | None = None if points.free else (points.lower, points.upper)
        self.direction = problem.direction if problem.monotone else 0
        #: Codes from one point to the next, where there is a sample of them only.
        self.step = int(np.diff(problem.codes[:2])[0]) if problem.sampled else 1

    def table(self, lines: tuple) -> PwlTable:
        """Return the table of first points, slopes and intercepts."""
        first, slopes, intercepts = _tidy(*lines)
        return self.problem.table(self.points.start[first[1:]], slopes, intercepts, {})

    def starts(self, grid: int) -> np.ndarray:
        """Return the indices of the first point of every `grid` codes (of a sample: of it)."""
        block = self.points.start // (grid * self.step)
        return np.flatnonzero(np.diff(block, prepend=block[0] - 1))

    def grid(self, most: int) -> int:
        """Return the finest power of two whose multiples are at most so many starts."""
        grid = 1
        while self.starts(grid).size > most:
            grid *= 2
        return grid

    def _near(self, first: np.ndarray, grid: int, step: int) -> np.ndarray:
        """Return the starts within `grid` points of `first`, in steps of `step`."""
        near = first[:, None] + np.arange(-grid, grid + 1, step)
        near = np.unique(np.clip(near, 0, self.points.x.size - 1))
        start = self.points.start
        return np.union1d(near[start[near] != start[near - 1]], np.append(first, 0))

    def _refined(
        self, run: Callable[[np.ndarray, float], tuple], table: tuple, grid: int, most: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return first points, slopes and intercepts of the best table near one found on `grid`.

        ``run(starts, limit)`` returns blocks, slopes, intercepts and cost of the best table on
        `starts` that costs at most `limit`; it is given ever finer ones: `most` at once.
        """
        *table, cost = table
        while grid > 1:
            step = 1
            while (near := self._near(table[0], grid, step)).size > most and step < grid:
                step *= 2
            try:
                blocks, *finer, less = run(near, cost)
            except InfeasibleError:  # none that costs no more
                break
            if less < cost:
                table, cost = [near[blocks], *finer], less
            if step == grid:
                break
            grid = step
        return tuple(table)

    def free(self) -> tuple[tuple, float]:
        """Return the least-squares table without constraints, and a lower bound on all."""
        entries, grid = self.problem.entries, self.grid(MAX_STARTS)
        starts = self.starts(grid)
        task = Programme(self.samples, starts, *self.formats)
        blocks, *table = task.run(entries, self.progress)
        bound = table[-1] if grid == 1 else task.lower_bound(entries)

        def run(starts: np.ndarray, limit: float) -> tuple:
            return Programme(self.samples, starts, *self.formats).run(entries, self.progress)

        table = self._refined(run, (starts[blocks], *table), grid, MAX_STARTS)
        return table, bound / self.weights.sum()

    def limited(self) -> tuple[tuple, float]:
        """Return the best table of a constrained or mixed problem, and a lower bound."""
        problem, total = self.problem, float(self.weights.sum())
        mixed = problem.objective == "mixed"
        free = self.free()
        if not mixed and problem.meets(self.table(free[0])):
            return free  # the constraints ask for nothing
        most = int((MAX_CONSTRAINED >> problem.slope.bits) ** 0.5)
        grid = self.grid(most)
        starts = self.starts(grid)
        infinite = np.full(self.points.x.shape, np.inf)
        tube = (-infinite, infinite) if self.tube is None else self.tube

        def search(starts: np.ndarray) -> Constrained:
            return Constrained(self.samples, starts, *self.formats, tube, self.direction)

        def run(starts: np.ndarray, limit: float) -> tuple:
            limit = limit * (1 + 1e-9) + 1e-300
            return search(starts).run(problem.entries, self.progress, limit)

        if mixed:
            least = Minimax(self.samples, self.starts(1), *self.formats, self.tube)
            least.run(problem.entries, self.progress)
            blocks, *table, most_error, bound = solve_mixed(
                search(starts), self.points.target, problem.entries, problem.mix, total,
                least.error, self.progress,
            )  # fmt: skip
            # Finer breakpoints then lower the squared error at this largest one.
            near = self.points.target - most_error, self.points.target + most_error
            tube = np.maximum(tube[0], near[0]), np.minimum(tube[1], near[1])
        else:
            try:
                blocks, *table = search(starts).run(problem.entries, self.progress)
            except InfeasibleError:
                if grid == 1 or self.direction:
                    raise
                # On finer breakpoints there may be one.
                starts, *lines = self.minimax()[0]
                cost = problem.cost(self.table((starts, *lines))) * total
                blocks, table = np.arange(starts.size), [*lines, cost]
            bound = table[-1] / total
        table = self._refined(run, (starts[blocks], *table), grid, most)
        if grid == 1:
            return table, bound
        if not mixed:
            return table, free[1]
        tables = [table] + [t for t in (free[0], self.minimax()[0]) if problem.meets(self.table(t))]
        best = min(tables, key=lambda table: problem.cost(self.table(table)))
        return best, free[1] + problem.mix * least.error**2

    def minimax(self) -> tuple[tuple, float, list[list[int]]]:
        """Return the table of least maximum error, that error, and the blocks that prove it."""
        starts = self.starts(1)
        task = Minimax(self.samples, starts, *self.formats, self.tube)
        blocks, k, b = task.run(self.problem.entries, self.progress)
        codes = self.points.start[starts]
        witness = [[int(codes[i]), int(codes[j])] for i, j in task.witness(self.problem.entries)]
        return (starts[blocks.astype(np.int64)], k, b), task.error, witness


def solve(
    problem: "Problem", seed: int, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Fit the best table there is; see `nnlut_train.fit.fit`. `seed` is not used.

    Returns
    -------
    breakpoints, slopes, intercepts : int64 arrays
        As in `PwlTable`.
    notes : dict
        ``certificate``: what is proved, for `nnlut_train.certificate` to check. ``lower_bound``:
        no table of the problem has a smaller objective; ``gap``: how far the table may be from it,
        as a fraction of its own objective: 0 for an optimum, up to rounding (1e-8); ``samples``, if
        the objective is that of so many sampled codes, not of all; for ``max``
        also ``blocks``: ranges of argument codes, one more than breakpoints, in each of which no
        line does better.

    Raises
    ------
    UsageError
        If nothing meets the constraints, or they do not go with the objective.
    """
    solver = _Solver(problem, progress)
    certificate: dict[str, Any] = {}
    if problem.objective == "max":
        if problem.monotone:
            raise UsageError("monotone goes with the objective mse or mixed, not with max")
        table, bound, certificate["blocks"] = solver.minimax()
    elif problem.objective == "mixed" or solver.tube is not None or solver.direction:
        table, bound = solver.limited()
    else:
        table, bound = solver.free()
    found = solver.table(table)
    cost = problem.cost(found)
    bound = min(bound, cost)
    gap = (cost - bound) / cost if cost else 0.0
    certificate |= {"lower_bound": bound, "gap": gap if gap > 1e-8 else 0.0}
    if problem.sampled:
        certificate["samples"] = problem.codes.size
    integers = (found.breakpoints, found.slopes, found.intercepts)
    return *(np.array(v, dtype=np.int64) for v in integers), {"certificate": certificate}


def fewest_entries(problem: "Problem", progress: bool = False) -> int:
    """Return the smallest number of segments that meets ``problem.max_ulp``, and its limits.

    Exact: a segment that is too long for one line stays so when it grows, so the longest possible
    segments are the fewest.

    Raises
    ------
    UsageError
        If not even one segment a code is enough.
    """
    if problem.monotone:
        raise UsageError("the fewest entries are not known for monotone tables")
    fewest = _covering(problem, 1 << problem.argument.bits, progress)
    if fewest is None:
        raise UsageError(
            f"slope {problem.slope} and intercept {problem.intercept} cannot meet the constraints "
            f"with any number of entries: more fraction bits are needed"
        )
    return fewest


def _covering(problem: "Problem", most: int, progress: bool) -> int | None:
    """Return how many of the longest segments meet the constraints; None if more than `most`."""
    solver = _Solver(problem, progress)
    task = Minimax(solver.samples, solver.starts(1), *solver.formats, solver.tube)
    edges, _ = task.greedy(most, np.finfo(float).max)
    return len(edges) - 1 if edges[-1] == task.n else None


def fewest_bits(problem: "Problem", progress: bool = False) -> tuple[Format, Format]:
    """Return slope and intercept formats of few bits in all that meet the constraints.

    For each number of fraction bits of the slope, the fewest of the intercept are found by
    bisection: finer coefficients hold all coarser ones. Then signs and integer bits are taken away
    as long as the constraints are met, from the pairs that have hardly more fraction bits than the
    best one. So no format can be made narrower alone; that no other pair is narrower is not proved.

    Raises
    ------
    UsageError
        If no such formats are enough for ``problem.entries``.
    """

    def enough(slope: Format, intercept: Format) -> bool:
        try:
            candidate = replace(problem, slope=slope, intercept=intercept)
            candidate.table((), (0,), (0,), {})  # the hardware's shifts are not negative
            return _covering(candidate, problem.entries, progress) is not None
        except UsageError:
            return False

    def with_frac(form: Format, frac: int) -> Format:
        return Format(form.signed, form.bits + frac - form.frac, frac)

    def trimmed(pair: tuple[Format, Format]) -> tuple[Format, Format]:
        slope, intercept = pair
        narrower = [(form, intercept) for form in _narrower(slope)]
        narrower += [(slope, form) for form in _narrower(intercept)]
        return next((trimmed(other) for other in narrower if enough(*other)), pair)

    given = problem.slope, problem.intercept
    lowest = [form.frac - form.bits + 1 for form in given]

    def finest(frac: int) -> int:  # fraction bits of the intercept that the hardware can add
        return min(frac + problem.input.frac, given[1].frac + MORE_BITS)

    slopes = range(lowest[0], given[0].frac + MORE_BITS + 1)
    first = bisect_left(
        slopes, True,
        key=lambda frac: finest(frac) >= lowest[1]
        and enough(with_frac(given[0], frac), with_frac(given[1], finest(frac))),
    )  # fmt: skip
    pairs: list[tuple[Format, Format]] = []
    for frac in tqdm(slopes[first:], desc="slope bits", disable=None if progress else True):
        slope = with_frac(given[0], frac)
        codes = range(lowest[1], finest(frac))
        least = lowest[1] + bisect_left(
            codes, True, key=lambda b, slope=slope: enough(slope, with_frac(given[1], b))
        )
        pairs.append((slope, with_frac(given[1], least)))
        if _width(pairs[-1]) > min(map(_width, pairs)) + NEARLY:
            break
    if not pairs:
        raise InfeasibleError(problem.entries)
    few = min(map(_width, pairs)) + NEARLY
    return min((trimmed(pair) for pair in pairs if _width(pair) <= few), key=_width)


def _width(pair: tuple[Format, Format]) -> int:
    return pair[0].bits + pair[1].bits


def _narrower(form: Format) -> list[Format]:
    """Return the formats of one bit less, of the same scale: without the sign, or the top bit."""
    if form.bits == 1:
        return []
    signs = (False, True) if form.signed else (False,)
    return [Format(signed, form.bits - 1, form.frac) for signed in signs]
