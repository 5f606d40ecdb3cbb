"""The worst-case error of results that an element's exponential and its row's sum decide.

Of a softmax by tables, a row matters by two sums: S of the exact exponentials, which the exact
probability ``e/S`` is of, and Ŝ of the table's, an integer, which the unit's result is of. All
pairs ``(S, Ŝ)`` of rows of up to so many elements are in a convex polygon. Where what the unit
makes of Ŝ is one value, its result is one code, and ``e/S`` is monotone in S: so the error is
largest at an end of what the polygon leaves of S there. All such intervals of Ŝ are searched, for
every element, by branch and bound. Nothing else enters: rounding is part of the result.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Elements", "Statistic", "boundary", "share_bound"]

#: float64 is trusted to so much, relative to a sum: far more than its rounding.
MARGIN = 1e-10
#: Intervals at the coarsest level, and pairs of element and interval looked at at once.
COARSE, PAIRS_MAX = 64, 1 << 22


def boundary(x: np.ndarray, y: np.ndarray, side: int) -> np.ndarray:
    """Return the lower (`side` 1) or the upper (-1) boundary of a convex hull that has the origin.

    Parameters
    ----------
    x, y : float64 array, shape (n,)
        Points, at least 0.

    Returns
    -------
    float64 array, shape (m, 2)
        The vertices, from the least `x`, 0, to the largest.
    """
    points = np.stack([np.append(x, 0.0), np.append(y, 0.0)], axis=1)
    points = points[np.lexsort((side * points[:, 1], points[:, 0]))]
    # Of points above each other, the outer one.
    points = points[np.append(True, np.diff(points[:, 0]) > 0)]
    chain: list[np.ndarray] = []
    for point in points:
        while len(chain) > 1:
            last, new = chain[-1] - chain[-2], point - chain[-2]
            if side * (last[0] * new[1] - last[1] * new[0]) > 0:
                break
            chain.pop()
        chain.append(point)
    return np.array(chain)


class _Hull:
    """The sums ``(exact, table)`` of up to `count` elements, each of any of the given ones."""

    def __init__(self, exact: np.ndarray, table: np.ndarray, count: int) -> None:
        self._low = boundary(count * table, count * exact, 1)
        self._high = boundary(count * table, count * exact, -1)
        self.largest = float(self._high[-1, 0])
        self._apex = float(self._high[self._high[:, 1].argmax(), 0])

    def exact(self, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the largest exact sum of table's sums from `first` to `last`."""
        # The lower boundary ascends from the origin; the upper one has its top at the apex.
        least = np.interp(np.maximum(first, 0), *self._low.T)
        return least, np.interp(np.clip(self._apex, first, last), *self._high.T)


@dataclass(frozen=True)
class Statistic:
    """What a unit makes of the sum of a row's table values, on intervals of that sum.

    Parameters
    ----------
    first, last : int64 array, shape (n,)
        The intervals, ascending, without a gap.
    low, high : int64 array, shape (n,)
        Least and largest value on each; the same where it is constant.
    """

    first: np.ndarray
    last: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def coarser(self) -> "Statistic":
        """Return the same with every two intervals joined."""
        start = np.arange(0, len(self.first), 2)
        return Statistic(
            self.first[start], self.last[np.minimum(start + 1, len(self.last) - 1)],
            np.minimum.reduceat(self.low, start), np.maximum.reduceat(self.high, start),
        )  # fmt: skip


@dataclass(frozen=True)
class Elements:
    """Elements of which the error is asked for, and what else is certainly in their rows.

    Parameters
    ----------
    code : int64 array, shape (n,)
        What `result` knows each by.
    exact, table : float64 array, shape (n,)
        The exponentials: exact, and the table's.
    fixed : tuple of float
        Exact and table's sum of what is there besides: the maximum.
    others : int
        How many others there may be.
    """

    code: np.ndarray
    exact: np.ndarray
    table: np.ndarray
    fixed: tuple[float, float]
    others: int


def share_bound(
    points: tuple[np.ndarray, np.ndarray], elements: Elements, statistic: Statistic,
    result: Callable[[np.ndarray, np.ndarray], np.ndarray], one: float, largest: float,
    *, constant: bool = False,
) -> float:  # fmt: skip
    """Return an upper bound of ``|result - one e/S|`` over all rows.

    Parameters
    ----------
    points : tuple of float64 array, shape (m,)
        Exact and table's exponentials that the others may have.
    elements : Elements
        Whose error.
    statistic : Statistic
        Of all sums that a row of them can have.
    result : callable
        Output codes from elements' codes and values of the statistic, arrays of one shape; unless
        the statistic is `constant`, codes must not fall where its values rise.
    one : float
        The code of 1.0.
    largest : float
        The largest output code, which the exact result is limited to.
    constant : bool
        Whether the statistic has one value on each interval; then no intervals are joined.
    """
    if elements.others < 0 or not len(elements.code):
        return 0.0
    hull = _Hull(*points, elements.others)
    fixed, fixed_table = elements.fixed

    def errors(level: Statistic, at: np.ndarray, node: np.ndarray) -> np.ndarray:
        """Return the largest errors of pairs of element and interval; -1 where no row is."""
        exact, table = elements.exact[at], elements.table[at]
        first = level.first[node] - (table + fixed_table)
        last = level.last[node] - (table + fixed_table)
        low, high = hull.exact(first, np.minimum(last, hull.largest))
        scaled = one * exact / (fixed + exact + np.stack([low, high]))
        scaled *= np.array([[1 + MARGIN], [1 - MARGIN]])
        most, least = np.minimum(scaled, largest)
        code = elements.code[at]
        off = np.maximum(result(code, level.high[node]) - least,
                         most - result(code, level.low[node]))  # fmt: skip
        return np.where((last < 0) | (first > hull.largest), -1.0, off)

    levels = [statistic]
    while len(levels[-1].first) > COARSE and not constant:
        levels.append(levels[-1].coarser())
    at, node = (pairs.ravel() for pairs in np.indices((len(elements.code), len(levels[-1].first))))
    found = 0.0
    for height in range(len(levels) - 1, -1, -1):
        off = np.concatenate([
            errors(levels[height], at[part], node[part])
            for part in np.split(np.arange(len(at)), range(PAIRS_MAX, len(at), PAIRS_MAX))
        ])  # fmt: skip
        if height == 0:
            break
        # What one interval of constant values has is certain: nothing below it needs a look.
        best = off.argsort()[-COARSE:]
        leaf = np.minimum((node[best] << height) + (1 << height >> 1), len(statistic.first) - 1)
        found = max(found, float(errors(statistic, at[best], leaf).max()))
        keep = off > found
        if not keep.any():
            return found
        if 2 * int(keep.sum()) > PAIRS_MAX:
            break  # coarser, and a bound all the same
        at, node = np.repeat(at[keep], 2), np.repeat(2 * node[keep], 2)
        node[1::2] += 1
        inside = node < len(levels[height - 1].first)
        at, node = at[inside], node[inside]
    return max(found, float(off.max(initial=0.0)))
