"""The best continuous table that meets the function at its breakpoints.

Neighbouring lines meet in knots on the function: the first code of the domain, the last one, and
the breakpoints between. Of all such interpolating functions, a dynamic programme over the knots
(Bellman, CACM 4(6), 1961) finds one of least (weighted) squared error over the problem's points:
exactly, up to the rounding of float64 sums, among knots on the argument's codes. Of a domain of
more than `MAX_STEPS` steps only the codes at multiples of ``knot_grid`` from its first one are
tried, and its last.

That is a claim about the real lines. Values beside the function would allow less, and so would
another choice of knots for the rounded lines: slopes and intercepts are rounded afterwards, each
to its format, so that the table's lines meet up to that rounding only.

The error is squared whatever the problem's objective is.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from . import lines

if TYPE_CHECKING:
    from . import Points, Problem

__all__ = ["interpolate", "solve"]

#: Knots are tried at the ends of so many steps at most: the effort grows with the square.
MAX_STEPS = 512


def _candidates(problem: "Problem") -> tuple[np.ndarray, int]:
    """Return the argument's codes on which knots may lie, ascending, and their distance."""
    low, high = (round(end / problem.argument.scale) for end in problem.domain)
    grid = max(1, -(-(high - low) // MAX_STEPS))
    return np.append(np.arange(low, high, grid), high), grid


def interpolate(problem: "Problem") -> tuple[np.ndarray, float, int]:
    """Find the knots of the best interpolation.

    Parameters
    ----------
    problem : Problem
        What is fitted.

    Returns
    -------
    knots : int64 array, shape (m,)
        Codes of the argument, ascending: m - 1 is at most the problem's entries. One knot if the
        domain is a single code.
    error : float
        The weighted mean squared error of the real lines between them. Left of the first and right
        of the last knot (where coarser scales may have points), the outer lines run on.
    grid : int
        Distance of the codes that were tried.

    Raises
    ------
    UsageError
        If the function is not finite on some code.
    """
    points = problem.points()
    codes, grid = _candidates(problem)
    x = problem.argument.real(codes)
    f = lines.core(problem, x)
    count = codes.size - 1  # the most segments there can be
    if not count:
        return codes, float(points.weight @ (points.target - f[0]) ** 2), grid
    entries = min(problem.entries, count)
    # Knot i's first point on the right. The outer lines have all points that are left over.
    first = np.searchsorted(points.start, codes)
    first[0], first[-1] = 0, points.start.size

    # best[m, i]: least error of all points left of knot i in m segments.
    best = np.full((entries + 1, codes.size), np.inf)
    best[0, 0] = 0.0
    origin = np.zeros(best.shape, dtype=np.int64)
    for i in range(count):
        cost = _costs(points, x, f, first, i)
        sums = best[:-1, i : i + 1] + cost
        better = sums < best[1:, i + 1 :]
        best[1:, i + 1 :][better] = sums[better]
        origin[1:, i + 1 :][better] = i
    m = int(best[:, -1].argmin())  # the fewest segments of equal errors
    error, path = float(best[m, -1]), [count]
    for used in range(m, 0, -1):
        path.append(int(origin[used, path[-1]]))
    return codes[path[::-1]], error, grid


def _costs(points: "Points", x: np.ndarray, f: np.ndarray, first: np.ndarray, i: int) -> np.ndarray:
    """Return the squared errors of the chords from knot i to each later knot."""
    right = slice(first[i], None)
    w, dx, df = points.weight[right], points.x[right] - x[i], points.target[right] - f[i]
    # With the knot as origin, short segments are not differences of large sums.
    sums = np.cumsum([w * df * df, w * dx * df, w * dx * dx], axis=1)
    sums = np.concatenate([np.zeros((3, 1)), sums], axis=1)
    ff, xf, xx = sums[:, first[i + 1 :] - first[i]]
    slope = (f[i + 1 :] - f[i]) / (x[i + 1 :] - x[i])
    return np.maximum(ff - 2 * slope * xf + slope**2 * xx, 0.0)


def solve(
    problem: "Problem", seed: int, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Fit `problem` with the best interpolation; see `nnlut_train.fit.fit`.

    `seed` and `progress` are not used.

    Returns
    -------
    breakpoints, slopes, intercepts : int64 arrays
        As in `PwlTable`.
    notes : dict
        ``interpolation_mse``: see `interpolate`; ``knot_grid``: distance of the codes that were
        tried; ``saturated``: how many coefficients of the table their formats could not hold.

    Raises
    ------
    UsageError
        If the function is not finite on some code.
    """
    knots, error, grid = interpolate(problem)
    x = problem.argument.real(knots if knots.size > 1 else np.repeat(knots, 2))
    table = lines.rounded(problem, x, *lines.chords(x, lines.core(problem, x)))
    return *table[:3], table[3] | {"interpolation_mse": error, "knot_grid": grid}
