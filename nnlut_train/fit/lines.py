"""Lines on given breakpoints: chords of the function, or the best integer lines."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UsageError
from .programme import Programme

if TYPE_CHECKING:
    from . import Problem

__all__ = ["chords", "core", "lines_on", "rounded"]


def core(problem: "Problem", x: np.ndarray) -> np.ndarray:
    """Return ``problem.core(x)``, float64, of the shape of `x`.

    Raises
    ------
    UsageError
        If it is not finite somewhere.
    """
    value = problem.core(x)
    if not np.isfinite(value).all():
        raise UsageError(f"{problem.function} must be finite between its arguments' codes")
    return value


def chords(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return slopes and intercepts of the lines through neighbouring points.

    Parameters
    ----------
    x, y : float64 arrays, shape (..., n + 1)
        Points, ascending in x along the last axis. Two of equal x have a level line.

    Returns
    -------
    slopes, intercepts : float64 arrays, shape (..., n)
    """
    width, rise = np.diff(x), np.diff(y)
    slopes = np.divide(rise, width, out=np.zeros(width.shape), where=width > 0)
    return slopes, y[..., :-1] - slopes * x[..., :-1]


def rounded(
    problem: "Problem", edges: np.ndarray, slopes: np.ndarray, intercepts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Round real lines and the breakpoints between them to `problem`'s formats, half up.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    edges : float64 array, shape (n + 1,)
        Ascending real arguments: the lines' ends. The two outer ones are no breakpoints.
    slopes, intercepts : float64 arrays, shape (n,)
        The lines; what lies beyond a format is saturated.

    Returns
    -------
    breakpoints, slopes, intercepts : int64 arrays
        As in `PwlTable`. Lines between equal edges, and those without a code, are dropped.
    notes : dict
        ``saturated``: how many coefficients of the table their formats could not hold.
    """
    form = problem.argument
    real = edges[:-1] < edges[1:]
    real[0] |= not real.any()  # a domain of one point still needs a line
    codes = np.floor(edges[:-1][real][1:] / form.scale + 0.5)
    codes = np.clip(codes, form.min, form.max + 1).astype(np.int64)
    starts = np.append(form.min, codes)
    keep = starts < np.append(codes, form.max + 1)
    saturated, integers = 0, []
    for values, to in ((slopes, problem.slope), (intercepts, problem.intercept)):
        values = np.asarray(values)[real][keep]
        integers.append(to.quantize(values))
        nearest = np.floor(values / to.scale + 0.5)
        saturated += int(np.count_nonzero((nearest < to.min) | (nearest > to.max)))
    return starts[keep][1:], *integers, {"saturated": saturated}


def lines_on(
    problem: "Problem", breakpoints: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit the best integer line to each segment of given breakpoints.

    Best is the least weighted squared error at the problem's points, whatever its objective is.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    breakpoints : int64 array, shape (n,)
        Codes of ``problem.argument``, ascending; repeated ones count once.

    Returns
    -------
    breakpoints, slopes, intercepts : int64 arrays
        As in `PwlTable`. Segments without a point are dropped: what is left starts at the same
        points.
    """
    points = problem.points()
    breakpoints = np.unique(np.asarray(breakpoints, dtype=np.int64))
    first = np.searchsorted(points.start, breakpoints)
    # Of breakpoints that start at one point, the last is the one with points on its right.
    keep = (first > 0) & (first < np.append(first[1:], points.start.size))
    first = np.append(0, first[keep])
    samples = points.x, points.target, points.weight / points.weight.max()
    programme = Programme(samples, first, problem.slope, problem.intercept)
    segment = np.arange(first.size)
    slopes, intercepts = (v.astype(np.int64) for v in programme.fit(segment, segment)[:2])
    return breakpoints[keep], slopes, intercepts
