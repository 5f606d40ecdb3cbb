"""Optimal tables: exact search over breakpoints and integer coefficients.

Lines are fitted on the lattice that the hardware stores, not rounded afterwards: the cost of a
segment is that of its best integer (slope, intercept) inside both formats. Nothing is better, up
to the rounding of float64 sums.

* ``mse``: dynamic programming over the breakpoints: `programme`.
* ``max``: greedy longest segments and bisection: `minimax`.
* With constraints, and ``mixed``: `constrained`.

Several input scales that share a table, and both signs of a folded argument, are no different: each
adds points to the lines' sums, in the order of the breakpoints (`Points.start`).

A squared error of very many codes is searched on a grid of breakpoints, then again at full
resolution near what was found; a bound on the gap to the optimum is proved and noted.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UsageError
from ..formats import Format
from .constrained import Constrained, solve_mixed
from .minimax import Minimax, Tube
from .programme import Programme

if TYPE_CHECKING:
    from . import Problem

__all__ = ["search", "solve"]

#: ``mse`` lets segments begin at so many codes at most: its effort grows with the square.
MAX_STARTS = 1 << 12
#: Constraints are searched for every slope and pair of starts: at most so many of them.
MAX_CONSTRAINED = 1 << 29


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

    def starts(self, grid: int) -> np.ndarray:
        """Return the indices of the first point of every `grid` codes."""
        block = self.points.start // grid
        return np.flatnonzero(np.diff(block, prepend=block[0] - 1))

    def grid(self, cost_of: Any, limit: int) -> int:
        """Return the finest grid whose search costs at most `limit`."""
        grid = 1
        while cost_of(self.starts(grid).size) > limit:
            grid *= 2
        return grid

    def _near(self, first: np.ndarray, grid: int, step: int) -> np.ndarray:
        """Return the starts within `grid` points of `first`, in steps of `step`."""
        near = first[:, None] + np.arange(-grid, grid + 1, step)
        near = np.unique(np.clip(near, 0, self.points.x.size - 1))
        start = self.points.start
        return np.union1d(near[start[near] != start[near - 1]], np.append(first, 0))

    def _searched(
        self, run: Callable[[np.ndarray], tuple], grid: int, most: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
        """Return first points, slopes, intercepts of the best table, and the last item of `run`.

        `run` searches given starts. After a search on the grid, it is given ever finer starts near
        the last table's: `most` at once.
        """
        starts = self.starts(grid)
        blocks, *table = run(starts)
        table = [starts[blocks], *table]
        while grid > 1:
            step = 1
            while (near := self._near(table[0], grid, step)).size > most and step < grid:
                step *= 2
            blocks, *finer = run(near)
            if finer[-1] < table[-1]:
                table = [near[blocks], *finer]
            if step == grid:
                break
            grid = step
        return tuple(table)

    def free(self) -> tuple[tuple, float]:
        """Return the least-squares table without constraints, and a lower bound on all."""
        entries, bounds = self.problem.entries, []
        grid = self.grid(lambda n: n, MAX_STARTS)

        def run(starts: np.ndarray) -> tuple:
            task = Programme(self.samples, starts, *self.formats)
            table = task.run(entries, self.progress)
            bounds.append(table[3] if grid == 1 else task.lower_bound(entries))
            return table

        *table, _ = self._searched(run, grid, MAX_STARTS)
        return tuple(table), bounds[0] / self.weights.sum()

    def limited(self) -> tuple[tuple, float]:
        """Return the best table of a constrained or mixed problem, and a lower bound."""
        problem, slopes, bounds = self.problem, 1 << self.problem.slope.bits, []
        grid = self.grid(lambda n: n * n * slopes, MAX_CONSTRAINED)
        infinite = np.full(self.points.x.shape, np.inf)
        tube = (-infinite, infinite) if self.tube is None else self.tube
        total, mixed = float(self.weights.sum()), problem.objective == "mixed"
        least = Minimax(self.samples, self.starts(1), *self.formats, self.tube)
        if mixed:
            least.run(problem.entries, self.progress)

        def run(starts: np.ndarray) -> tuple:
            task = Constrained(self.samples, starts, *self.formats, tube, self.direction)
            if mixed:
                return solve_mixed(
                    task, self.points.target, problem.entries, problem.mix, total, least.error,
                    bounds, self.progress,
                )  # fmt: skip
            table = task.run(problem.entries, self.progress)
            bounds.append(table[3] / total)
            return table

        *table, _ = self._searched(run, grid, int((MAX_CONSTRAINED / slopes) ** 0.5))
        bound = bounds[0]
        if grid > 1:  # what the constraints cannot lower
            bound = self.free()[1] + (problem.mix * least.error**2 if mixed else 0.0)
        return tuple(table), bound

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
        as a fraction of its own objective: 0 for an optimum; for ``max`` also ``blocks``: ranges of
        argument codes, one more than breakpoints, in each of which no line does better.

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
    first, slopes, intercepts = _tidy(*table)
    breakpoints = solver.points.start[first[1:]]
    cost = problem.cost(problem.table(breakpoints, slopes, intercepts, {}))
    bound = min(bound, cost)
    gap = (cost - bound) / cost if cost else 0.0
    certificate |= {"lower_bound": bound, "gap": gap if gap > 1e-9 else 0.0}
    return breakpoints, slopes, intercepts, {"certificate": certificate}
