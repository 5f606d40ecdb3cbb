"""Least squared error of lines that must stay inside a tube, and may not step against a direction.

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
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from ..errors import UsageError
from ..formats import Format
from .minimax import INFEASIBLE, SLACK, Tube
from .programme import Programme, Samples, divide

__all__ = ["Constrained", "solve_mixed"]

#: Lines that the search for a monotone table may hold at once.
MAX_LINES = 1 << 23
#: What `solve_mixed` may miss, as a fraction of the optimum.
TOLERANCE = 1e-3
#: Segments of so many blocks are tried with every slope.
SHORT = 4


@dataclass(frozen=True, eq=False)
class _Lines:
    """Lines that a table might use; arrays of shape (lines,).

    Blocks `first` to `last` have line `slope`, `intercept` (codes) at `cost`; its value is `left`
    at the first point and `right` at the last one.
    """

    first: np.ndarray
    last: np.ndarray
    slope: np.ndarray
    intercept: np.ndarray
    cost: np.ndarray
    left: np.ndarray
    right: np.ndarray


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
        low = 0 if direction > 0 else slope.min
        high = 0 if direction < 0 else slope.max
        self.slopes = np.arange(max(low, slope.min), min(high, slope.max) + 1)

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

    def _room(self, k: int, rows: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
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
            low, high = self._room(k, rows, width)
            ideal = self.b_zero[rows, :width] - self.b_step[rows, :width] * k
            b = np.clip(np.rint(ideal), low, high)
            cost = self.a[rows, :width] * (k - self.k_real[rows, :width]) ** 2
            cost += self.c[rows, :width] * (b - ideal) ** 2
            cost[low > high] = np.inf
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
        at = int(np.where(low <= high, cost, np.inf).argmin())
        return float(k[at]), float(b[at]), float(cost[at] + self.least[e, w])

    def run(
        self, entries: int, progress: bool, limit: float = np.inf
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Return first blocks, slopes, intercepts and cost of the best table.

        A table that costs more than `limit` is not looked for.

        Raises
        ------
        UsageError
            If no table meets the constraints, or too many nearly optimal lines are to be tried
            for a monotone one.
        """
        if self.n > 64 and not np.isfinite(limit):
            # Coarser breakpoints need not meet the constraints.
            with contextlib.suppress(UsageError):
                limit = self.coarser().run(entries, False)[3] * (1 + 1e-9) + self.slack
        self.measure(limit, progress)
        if not np.isfinite(self.forward(entries)[0][:, -1]).any():
            raise UsageError(INFEASIBLE.format(entries))
        if self.direction:
            return self._monotone(entries, progress)
        lines = [(i, *self.line(i, e)) for i, e in self.path(entries)]
        first, slopes, intercepts, costs = np.array(lines).T
        return first.astype(int), slopes, intercepts, float(costs.sum())

    def _monotone(
        self, entries: int, progress: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Return the best table without a step against the direction.

        A cost that no table without this condition undercuts is known. All tables within a slack
        of it are searched, and the slack grows until one of them meets the condition: nothing
        cheaper does.
        """
        entries = min(entries, self.n)
        forward, backward = self.forward(entries)[0], self.backward(entries)
        least = float(forward[:, -1].min())
        slack = max(least * 2.0**-12, self.slack)
        # The least that the blocks outside a segment cost with the entries that are left.
        outside = np.full((self.n + 1, self.n + 1), np.inf)
        for m in range(entries):
            np.minimum(outside, forward[m][:, None] + backward[entries - 1 - m], out=outside)
        outside = outside[self.block, np.arange(1, self.n + 1)[:, None]]
        with tqdm(desc="slack", disable=None if progress else True) as bar:
            while True:
                total = least + slack
                lines = self._enumerate(total - outside)
                found = self._join(lines, entries, backward, total)
                if found is not None:
                    at = found
                    first, k, b = lines.first[at], lines.slope[at], lines.intercept[at]
                    return first, k, b, float(lines.cost[at].sum())
                slack *= 4
                bar.update()

    def _enumerate(self, budget: np.ndarray) -> _Lines:
        """Return all lines that cost at most `budget`, shape (n, width)."""
        e, w = np.nonzero(self.valid & (self.best <= budget))
        budget, least = budget[e, w], self.least[e, w]
        parts, count = [], 0
        for k in self.slopes:
            rest = budget - least - self.a[e, w] * (k - self.k_real[e, w]) ** 2
            at = np.flatnonzero(rest >= 0)
            if not at.size:
                continue
            rows, row = np.unique(e[at], return_inverse=True)
            room = self._room(k, rows, int(w[at].max()) + 1)
            low, high = (v[row, w[at]] for v in room)
            c = self.c[e[at], w[at]]
            ideal = self.b_zero[e[at], w[at]] - self.b_step[e[at], w[at]] * k
            reach = np.sqrt(rest[at] / c)
            low = np.maximum(low, np.ceil(ideal - reach))
            high = np.minimum(high, np.floor(ideal + reach))
            several = np.maximum(high - low + 1, 0).astype(int)
            count += several.sum()
            if count > MAX_LINES:
                raise UsageError(
                    "a monotone table needs too many lines to be tried: fewer coefficient bits, "
                    "or more entries, would help"
                )
            again = np.repeat(np.arange(at.size), several)
            b = low[again] + np.arange(again.size) - np.repeat(several.cumsum() - several, several)
            cost = budget[at[again]] - rest[at[again]] + c[again] * (b - ideal[again]) ** 2
            parts.append((at[again], np.full(again.size, k), b, cost))
        at, k, b, cost = (np.concatenate(v) for v in zip(*parts, strict=True))
        slope, intercept = self.formats
        edges = np.append(self.starts, self.samples[0].size)
        first, last = self.block[e, w][at], e[at]
        left = self.samples[0][edges[first]] * slope.scale * k + b * intercept.scale
        right = self.samples[0][edges[last + 1] - 1] * slope.scale * k + b * intercept.scale
        sign = self.direction
        order = np.argsort(first, kind="stable")
        columns = (first, last, k, b, cost, sign * left, sign * right)
        return _Lines(*(v[order] for v in columns))

    def _join(
        self, lines: _Lines, entries: int, backward: np.ndarray, total: float
    ) -> np.ndarray | None:
        """Return the lines of the cheapest monotone table not above `total`; None if none is.

        A partial table is known by its end, its number of lines, and its last value. Of two that
        end alike, one that is both dearer and ends higher is never needed.
        """
        bounds = np.searchsorted(lines.first, np.arange(self.n + 1))
        by_last = np.argsort(lines.last, kind="stable")
        ends = np.searchsorted(lines.last[by_last], np.arange(self.n + 1))
        # States of one layer, by the block that they end before: values, costs, line, state before.
        layer = {0: (np.array([-np.inf]), np.zeros(1), np.array([-1]), np.array([-1]))}
        layers, best = [], (np.inf, 0, 0)
        for m in range(1, entries + 1):
            totals = np.full(lines.cost.shape, np.inf)
            origin = np.zeros(lines.cost.shape, dtype=np.int64)
            layer.pop(self.n, None)  # complete tables
            for i, (values, costs, _, _) in layer.items():
                part = slice(bounds[i], bounds[i + 1])
                at = np.searchsorted(values, lines.left[part], side="right") - 1
                fine = at >= 0
                totals[part] = np.where(fine, costs[at] + lines.cost[part], np.inf)
                origin[part] = at
            rest = backward[: entries - m + 1].min(axis=0)
            totals[totals + rest[lines.last + 1] > total * (1 + 1e-12)] = np.inf
            layers.append(layer)
            layer = {}
            for e in range(self.n):
                at = by_last[ends[e] : ends[e + 1]]
                at = at[np.isfinite(totals[at])]
                if not at.size:
                    continue
                at = at[np.lexsort((totals[at], lines.right[at]))]
                cheaper = np.minimum.accumulate(totals[at])
                at = at[np.append(True, totals[at][1:] < cheaper[:-1])]
                layer[e + 1] = lines.right[at], totals[at], at, origin[at]
            if self.n in layer and layer[self.n][1].min() < best[0]:
                best = float(layer[self.n][1].min()), m, int(layer[self.n][1].argmin())
                final = layer[self.n]
        if not np.isfinite(best[0]):
            return None
        _, m, state = best
        chosen = [int(final[2][state])]
        origin_state = int(final[3][state])
        for layer in layers[m - 1 : 0 : -1]:
            at = layer[int(lines.first[chosen[-1]])]
            chosen.append(int(at[2][origin_state]))
            origin_state = int(at[3][origin_state])
        return np.array(chosen[::-1])


def solve_mixed(
    search: Constrained, target: np.ndarray, entries: int, mix: float, total: float, least: float,
    progress: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float, float]:  # fmt: skip
    """Find the least sum of mean squared error and `mix` times the squared maximum error.

    Branch and bound over the maximum error: the squared error can only grow as the maximum is
    limited further, so a table found at one limit bounds all tables between that limit and the
    next. It ends within `TOLERANCE` of the optimum.

    Parameters
    ----------
    search : Constrained
        The search; its costs are weighted sums, of weights that sum to `total`.
    target : float64 array, shape (n,)
        Wanted values at the samples.
    entries, mix, progress
        See `Problem`.
    total : float
        Sum of the weights.
    least : float
        Least maximum error of any table: from `Minimax`.

    Returns
    -------
    first, slopes, intercepts, cost
        As `Programme.run` returns them.
    most : float
        The table's maximum error.
    bound : float
        No table on the search's starts has a smaller sum.
    """
    x = search.samples[0]
    slope, intercept = search.formats
    lower, upper = search.tube

    def best_within(limit: float, cost: float) -> tuple[float, float, tuple]:
        tube = np.maximum(lower, target - limit), np.minimum(upper, target + limit)
        task = Constrained(search.samples, search.starts, *search.formats, tube, search.direction)
        table = task.run(entries, False, cost)
        i = np.searchsorted(search.starts[table[0]], np.arange(x.size), side="right") - 1
        value = slope.real(table[1])[i] * x + intercept.real(table[2])[i]
        return table[3] / total, float(np.abs(value - target).max()), table

    mse, most, table = best_within(np.inf, np.inf)
    best = mse + mix * most**2, table, most
    # Each: a limit that is not reached, the next one above, and the least squared error between.
    ranges, bound = [(least, most, mse)], np.inf
    with tqdm(desc="limits", disable=None if progress else True) as bar:
        while ranges:
            low, high, floor = ranges.pop()
            if (least_left := floor + mix * low**2) >= best[0] * (1 - TOLERANCE):
                bound = min(bound, least_left)
                continue
            middle = 0.5 * (low + high)
            bar.update()
            try:
                # What costs more cannot be part of a better table.
                mse, most, table = best_within(middle, (best[0] - mix * low**2) * total)
            except UsageError:
                ranges.append((middle, high, floor))
                continue
            best = min(best, (mse + mix * most**2, table, most), key=lambda found: found[0])
            ranges += [(middle, high, floor), (low, most, mse)]
    return *best[1], best[2], min(bound, best[0])
