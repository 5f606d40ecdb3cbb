"""A softmax's worst-case error, proved from its tables for every row there is.

docs/softmax.md has the argument. All that enters it is finite and is checked in full: the
exponential at every exact distance, and the reciprocal at the ends of every interval on which it is
constant.
"""

from collections.abc import Callable

import numpy as np

from nnlut_train.formats import round_shift
from sim.golden import ReciprocalSpec, SoftmaxSpec

from .share_bound import Elements, Statistic, share_bound

__all__ = ["distance_bound", "reciprocal_error", "reciprocal_intervals", "softmax_bound"]


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


def softmax_bound(spec: SoftmaxSpec) -> float:
    """Return an upper bound of a probability's error over all rows, in ulp of the output.

    With ``e`` the exact exponentials of exact distances, ``ê`` the unit's, of what its table sees
    of the same distances, ``S`` and ``Ŝ`` their sums: a row has the maximum, the element in
    question, and up to ``length - 2`` others. The unit's result is a function of ê and of the
    reciprocal, which is constant on intervals of Ŝ; see `sim.share_bound` for what follows.

    A masked element is in no sum, and its result is 0, as it should be: a row with masks has no
    other errors than the row without these elements. Lanes do not matter: Ŝ is exact.

    Infinite if the table's exp(0) is 0, as a table of few segments may have it.
    """
    form = spec.distance
    exact = np.exp(-form.real(form.codes()))
    # Rounding and saturation of the distance are part of the unit's function of the exact one.
    codes = spec.exp.compute(spec.narrowed(form.codes()))
    if codes[0] <= 0:
        return np.inf  # a sum may be 0: nothing holds
    first, last = reciprocal_intervals(
        spec.reciprocal, int(codes[0]), int(codes.max()) * spec.length
    )
    inverse = spec.reciprocal.compute(first)
    # Neighbours with the same reciprocal are one interval.
    new = np.append(True, np.diff(inverse) != 0)
    last = np.append(first[new][1:] - 1, last[-1])
    first, inverse = first[new], inverse[new]
    return distance_bound(
        exact, codes, spec.length, Statistic(first, last, inverse, inverse),
        lambda e, r: spec.output.saturate(round_shift(e * r, spec.shift)),
        spec.one, spec.output.max,
    )  # fmt: skip


def distance_bound(
    exact: np.ndarray, table: np.ndarray, length: int, statistic: Statistic,
    result: Callable[[np.ndarray, np.ndarray], np.ndarray], one: float, largest: float,
    *, constant: bool = False,
) -> float:  # fmt: skip
    """Return the bound of a softmax that subtracts the maximum.

    Parameters
    ----------
    exact : float64 array, shape (n,)
        e by the distance, from 0 on.
    table : int64 array, shape (n,)
        ê by the distance; ``table[0]`` is that of the maximum.
    length : int
        Elements of the longest row.
    statistic, result, one, largest, constant
        As of `sim.share_bound.share_bound`; an element's code is its ê.
    """
    weight = table.astype(np.float64)
    points = (exact, weight)
    top = Elements(table[:1], exact[:1], weight[:1], (0.0, 0.0), length - 1)
    below = Elements(
        table[1:], exact[1:], weight[1:], (float(exact[0]), float(weight[0])), length - 2
    )
    bound = max(
        share_bound(points, each, statistic, result, one, largest, constant=constant)
        for each in (top, below)
    )
    return float(bound * (1 + 1e-9))  # the bound itself is computed in float64
