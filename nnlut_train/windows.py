"""Which sums of a table are right: the freedom that an error bound leaves."""

from dataclasses import dataclass

import numpy as np

from .folding import Fold
from .formats import Format

__all__ = ["UNLIMITED", "Windows", "windows"]

#: Stands for no limit: beyond every sum.
UNLIMITED = 1 << 45


@dataclass(frozen=True)
class Windows:
    """For every argument of a table, the sums whose result is near enough to the function's.

    Parameters
    ----------
    low, high : int64 array, shape (2**argument.bits,)
        The least and the largest sum, in units of the value's last place; what has no limit is
        beyond +-`UNLIMITED` / 2, as far as it matters. Where `low` exceeds `high`, there is none.
    ideal : float64 array, same shape
        The sum that is exact, the half of the rounding included; in the same unit.
    """

    low: np.ndarray
    high: np.ndarray
    ideal: np.ndarray


def windows(
    target: np.ndarray, inputs: Format, output: Format, guard: int, max_error: float, *,
    weights: np.ndarray | None = None, fold: Fold | None = None,
) -> Windows:  # fmt: skip
    """Return the windows of the sums of a `MultipartiteTable`.

    Parameters
    ----------
    target : float64 array, shape (2**inputs.bits,)
        The function at every code, ascending; limited to what the output can hold.
    inputs, output : Format
        Formats of the argument and of the result.
    guard : int
        Fraction bits of a sum beyond the output's.
    max_error : float
        Largest error in ulp of the output, 0.5 or more; 1 is faithful rounding: below 1.
    weights : float64 array, shape of `target`, optional
        Codes of weight 0 may have any result.
    fold : Fold, optional
        How the argument is folded.
    """
    ulps = output.clip(target) / output.scale
    # A result that is exactly one step off is not faithful, however the target was computed.
    reach = max_error if max_error < 1 else max_error - 2.0**-20
    low = np.ceil(ulps - reach).astype(np.int64)
    high = np.floor(ulps + reach).astype(np.int64)
    kept = 0 if fold is None else fold.lacks(output.frac)
    # Saturation: whatever is beyond the output's end has its result.
    least = np.where(low <= output.min, -UNLIMITED, low << kept)
    most = np.where(high >= output.max, UNLIMITED, (high + 1 << kept) - 1)
    if weights is not None:
        least = np.where(weights > 0, least, -UNLIMITED)
        most = np.where(weights > 0, most, UNLIMITED)
    # Between two ties.
    middle = ulps * 2.0**kept + (2.0**kept - 1) / 2
    if fold is not None:
        least, most, middle = _refolded(least, most, middle, inputs, output.frac + kept, fold)
    drop = guard - kept
    return Windows(least << drop, (most + 1 << drop) - 1, (middle + 0.5) * 2.0**drop)


def _refolded(
    least: np.ndarray, most: np.ndarray, middle: np.ndarray, inputs: Format, frac: int, fold: Fold
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the windows of the core at each magnitude from those of the result at each code."""
    codes = inputs.codes()
    one, ramp = 1 << max(frac, 0), 1 << max(frac - inputs.frac, 0)
    # What is unfolded is the core or its negative, plus a number that the code alone decides.
    base = fold.unfold(codes, np.zeros(len(codes), np.int64), one, ramp)
    mirrored = fold.unfold(codes, np.ones(len(codes), np.int64), one, ramp) < base
    low = np.where(mirrored, base - most, least - base)
    high = np.where(mirrored, base - least, most - base)
    core = np.where(mirrored, base - middle, middle - base)
    at, count = fold.arguments(codes), 1 << fold.magnitude.bits
    lows, highs = np.full(count, -UNLIMITED), np.full(count, UNLIMITED)
    np.maximum.at(lows, at, low)
    np.minimum.at(highs, at, high)
    used = np.bincount(at, minlength=count)
    where = np.arange(count)[used > 0]
    mean = np.bincount(at, core, count)[where] / used[where]
    return lows, highs, np.interp(np.arange(count), where, mean)
