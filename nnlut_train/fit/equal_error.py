"""Equal-error partition: breakpoints such that every segment has the same squared error.

The rule of equi-error partitioning (ISCAS 2024). Of a smooth function and many segments, it is also
what the best breakpoints satisfy: where the errors of two neighbours differ, moving the breakpoint
between them gains.

It is applied to the actual errors, not to an asymptotic formula: a segment's error is the
(weighted) sum of squared errors of its real least-squares line over the problem's points. It can
only grow with the segment, so that greedily taking the longest segments decides whether `entries`
segments reach an error, and bisection finds the least one. Points are not divided: every segment
but the last is as long as that error allows. The lines are then the best integer ones.

The error is squared whatever the problem's objective is.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from . import lines

if TYPE_CHECKING:
    from . import Points, Problem

__all__ = ["partition", "segment_errors", "solve"]

#: The error is found to this part of itself.
PRECISION = 1e-12


def segment_errors(points: "Points", first: int) -> np.ndarray:
    """Return the errors of all segments that begin at one point.

    Parameters
    ----------
    points : Points
        n points.
    first : int
        Index of the segments' first point.

    Returns
    -------
    float64 array, shape (n - first,)
        Weighted sums of squared errors of the real least-squares lines over the points `first` to
        `first` + i; they never fall with i.
    """
    w = points.weight[first:]
    # With the first point as origin, short segments are not differences of large sums.
    dx, df = (v[first:] - v[first] for v in (points.x, points.target))
    weight, sum_x, sum_f, xx, xf, ff = np.cumsum(
        [w, w * dx, w * df, w * dx * dx, w * dx * df, w * df * df], axis=1
    )
    mean_x, mean_f = sum_x / weight, sum_f / weight
    raw = ff
    xx, xf, ff = xx - sum_x * mean_x, xf - sum_x * mean_f, ff - sum_f * mean_f
    explained = np.divide(xf * xf, xx, out=np.zeros(xx.shape), where=xx > 0)
    error = ff - explained
    # What is left of a straight line is rounding; it shall not ask for segments.
    error[error < 1e-14 * raw] = 0
    return np.maximum.accumulate(error)


def partition(points: "Points", entries: int) -> tuple[np.ndarray, float]:
    """Divide points into at most `entries` segments of equal error.

    Parameters
    ----------
    points : Points
        n points; those of one start are not separated.
    entries : int
        Number of segments at most, 1 or more.

    Returns
    -------
    first : int64 array, shape (m,)
        Index of each segment's first point; the first is 0.
    error : float
        The least error that all segments can have at most; see `segment_errors`.
    """
    edges = np.append(np.flatnonzero(np.diff(points.start)) + 1, points.start.size)

    @lru_cache(128)  # the last guesses share their first segments
    def errors(first: int) -> np.ndarray:
        return segment_errors(points, first)

    def greedy(limit: float) -> list[int]:
        """Return the longest segments' first points, or those of `entries` and one more."""
        first = [0]
        while len(first) <= entries:
            i = first[-1]
            later = edges[np.searchsorted(edges, i, side="right") :]
            # A block is taken in any case: it cannot be divided.
            reach = max(1, int(np.searchsorted(errors(i)[later - 1 - i], limit, side="right")))
            if reach == later.size:
                break
            first.append(int(later[reach - 1]))
        return first

    low, high = 0.0, float(errors(0)[-1])
    if len(greedy(low)) <= entries:
        return np.array(greedy(low)), low
    while high - low > PRECISION * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if len(greedy(middle)) <= entries else (middle, high)
    return np.array(greedy(high)), high


def solve(
    problem: "Problem", seed: int, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Fit `problem` with segments of equal error; see `nnlut_train.fit.fit`.

    `seed` and `progress` are not used.

    Returns
    -------
    breakpoints, slopes, intercepts : int64 arrays
        As in `PwlTable`.
    notes : dict
        ``segment_error``: the error that no segment's real line exceeds, as a share of the
        (weighted) mean squared error.
    """
    points = problem.points()
    first, error = partition(points, problem.entries)
    return *lines.lines_on(problem, points.start[first[1:]]), {"segment_error": error}
