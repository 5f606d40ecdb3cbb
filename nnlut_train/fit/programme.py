"""Least squared error: dynamic programming over breakpoints (Bellman, CACM 4(6), 1961).

R. Bellman, "On the approximation of curves by line segments using dynamic programming". The cost
of a segment is that of its best *integer* line.
"""

from typing import Any

import numpy as np
from tqdm import tqdm

from ..formats import Format

__all__ = ["CHUNK", "Programme", "Samples", "divide", "lattice_fit"]

#: Slopes tried on either side in the first pass over all segments; see `Programme.run`.
FIRST_RADIUS = 255
#: Numbers in one work array: small enough for the processor's cache.
CHUNK = 1 << 16

Samples = tuple[np.ndarray, np.ndarray, np.ndarray]  # x, target, weights: each of shape (n,)


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, and 0 where b is not positive."""
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b > 0)


def lattice_fit(
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
    k_real = divide(xf, xx) / slope.scale
    b_zero, b_step = f / intercept.scale, x * (slope.scale / intercept.scale)
    # Where the real line leaves the intercept's range, b is at the end: k then minimises for it.
    ideal = b_zero - b_step * k_real
    outside = ideal - np.clip(ideal, intercept.min, intercept.max)
    middle = k_real + divide(c * b_step * outside, a + c * b_step**2)
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


class Programme:
    """The ``mse`` search. Segments are made of blocks, which begin at `starts`."""

    def __init__(self, samples: Samples, starts: np.ndarray, *formats: Format) -> None:
        self.samples, self.starts, self.formats = samples, starts, formats
        (x, f, w), self.n = samples, starts.size
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
        mean_x, mean_f = divide(sum_x, weight), divide(sum_f, weight)
        xx, xf, ff = xx - sum_x * mean_x, xf - sum_x * mean_f, ff - sum_f * mean_f
        least = np.maximum(ff - xf * divide(xf, xx), 0)
        return np.array([weight, self.x[last] + mean_x, self.f[last] + mean_f, xx, xf, least])

    def fit(self, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return slopes, intercepts and costs of the segments of blocks first[i] to last[i]."""
        pairs = zip(first, last, strict=True)
        each = [self.moments(np.arange(e, i - 1, -1), np.array([[e]]))[:, 0, -1] for i, e in pairs]
        return lattice_fit(np.array(each).T, *self.formats)[:3]

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
            costs.ravel()[keep], unproven = lattice_fit(kept, *self.formats, FIRST_RADIUS)[2:]
            row, column = np.divmod(keep[unproven], first.size)
            self.unproven += zip(first[column].tolist(), (row + e0).tolist(), strict=True)
            self.rows += [(lo, costs[e - e0, e1 - 1 - e :][::-1]) for e in range(e0, e1)]
            lo += int(np.isfinite(costs[-1, ::-1]).argmax())
            bar.update(e1 - e0)
        bar.close()

    @property
    def slack(self) -> float:
        """What rounding may add to a cost: a limit is raised by it to not rule out the best."""
        return 1e-12 * float(np.sum(self.w * (self.f - self.f.mean()) ** 2 + self.ff))

    def forward(self, entries: int) -> tuple[np.ndarray, np.ndarray]:
        """Return least costs of the first blocks, and where the last segment of each begins.

        Both have shape (entries + 1, n + 1): [m, j] for blocks 0 to j - 1 in exactly m segments.
        """
        best = np.full((entries + 1, self.n + 1), np.inf)
        best[0, 0] = 0
        origin = np.zeros(best.shape, np.int32)
        for e, (lo, costs) in enumerate(self.rows):
            sums = best[:-1, lo : e + 1] + costs
            least = sums.argmin(axis=1)
            best[1:, e + 1] = sums[np.arange(entries), least]
            origin[1:, e + 1] = least + lo
        return best, origin

    def backward(self, entries: int) -> np.ndarray:
        """Return least costs of the last blocks, shape (entries + 1, n + 1).

        [m, j] is for blocks j to n - 1 in exactly m segments.
        """
        best = np.full((entries + 1, self.n + 1), np.inf)
        best[0, self.n] = 0
        for e in range(self.n - 1, -1, -1):
            lo, costs = self.rows[e]
            sums = best[:-1, e + 1, None] + costs
            best[1:, lo : e + 1] = np.minimum(best[1:, lo : e + 1], sums)
        return best

    def path(self, entries: int) -> list[tuple[int, int]]:
        """Return the first and last block of each segment of the cheapest table."""
        best, origin = self.forward(min(entries, self.n))
        path = [(self.n, self.n)]
        for m in range(int(best[:, -1].argmin()), 0, -1):  # the fewest segments of equal costs
            end = path[-1][0]
            path.append((int(origin[m, end]), end - 1))
        return path[:0:-1]

    def lower_bound(self, entries: int) -> float:
        """Return a cost that no table undercuts, wherever inside the blocks it has breakpoints.

        A block with a breakpoint inside it is left out, which can only make a table cheaper.
        """
        reached = np.full(self.n + 1, np.inf)
        reached[0] = 0
        least = np.inf
        for _ in range(entries + 1):
            # One block more is left out after each segment, and none need be.
            reached[1:] = np.minimum(reached[1:], reached[:-1])
            least = min(least, reached[self.n])
            longer = reached.copy()  # a segment between two breakpoints' blocks has none whole
            for e, (lo, costs) in enumerate(self.rows):
                here = (reached[lo : e + 1] + costs).min(initial=np.inf)
                longer[e + 1] = min(longer[e + 1], here)
            reached = longer
        return float(least)

    def run(self, entries: int, progress: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Return first blocks, slopes, intercepts and cost of the best table.

        A coarser search gives an upper limit, which rules out most segments. Where the first pass
        gave up (segments of few points and many good slopes), costs are lower bounds: a path
        without such segments is optimal; otherwise they are completed.
        """
        limit = np.inf
        if self.n > 64:
            limit = Programme(self.samples, self.starts[::4], *self.formats).run(entries, False)[3]
            limit = limit * (1 + 1e-9) + self.slack
        self.measure(limit, progress)
        if not set(path := self.path(entries)).isdisjoint(self.unproven):
            proven = self.fit(*zip(*self.unproven, strict=True))[2]
            for (i, e), cost in zip(self.unproven, proven, strict=True):
                self.rows[e][1][i - self.rows[e][0]] = cost
            path = self.path(entries)
        first, last = np.array(path).T
        slopes, intercepts, costs = self.fit(first, last)
        return first, slopes, intercepts, float(costs.sum())
