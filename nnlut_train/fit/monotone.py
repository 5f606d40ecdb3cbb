"""Least squared error of lines that never step against a direction from segment to segment.

The condition couples neighbouring segments, so the best line of each is not enough. A cost that no
table without the condition undercuts is known. All tables within a slack of it are searched, and
the slack grows until one of them meets the condition: nothing cheaper does.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ..errors import UsageError
from .minimax import InfeasibleError

if TYPE_CHECKING:
    from .constrained import Constrained

__all__ = ["best_monotone"]

#: Lines that the search may hold at once.
MAX_LINES = 1 << 23


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


def best_monotone(
    search: "Constrained", entries: int, progress: bool, limit: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return the best table without a step against the direction; see the module's text.

    A table that costs more than `limit` counts as none. Raises `InfeasibleError` if there is none,
    and `UsageError` if there are too many lines to be tried.
    """
    entries = min(entries, search.n)
    forward, backward = search.forward(entries)[0], search.backward(entries)
    least = float(forward[:, -1].min())
    slack = max(least * 2.0**-12, search.slack)
    slope, intercept = search.formats
    x, f, w = search.samples
    reach = (1 << slope.bits) * slope.scale * np.abs(x).max() + np.abs(f).max()
    worst = float(w.sum()) * (reach + (1 << intercept.bits) * intercept.scale) ** 2
    # The least that the blocks outside a segment cost with the entries that are left.
    outside = np.full((search.n + 1, search.n + 1), np.inf)
    for m in range(entries):
        np.minimum(outside, forward[m][:, None] + backward[entries - 1 - m], out=outside)
    outside = outside[search.block, np.arange(1, search.n + 1)[:, None]]
    limit = min(limit, worst)
    with tqdm(desc="slack", disable=None if progress else True) as bar:
        while True:
            total = min(least + slack, limit)
            lines = _enumerate(search, total - outside)
            at = _join(search, lines, entries, backward, total)
            if at is not None:
                first, k, b = lines.first[at], lines.slope[at], lines.intercept[at]
                return first, k, b, float(lines.cost[at].sum())
            if total >= limit:
                raise InfeasibleError(entries)
            slack *= 4
            bar.update()


def _enumerate(search: "Constrained", budget: np.ndarray) -> _Lines:
    """Return all lines that cost at most `budget`, shape (n, width)."""
    e, w = np.nonzero(search.valid & (search.best <= budget))
    budget, least = budget[e, w], search.least[e, w]
    parts, count = [], 0
    for k in search.slopes:
        rest = budget - least - search.a[e, w] * (k - search.k_real[e, w]) ** 2
        at = np.flatnonzero((rest >= 0) & ~search.against(k, search.a[e, w]))
        if not at.size:
            continue
        rows, row = np.unique(e[at], return_inverse=True)
        room = search.room(k, rows, int(w[at].max()) + 1)
        low, high = (v[row, w[at]] for v in room)
        c = search.c[e[at], w[at]]
        ideal = search.b_zero[e[at], w[at]] - search.b_step[e[at], w[at]] * k
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
    slope, intercept = search.formats
    edges = np.append(search.starts, search.samples[0].size)
    first, last = search.block[e, w][at], e[at]
    left = search.samples[0][edges[first]] * slope.scale * k + b * intercept.scale
    right = search.samples[0][edges[last + 1] - 1] * slope.scale * k + b * intercept.scale
    sign = search.direction
    order = np.argsort(first, kind="stable")
    columns = (first, last, k, b, cost, sign * left, sign * right)
    return _Lines(*(v[order] for v in columns))


def _join(
    search: "Constrained", lines: _Lines, entries: int, backward: np.ndarray, total: float
) -> np.ndarray | None:
    """Return the lines of the cheapest monotone table not above `total`; None if none is.

    A partial table is known by its end, its number of lines, and its last value. Of two that
    end alike, one that is both dearer and ends higher is never needed.
    """
    bounds = np.searchsorted(lines.first, np.arange(search.n + 1))
    by_last = np.argsort(lines.last, kind="stable")
    ends = np.searchsorted(lines.last[by_last], np.arange(search.n + 1))
    # States of one layer, by the block that they end before: values, costs, line, state before.
    layer = {0: (np.array([-np.inf]), np.zeros(1), np.array([-1]), np.array([-1]))}
    layers, best = [], (np.inf, 0, 0)
    for m in range(1, entries + 1):
        totals = np.full(lines.cost.shape, np.inf)
        origin = np.zeros(lines.cost.shape, dtype=np.int64)
        layer.pop(search.n, None)  # complete tables
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
        for e in range(search.n):
            at = by_last[ends[e] : ends[e + 1]]
            at = at[np.isfinite(totals[at])]
            if not at.size:
                continue
            at = at[np.lexsort((totals[at], lines.right[at]))]
            cheaper = np.minimum.accumulate(totals[at])
            at = at[np.append(True, totals[at][1:] < cheaper[:-1])]
            layer[e + 1] = lines.right[at], totals[at], at, origin[at]
        if search.n in layer and layer[search.n][1].min() < best[0]:
            best = float(layer[search.n][1].min()), m, int(layer[search.n][1].argmin())
            final = layer[search.n]
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
