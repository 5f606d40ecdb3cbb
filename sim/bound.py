"""A softmax's worst-case error, proved from its tables for every row there is.

docs/softmax.md has the argument. All that enters it is finite and is checked in full: the
exponential at every distance, and the reciprocal at the ends of every interval on which it is
constant.
"""

import numpy as np

from sim.golden import DirectSpec, PwlSpec, ReciprocalSpec, SoftmaxSpec

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
    assert isinstance(spec.mantissa, PwlSpec | DirectSpec)
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

    With ``e`` the exact and ``ê`` the table's exponentials, ``S`` and ``Ŝ`` their sums, and ``r``
    the table's reciprocal of ``Ŝ``:

    * ``Ŝ/S`` lies between its extremes over rows of one maximum and ``length - 1`` (or no)
      elements at one same distance, because a ratio of sums is extreme where all summands are
      the same;
    * ``|ê r - e/S| <= |ê - e Ŝ/S| / Ŝ + ê |r - 1/Ŝ|``;
    * rounding the product adds half an ulp; limiting it to the output's range, as the reference
      is, adds nothing.

    Infinite if the table's exp(0) is 0, as a table of few segments may have it.
    """
    form = spec.exp.input
    exact = np.exp(-form.real(form.codes()))
    table = spec.exp.output.real(spec.exp.compute(form.codes()))
    if table[0] <= 0:
        return np.inf  # a sum may be 0: nothing holds
    others = spec.length - 1
    ratios = np.append((table[0] + others * table) / (exact[0] + others * exact), table[0])
    # The smallest sum: the maximum alone, or with the element in question.
    smallest = np.where(form.codes() == 0, table[0], table[0] + table)
    drift = np.maximum(np.abs(table - exact * ratios.min()), np.abs(table - exact * ratios.max()))
    inverse = reciprocal_error(spec.reciprocal, int(spec.exp.compute(np.zeros(1, np.int64))[0]))
    bound = (drift / smallest + table * inverse).max() / spec.output.scale + 0.5
    return float(bound * (1 + 1e-9))  # the bound itself is computed in float64
