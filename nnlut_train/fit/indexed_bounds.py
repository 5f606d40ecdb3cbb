"""What a largest error allows: an interval of cores for every argument of a table."""

from dataclasses import dataclass

import numpy as np

from ..folding import Fold
from ..formats import Format

__all__ = ["Bounds", "bounds"]


@dataclass(frozen=True, eq=False)
class Bounds:
    """What every argument's rounded core may be.

    Parameters
    ----------
    input, output : Format
        Of the table.
    fold : Fold or None
        How the argument is folded.
    low, high, wanted : float64 arrays, shape (2**argument.bits,)
        The smallest and the largest core that all inputs with this argument allow, integers, in
        ascending order of the argument's code; and what they want, not rounded. With ``low > high``
        no table is within the bound.
    """

    input: Format
    output: Format
    fold: Fold | None
    low: np.ndarray
    high: np.ndarray
    wanted: np.ndarray

    @property
    def bits(self) -> int:
        """Bits of the argument."""
        return (self.input if self.fold is None else self.fold.magnitude).bits

    @property
    def possible(self) -> bool:
        """Whether every argument has a core that is allowed."""
        return bool((self.low <= self.high).all())


def bounds(
    target: np.ndarray, inputs: Format, output: Format, most: float,
    weights: np.ndarray | None = None, fold: Fold | None = None,
) -> Bounds:  # fmt: skip
    """Return what the cores may be if no result is to be further than `most` from `target`.

    Parameters
    ----------
    target : float64 array, shape (2**inputs.bits,)
        The function at every input code, ascending; clipped to what the output can hold.
    inputs, output : Format
        Formats of the argument and of the result.
    most : float
        Largest error of the rounded result, in ulp of the output.
    weights : float64 array, same shape, optional
        A code of weight 0 is allowed every result.
    fold : Fold, optional
        How to fold the argument.
    """
    codes = inputs.codes()
    frac = output.frac + (fold.lacks(output.frac) if fold else 0)
    drop = frac - output.frac
    exact = output.clip(target) / output.scale
    # A float64 on the bound counts as within it.
    low = np.clip(np.ceil(exact - most - 1e-9), output.min, output.max)
    high = np.clip(np.floor(exact + most + 1e-9), output.min, output.max)
    if weights is not None:
        free = weights <= 0
        low[free], high[free] = output.min, output.max
    wanted = exact * 2**drop
    tight = _rounding(low, high, drop)
    if fold is None:
        return Bounds(inputs, output, None, *tight, wanted)
    # A result beyond the output's range saturates, but needs the logic for it: only where a code
    # and its mirror image have no core in common else, as tanh near 1 where the output ends below.
    loose = _rounding(
        np.where(low == output.min, -np.inf, low), np.where(high == output.max, np.inf, high), drop
    )
    one, ramp = 2.0 ** max(frac, 0), 2.0 ** max(frac - inputs.frac, 0)
    at, size = fold.arguments(codes), 1 << fold.magnitude.bits
    count = np.bincount(at, minlength=size)
    mirrored = fold.refold(codes, np.ones(codes.shape), 0.0, 0.0) < 0

    def merged(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = (fold.refold(codes, v, one, ramp) for v in (low, high))
        low, high = np.where(mirrored, high, low), np.where(mirrored, low, high)
        least, most = np.full(size, -np.inf), np.full(size, np.inf)
        np.maximum.at(least, at, low)
        np.minimum.at(most, at, high)
        return least, most

    low, high = merged(*tight)
    beyond = merged(*loose)
    lost = low > high
    low, high = (np.where(lost, new, old) for new, old in zip(beyond, (low, high), strict=True))
    low = np.where(np.isinf(low), high - 1, low)
    high = np.where(np.isinf(high), low + 1, high)
    # Of several arguments with one magnitude the mean is wanted.
    mean = np.zeros(size)
    np.add.at(mean, at, fold.refold(codes, wanted, one, ramp))
    mean /= np.maximum(count, 1)
    # A magnitude that no code has may have any core; that of the largest is as good as another.
    last = int(at.max())
    low, high, mean = (np.where(count, v, v[last]) for v in (low, high, mean))
    return Bounds(inputs, output, fold, low, high, mean)


def _rounding(low: np.ndarray, high: np.ndarray, drop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what rounds half up to codes from `low` to `high`, where so many bits are dropped."""
    half = (1 << drop) >> 1
    return low * 2**drop - half, high * 2**drop + (1 << drop) - 1 - half
