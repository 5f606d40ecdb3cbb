"""A softmax's worst-case error, proved from its tables for every row there is.

docs/softmax.md has the argument. All that enters it is finite and is checked in full: the
exponential at every exact distance, and the reciprocal at the ends of every interval on which it is
constant.
"""

import numpy as np

from sim.golden import ReciprocalSpec, SoftmaxSpec

__all__ = ["reciprocal_error", "reciprocal_intervals", "softmax_bound"]


def reciprocal_intervals(
    spec: ReciprocalSpec, low: int, high: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last codes of intervals of x, on each of which 1/x is one code.

    The result is constant where the normalising shift and the table's input are. Codes that are too
    small to be normalised within ``spec.shift_max`` are intervals of their own.

    Parameters
    ----------
    spec : ReciprocalSpec
        The reciprocal; not of a root.
    low, high : int
        The intervals cover all codes from `low` > 0 to `high`.
    """
    assert not spec.root
    shifts = np.arange(spec.shifts + 1)
    windows = np.arange(1 << spec.mantissa.input.bits) << spec.window_low
    starts = ((1 << (spec.width - 1)) + windows)[:, None] >> shifts
    small = np.arange(low, 1 << (spec.width - 1 - spec.shifts))
    first = np.unique(np.concatenate([starts.ravel(), small, [low]]))
    first = first[(first >= low) & (first <= high)]
    return first, np.append(first[1:] - 1, high)


def reciprocal_error(spec: ReciprocalSpec, low: int) -> float:
    """Return the largest error of 1/x over all codes x >= `low` > 0, as a real number.

    Where the result is constant, 1/x is monotone, so the largest error is at an end.
    """
    ends = np.concatenate(reciprocal_intervals(spec, low, spec.input.max))
    return float(np.abs(spec.output.real(spec.compute(ends)) - 1.0 / spec.input.real(ends)).max())


def _boundary(exact: np.ndarray, table: np.ndarray, side: int) -> np.ndarray:
    """Return the lower (`side` 1) or the upper (-1) boundary of a convex hull that has the origin.

    Parameters
    ----------
    exact, table : float64 array, shape (n,)
        Points ``(exact, table)``, at least 0.

    Returns
    -------
    float64 array, shape (m, 2)
        The vertices, from the least `exact`, 0, to the largest.
    """
    points = np.stack([np.append(exact, 0.0), np.append(table, 0.0)], axis=1)
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


def _share_errors(exact: np.ndarray, table: np.ndarray, length: int) -> np.ndarray:
    """Return the largest ``|ê/Ŝ - e/S|`` of an element at each distance, over all rows.

    Parameters
    ----------
    exact, table : float64 array, shape (n,)
        e and ê by the distance, from 0 on; ``table[0] > 0``.
    length : int
        Elements of the longest row.
    """
    errors = np.zeros(len(exact))
    # The maximum, and `length` - 1 others; an element below it, the maximum, and the rest.
    kinds = (
        (slice(0, 1), 0.0, 0.0, length - 1),
        (slice(1, None), exact[0], table[0], length - 2),
    )
    for some, maximum, maximum_table, others in kinds:
        if others < 0:
            continue
        e, ee = exact[some, None], table[some, None]
        low, low_table = maximum + e, maximum_table + ee
        for side in (1, -1):
            ends = _boundary(others * exact, others * table, side)
            ends = np.append(ends, ends[-1:], axis=0)  # the origin alone has no edge
            (x, y), (dx, dy) = ends[:-1].T, np.diff(ends, axis=0).T
            # Where the derivative along an edge is 0; on one that falls, it is so nowhere.
            up, down = np.sqrt(ee * np.maximum(dy, 0)), np.sqrt(e * dx)
            with np.errstate(divide="ignore", invalid="ignore"):
                flat = (down * (low_table + y) - up * (low + x)) / (up * dx - down * dy)
            for at in (0.0, np.clip(np.nan_to_num(flat), 0, 1), 1.0):
                off = ee / (low_table + y + at * dy) - e / (low + x + at * dx)
                errors[some] = np.maximum(errors[some], np.abs(off).max(axis=1))
    return errors


def softmax_bound(spec: SoftmaxSpec) -> float:
    """Return an upper bound of a probability's error over all rows, in ulp of the output.

    With ``e`` the exact exponentials of exact distances, ``ê`` the unit's, of what its table sees
    of the same distances, ``S`` and ``Ŝ`` their sums, and ``r`` the table's reciprocal of ``Ŝ``:

    * ``|ê r - e/S| <= |ê/Ŝ - e/S| + ê |r - 1/Ŝ|``;
    * the other elements' part of ``(S, Ŝ)`` is in the convex hull of 0 and as many times
      ``(e, ê)`` of each distance as there can be others. ``ê/Ŝ`` falls with ``Ŝ``, so
      ``|ê/Ŝ - e/S|`` is largest on the boundary of the hull; on each edge of it, at an end or where
      the derivative is 0;
    * rounding the product adds half an ulp; limiting it to the output's range, as the reference
      is, adds nothing.

    Infinite if the table's exp(0) is 0, as a table of few segments may have it.
    """
    form = spec.distance
    exact = np.exp(-form.real(form.codes()))
    # Rounding and saturation of the distance are part of the unit's function of the exact one.
    table = spec.exp.output.real(spec.exp.compute(spec.narrowed(form.codes())))
    if table[0] <= 0:
        return np.inf  # a sum may be 0: nothing holds
    inverse = reciprocal_error(spec.reciprocal, int(spec.exp.compute(np.zeros(1, np.int64))[0]))
    errors = _share_errors(exact, table, spec.length) + table * inverse
    bound = errors.max() / spec.output.scale + 0.5
    return float(bound * (1 + 1e-9))  # the bound itself is computed in float64
