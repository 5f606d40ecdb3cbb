"""Least squared error of lines that must stay inside a tube.

The tube gives every point a lower and an upper limit of the line's value there. It is the one form
of all limits: no overshoot (the same interval everywhere), an exact value at a code (an interval of
one value), a largest error of the rounded output (what rounds to a code that is near enough), a
largest error of the line.

For one slope the tube leaves the intercept an interval, and the squared error is convex in the
intercept: the best integer intercept is the ideal one, rounded and limited. All slopes of the
format are tried for all segments, so nothing is missed.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from ..formats import Format
from .minimax import SLACK, InfeasibleError, Tube
from .monotone import best_monotone
from .programme import Programme, Samples, divide

__all__ = ["Constrained"]

#: Segments of so many blocks are tried with every slope.
SHORT = 4


class Constrained(Programme):
    """The ``mse`` search inside a tube.

    Parameters
    ----------
    samples, starts, slope, intercept
        See `Programme`.
    tube : tuple of float64 arrays, shape (n,)
        Lower and upper limits of the lines at the samples.
    direction : int
        1 for values that never fall from one sample to the next, -1 for values that never rise,
        0 for any.
    """

    def __init__(
        self, samples: Samples, starts: np.ndarray, slope: Format, intercept: Format, tube: Tube,
        direction: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(samples, starts, slope, intercept)
        self.tube, self.direction = tube, direction
        self.slopes = np.arange(slope.min, slope.max + 1)

    def coarser(self) -> "Constrained":
        """Return the same search with a quarter of the starts."""
        return Constrained(self.samples, self.starts[::4], *self.formats, self.tube, self.direction)

    def _quadratics(self, limit: float) -> None:
        """Set the cost of every segment as a quadratic in slope and intercept.

        Arrays of shape (n, width): [e, w] is the segment from block e - w to block e. `width` is
        that of the longest segment whose real least-squares line costs at most `limit`.
        """
        slope, intercept = self.formats
        first, last = np.arange(self.n - 1, -1, -1), np.arange(self.n)[:, None]
        moments = self.moments(first, last)
        inside = (moments[5] <= limit) & (first <= last)
        self.width = int(inside.sum(axis=1).max())
        self.block = last - np.arange(self.width)  # first block of each segment
        self.valid = self.block >= 0
        self.block = np.maximum(self.block, 0)
        weight, x, f, xx, xf, self.least = moments[:, last, self.n - 1 - self.block]
        self.valid &= self.least <= limit
        self.a, self.c = np.maximum(xx, 0) * slope.scale**2, weight * intercept.scale**2
        self.k_real = divide(xf, xx) / slope.scale
        self.b_zero = f / intercept.scale
        self.b_step = x * (slope.scale / intercept.scale)

    def _bands(self, limit: float) -> Iterator[tuple[int, np.ndarray, int]]:
        """Yield slope codes, and the rows and the width of the segments they are to be tried for.

        Only with slopes near its best does a segment cost less than `limit`. Short segments, for
        which many slopes do, are yielded apart from the long ones.
        """
        reach = np.full(self.a.shape, np.inf)  # one point alone: all slopes are alike
        np.divide(np.maximum(limit - self.least, 0), self.a, out=reach, where=self.a > 0)
        np.sqrt(reach, out=reach)
        reach[~self.valid] = -np.inf
        low, high = self.k_real - reach, self.k_real + reach
        bands = []
        for start, stop in ((0, SHORT), (SHORT, self.width)):
            part = low[:, start:stop], high[:, start:stop]
            rows, widths = (
                (part[0].min(axis=axis, initial=np.inf), part[1].max(axis=axis, initial=-np.inf))
                for axis in (1, 0)
            )
            bands.append((start, rows, widths))
        for k in self.slopes:
            for start, rows, widths in bands:
                wide = np.flatnonzero((widths[0] <= k) & (k <= widths[1]))
                if wide.size:
                    near = np.flatnonzero((rows[0] <= k) & (k <= rows[1]))
                    yield k, near, start + int(wide[-1]) + 1

    def against(self, k: Any, a: Any) -> Any:
        """Return whether slopes k lead against the direction, of segments with quadratics `a`.

        A segment of one point has no direction.
        """
        return (self.direction * k < 0) & (a > 0)

    def room(self, k: int, rows: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and largest intercept codes of segments for slope code `k`.

        Both have shape (rows, width).
        """
        slope, intercept = self.formats
        x = self.samples[0] * (slope.scale / intercept.scale * k)
        ends = []
        for limit, ufunc, end in (
            (self.tube[0], np.maximum, intercept.min), (self.tube[1], np.minimum, intercept.max),
        ):  # fmt: skip
            blocks = ufunc.reduceat(limit / intercept.scale - x, self.starts)
            blocks = ufunc.accumulate(blocks[self.block[rows, :width]], axis=1)
            ends.append(ufunc(blocks, end))
        return np.ceil(ends[0] - SLACK), np.floor(ends[1] + SLACK)

    def measure(self, limit: float, progress: bool) -> None:
        """Set the costs of all segments that can be part of a table not above `limit`."""
        self._quadratics(limit)
        best = np.full(self.valid.shape, np.inf)
        bar = tqdm(
            self._bands(limit), desc="slopes", total=self.slopes.size,
            disable=None if progress else True,
        )  # fmt: skip
        for k, rows, width in bar:
            low, high = self.room(k, rows, width)
            ideal = self.b_zero[rows, :width] - self.b_step[rows, :width] * k
            b = np.clip(np.rint(ideal), low, high)
            cost = self.a[rows, :width] * (k - self.k_real[rows, :width]) ** 2
            cost += self.c[rows, :width] * (b - ideal) ** 2
            cost[(low > high) | self.against(k, self.a[rows, :width])] = np.inf
            best[rows, :width] = np.minimum(best[rows, :width], cost)
        best = np.where(self.valid, best + self.least, np.inf)
        best[best > limit] = np.inf
        self.unproven = []
        self.rows = [
            (max(0, e - self.width + 1), best[e, min(e, self.width - 1) :: -1])
            for e in range(self.n)
        ]
        self.best = best

    def line(self, first: int, last: int) -> tuple[float, float, float]:
        """Return slope, intercept (codes) and cost of the best line of one segment."""
        e, w = last, last - first
        k = self.slopes
        slope, intercept = self.formats
        part = slice(self.starts[first], np.append(self.starts, self.samples[0].size)[last + 1])
        x = self.samples[0][part] * (slope.scale / intercept.scale)
        lower, upper = (v[part] / intercept.scale for v in self.tube)
        low = np.maximum((lower - k[:, None] * x).max(axis=1), intercept.min)
        high = np.minimum((upper - k[:, None] * x).min(axis=1), intercept.max)
        low, high = np.ceil(low - SLACK), np.floor(high + SLACK)
        ideal = self.b_zero[e, w] - self.b_step[e, w] * k
        b = np.clip(np.rint(ideal), low, high)
        cost = self.a[e, w] * (k - self.k_real[e, w]) ** 2 + self.c[e, w] * (b - ideal) ** 2
        fine = (low <= high) & ~self.against(k, self.a[e, w])
        at = int(np.where(fine, cost, np.inf).argmin())
        return float(k[at]), float(b[at]), float(cost[at] + self.least[e, w])

    def run(
        self, entries: int, progress: bool, limit: float = np.inf
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Return first blocks, slopes, intercepts and cost of the best table.

        A table that costs more than `limit` counts as none.

        Raises
        ------
        UsageError
            If no table meets the constraints, or too many nearly optimal lines are to be tried
            for a monotone one.
        """
        if self.n > 64 and not np.isfinite(limit):
            # Coarser breakpoints need not meet the constraints.
            with contextlib.suppress(InfeasibleError):
                limit = self.coarser().run(entries, False)[3] * (1 + 1e-9) + self.slack
        self.measure(limit, progress)
        least = self.forward(entries)[0][:, -1].min()
        if least > limit or not np.isfinite(least):
            raise InfeasibleError(entries)
        if self.direction:
            return best_monotone(self, entries, progress, limit)
        lines = [(i, *self.line(i, e)) for i, e in self.path(entries)]
        first, slopes, intercepts, costs = np.array(lines).T
        return first.astype(int), slopes, intercepts, float(costs.sum())
