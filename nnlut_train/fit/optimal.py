"""Optimal tables: exact search over breakpoints and integer coefficients.

Lines are fitted on the lattice that the hardware stores, not rounded afterwards: the cost of a
segment is that of its best integer (slope, intercept) inside both formats. Nothing is better, up
to the rounding of float64 sums.

* ``mse``: dynamic programming over the breakpoints (Bellman, "On the approximation of curves by
  line segments using dynamic programming", CACM 4(6), 1961).
* ``max``: a segment's error can only grow with the segment, so greedily taking the longest
  segments decides whether an error can be reached; bisection ends at the least one.
"""

from bisect import bisect_right
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ..formats import Format

if TYPE_CHECKING:
    from . import Problem

__all__ = ["search", "solve"]

#: ``mse`` lets segments begin at so many codes at most: its effort grows with the square.
MAX_STARTS = 1 << 12
#: Slopes tried on either side in the first pass over all segments; see `_Search.run`.
FIRST_RADIUS = 255
#: Numbers in one work array: small enough for the processor's cache.
CHUNK = 1 << 16

Points = tuple[np.ndarray, np.ndarray, np.ndarray]  # x, target, weights: each of shape (n,)


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, and 0 where b is not positive."""
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b > 0)


def _lattice_fit(
    moments: np.ndarray, slope: Format, intercept: Format, radius: float = np.inf
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find the best integer line of each of n segments with `moments` of shape (6, n).

    With codes k and b, the squared error is ``least + a (k - k*)^2 + c (b - b*(k))^2``, where
    b*(k) is the best real intercept of slope k: the best integer one is b*(k) rounded and limited.
    With b real, but limited, the error is convex in k and a lower bound. So slopes are tried from
    its minimum outwards until the bound on both sides reaches the best error found.

    Returns slopes and intercepts (codes, as float64) and weighted sums of squared errors, each of
    shape (n,), and the indices of the segments given up after about `radius` slopes on either
    side: there the error is a lower bound.
    """
    weight, x, f, xx, xf, least = moments
    a, c = np.maximum(xx, 0) * slope.scale**2, weight * intercept.scale**2
    k_real = _divide(xf, xx) / slope.scale
    b_zero, b_step = f / intercept.scale, x * (slope.scale / intercept.scale)
    # Where the real line leaves the intercept's range, b is at the end: k then minimises for it.
    ideal = b_zero - b_step * k_real
    outside = ideal - np.clip(ideal, intercept.min, intercept.max)
    middle = k_real + _divide(c * b_step * outside, a + c * b_step**2)
    middle = np.clip(np.rint(middle), slope.min, slope.max)

    def error(i: Any, k: np.ndarray, whole: bool) -> tuple[np.ndarray, np.ndarray]:
        ideal = b_zero[i] - b_step[i] * k
        b = np.clip(np.rint(ideal) if whole else ideal, intercept.min, intercept.max)
        return b, a[i] * (k - k_real[i]) ** 2 + c[i] * (b - ideal) ** 2

    def bound(i: np.ndarray, distance: int) -> np.ndarray:  # of the slopes so far away, or further
        up, down = middle[i] + distance, middle[i] - distance
        above = np.where(up > slope.max, np.inf, error(i, up, False)[1])
        return np.minimum(above, np.where(down < slope.min, np.inf, error(i, down, False)[1]))

    live, reach, step = np.arange(x.size), 0, 1
    best_k, (best_b, best) = middle.copy(), error(live, middle, True)
    while (live := live[bound(live, reach + 1) < best[live]]).size and reach < radius:
        offsets = np.arange(reach + 1, reach + step + 1)
        offsets = np.concatenate([offsets, -offsets])
        for part in np.array_split(live, -(-live.size * offsets.size // CHUNK)):
            k = np.clip(middle[part, None] + offsets, slope.min, slope.max)
            b, value = error(part[:, None], k, True)
            pick = np.arange(part.size), value.argmin(axis=1)
            better = value[pick] < best[part]
            for whole, new in ((best_k, k), (best_b, b), (best, value)):
                whole[part[better]] = new[pick][better]
        reach, step = reach + step, 2 * step
    best[live] = np.minimum(best[live], bound(live, reach + 1))
    return best_k, best_b, best + least, live


class _Search:
    """The ``mse`` search. Segments are made of blocks, which begin at `starts`."""

    def __init__(self, points: Points, starts: np.ndarray, *formats: Format) -> None:
        self.points, self.starts, self.formats = points, starts, formats
        (x, f, w), self.n = points, starts.size
        block = np.repeat(np.arange(self.n), np.diff(starts, append=x.size))
        # Weights, means and second moments about the means: no large sums that cancel.
        self.w = np.add.reduceat(w, starts)
        self.x, self.f = (
            v[starts] + np.add.reduceat(w * (v - v[starts][block]), starts) / self.w for v in (x, f)
        )
        dx, df = x - self.x[block], f - self.f[block]
        products = [w * dx * dx, w * dx * df, w * df * df]
        self.xx, self.xf, self.ff = np.add.reduceat(products, starts, axis=1)

    def moments(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Return the moments of the segments from block `first` to block `last`.

        `first` has shape (columns,) and descends by 1, `last` has shape (rows, 1). The result has
        shape (6, rows, columns): weight, means of x and f, second moments xx and xf about them,
        and the squared error of the real least-squares line. Sums run leftwards with `last` as
        origin, so that short segments are not differences of large sums.
        """
        w = np.where(first <= last, self.w[first], 0.0)
        dx, df = self.x[first] - self.x[last], self.f[first] - self.f[last]
        inside, wdx, wdf = w > 0, w * dx, w * df
        xx, xf, ff = self.xx[first] * inside, self.xf[first] * inside, self.ff[first] * inside
        sums = [w, wdx, wdf, xx + wdx * dx, xf + wdx * df, ff + wdf * df]
        weight, sum_x, sum_f, xx, xf, ff = np.cumsum(sums, axis=2)
        mean_x, mean_f = _divide(sum_x, weight), _divide(sum_f, weight)
        xx, xf, ff = xx - sum_x * mean_x, xf - sum_x * mean_f, ff - sum_f * mean_f
        least = np.maximum(ff - xf * _divide(xf, xx), 0)
        return np.array([weight, self.x[last] + mean_x, self.f[last] + mean_f, xx, xf, least])

    def fit(self, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return slopes, intercepts and costs of the segments of blocks first[i] to last[i]."""
        pairs = zip(first, last, strict=True)
        each = [self.moments(np.arange(e, i - 1, -1), np.array([[e]]))[:, 0, -1] for i, e in pairs]
        return _lattice_fit(np.array(each).T, *self.formats)[:3]

    def measure(self, limit: float, progress: bool) -> None:
        """Set the costs of all segments that can be part of a table not above `limit`.

        ``rows[e] = (lo, costs)`` belongs to the segments from block lo, lo + 1, ... e to block e.
        The cost grows with the segment, so those that begin left of lo are above the limit.
        """
        self.rows: list[tuple[int, np.ndarray]] = []
        self.unproven: list[tuple[int, int]] = []
        lo, bar = 0, tqdm(total=self.n, desc="segments", disable=None if progress else True)
        while (e0 := len(self.rows)) < self.n:
            e1 = min(self.n, e0 + max(1, min(64, CHUNK // (e0 + 1 - lo))))
            first, last = np.arange(e1 - 1, lo - 1, -1), np.arange(e0, e1)[:, None]
            moments = self.moments(first, last)
            keep = np.flatnonzero((moments[5] <= limit) & (first <= last))
            costs = np.full(moments[5].shape, np.inf)
            kept = moments.reshape(6, -1)[:, keep]
            costs.ravel()[keep], unproven = _lattice_fit(kept, *self.formats, FIRST_RADIUS)[2:]
            row, column = np.divmod(keep[unproven], first.size)
            self.unproven += zip(first[column].tolist(), (row + e0).tolist(), strict=True)
            self.rows += [(lo, costs[e - e0, e1 - 1 - e :][::-1]) for e in range(e0, e1)]
            lo += int(np.isfinite(costs[-1, ::-1]).argmax())
            bar.update(e1 - e0)
        bar.close()

    def path(self, entries: int) -> list[tuple[int, int]]:
        """Return the first and last block of each segment of the cheapest table."""
        entries = min(entries, self.n)
        best = np.full((entries + 1, self.n + 1), np.inf)  # [segments used, blocks covered]
        best[0, 0] = 0
        origin = np.zeros(best.shape, np.int32)
        for e, (lo, costs) in enumerate(self.rows):
            sums = best[:-1, lo : e + 1] + costs
            least = sums.argmin(axis=1)
            best[1:, e + 1] = sums[np.arange(entries), least]
            origin[1:, e + 1] = least + lo
        path = [(self.n, self.n)]
        for m in range(int(best[:, -1].argmin()), 0, -1):  # the fewest segments of equal costs
            end = path[-1][0]
            path.append((int(origin[m, end]), end - 1))
        return path[:0:-1]

    def run(self, entries: int, progress: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Return first blocks, slopes, intercepts and cost of the best table.

        A coarser search gives an upper limit, which rules out most segments. Where the first pass
        gave up (segments of few points and many good slopes), costs are lower bounds: a path
        without such segments is optimal; otherwise they are completed.
        """
        limit = np.inf
        if self.n > 64:
            limit = _Search(self.points, self.starts[::4], *self.formats).run(entries, False)[3]
            slack = 1e-12 * np.sum(self.w * (self.f - self.f.mean()) ** 2 + self.ff)
            limit = limit * (1 + 1e-9) + slack  # rounding shall not rule out the best
        self.measure(limit, progress)
        if not set(path := self.path(entries)).isdisjoint(self.unproven):
            proven = self.fit(*zip(*self.unproven, strict=True))[2]
            for (i, e), cost in zip(self.unproven, proven, strict=True):
                self.rows[e][1][i - self.rows[e][0]] = cost
            path = self.path(entries)
        first, last = np.array(path).T
        slopes, intercepts, costs = self.fit(first, last)
        return first, slopes, intercepts, float(costs.sum())


class _Minimax:
    """The ``max`` search. Segments are made of blocks, which begin at `starts`."""

    def __init__(self, points: Points, starts: np.ndarray, *formats: Format) -> None:
        self.slope, self.intercept = formats
        self.x, self.f = points[0] * self.slope.scale, points[1]
        self.edges, self.n = np.append(starts, self.x.size), starts.size
        self.fit = cache(self.fit_once)

    def fit_once(self, i: int, j: int) -> tuple[float, int, int]:
        """Return error, slope and intercept of the best integer line of blocks i to j - 1.

        With slope k the residues f - k x span [low, high]; the best code b is the middle, rounded
        and limited. With b real, but limited, the error is convex in k and a lower bound; slopes
        are tried from its minimum outwards, as in `_lattice_fit`.
        """
        x, f = (v[self.edges[i] : self.edges[j]] for v in (self.x, self.f))
        left, right = k_min, k_max = self.slope.min, self.slope.max
        scale = self.intercept.scale
        b_min, b_max = self.intercept.min * scale, self.intercept.max * scale
        while left < right:  # bisection on the sign of the bound's derivative
            k = (left + right) // 2
            residue = f - k * x
            top, bottom = int(residue.argmax()), int(residue.argmin())
            high, low = residue[top], residue[bottom]
            inner = 0.5 * (high - low), x[bottom] - x[top]
            rise = max(inner, (high - b_max, -x[top]), (b_min - low, x[bottom]))[1]
            left, right = (left, k) if rise >= 0 else (k + 1, right)
        best: tuple[float, int, int] = (np.inf, 0, 0)
        for start, side in ((left, 1), (left - 1, -1)):
            step, bound = 1, -np.inf
            while bound < best[0] and k_min <= start <= k_max:
                k = start + side * np.arange(step)
                k = k[(k >= k_min) & (k <= k_max)]
                residue = f - k[:, None] * x
                high, low = residue.max(axis=1), residue.min(axis=1)
                b = np.rint((high + low) * (0.5 / scale))
                b = np.clip(b, self.intercept.min, self.intercept.max)
                error = np.maximum(high - b * scale, b * scale - low)
                least = int(error.argmin())
                best = min(best, (float(error[least]), int(k[least]), int(b[least])))
                bound = max(0.5 * (high[-1] - low[-1]), high[-1] - b_max, b_min - low[-1])
                start, step = start + side * k.size, min(2 * step, 1 + 16 * CHUNK // x.size)
        return best

    def greedy(self, entries: int, error: float) -> tuple[list[int], float]:
        """Cover the blocks with the longest segments that reach `error`.

        Returns the edges of the segments and their largest error; or, if `entries` segments are
        not enough, no edges and the least error that can change this.
        """
        edges, beyond = [0], np.inf
        while (i := edges[-1]) < self.n:
            j, step = i, max(1, self.n // (2 * entries))
            while j + step <= self.n and self.fit(i, j + step)[0] <= error:
                j, step = j + step, 2 * step
            tail = range(j + 1, min(j + step, self.n + 1))
            j += bisect_right(tail, error, key=lambda j, i=i: self.fit(i, j)[0])
            if j < self.n:
                beyond = min(beyond, self.fit(i, j + 1)[0])
            if j == i or (j < self.n and len(edges) == entries):
                return [], beyond
            edges.append(j)
        return edges, max(self.fit(i, j)[0] for i, j in pairwise(edges))

    def run(self, entries: int, progress: bool) -> np.ndarray:
        """Return first blocks, slopes and intercepts of the best table; shape (3, segments)."""
        edges, low, high = [0, self.n], 0.0, self.fit(0, self.n)[0]
        # `high` is reached, nothing below `low` can be. Both step over errors of segments, of
        # which there are finitely many, so they meet.
        with tqdm(desc="errors tried", disable=None if progress else True) as bar:
            while low < high:
                middle = 0.5 * (low + high)
                trial, error = self.greedy(entries, middle if middle < high else low)
                edges, low, high = (trial, low, error) if trial else (edges, error, high)
                bar.update()
        return np.array([(i, *self.fit(i, j)[1:]) for i, j in pairwise(edges)]).T


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
    if objective == "max" or weights is None or not weights.any():
        weights = np.ones(x.size)
    weights = weights / weights.max()
    starts = np.arange(x.size) if starts is None else starts
    if objective == "mse":  # what has no weight costs nothing in the segment to the left of it
        starts = starts[np.add.reduceat(weights, starts) > 0]
        starts[0] = 0
    method = _Search if objective == "mse" else _Minimax
    task = method((x, target, weights), starts, slope_format, intercept_format)
    first, k, b = (v.astype(np.int64) for v in task.run(entries, progress)[:3])
    first = starts[first]
    new = np.append(True, (np.diff(k) != 0) | (np.diff(b) != 0))
    first, k, b = first[new], k[new], b[new]
    i = np.searchsorted(first, np.arange(x.size), side="right") - 1
    error = np.abs(slope_format.real(k)[i] * x + intercept_format.real(b)[i] - target)
    cost = np.average(error**2, weights=weights) if objective == "mse" else error.max()
    return first, k, b, float(cost)


def solve(
    problem: "Problem", seed: int, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Fit the best table there is; see `nnlut_train.fit.fit`. `seed` is not used.

    With more than 12 input bits, ``mse`` restricts the breakpoints to multiples of
    ``2**(input.bits - 12)``. The lines are still fitted to all codes.

    Returns
    -------
    breakpoints, slopes, intercepts : int64 arrays
        As in `PwlTable`.
    notes : dict
        ``breakpoint_grid``: all breakpoints are multiples of it; ``optimal``: no better table has
        its breakpoints on this grid.
    """
    points = problem.points()
    grid = max(1, (1 << problem.argument.bits) // MAX_STARTS) if problem.objective == "mse" else 1
    block = points.start // grid * grid
    first, slopes, intercepts, _ = search(
        points.x, points.target, points.weight, problem.slope, problem.intercept, problem.entries,
        problem.objective, np.flatnonzero(np.diff(block, prepend=block[0] - 1)), progress,
    )  # fmt: skip
    notes = {"optimal": True, "breakpoint_grid": grid}
    return block[first[1:]], slopes, intercepts, notes
