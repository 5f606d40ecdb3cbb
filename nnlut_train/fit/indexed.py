"""Fits of lines whose segments are addressed by bits, exactly, on the integers that are stored.

Every input code allows its results an interval, so every argument allows its rounded core one. A
line with slope k serves a segment if ``low[r] <= k r + b < high[r] + 1`` for all its r. A real b
for that exists if k is above every ``(low[s] - high[r] - 1) / (s - r)`` and below every
``(high[s] + 1 - low[r]) / (s - r)`` with r < s: an interval of slopes for every segment, and for a
group of segments with one slope what these have in common. Of the integer slopes in it, from the
least-squares line's outwards, the first that has an integer intercept for every segment is taken.
Where all that are in it are tried and none has, no table of this layout stays within the bound.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UsageError
from ..formats import Format
from ..indexed import IndexedTable, ShiftAddTable, signed_powers
from .indexed_bounds import Bounds

__all__ = ["Layout", "Lines"]

#: Slopes of a group that are tried at most, on each side of the least-squares line's.
TRIED = 32


@dataclass(frozen=True)
class Layout:
    """The groups of a table, and the lattices of its coefficients.

    Parameters
    ----------
    group : int
        Bits of the arguments of a group.
    slope_guard, intercept_guard : int
        Fraction bits of product and intercept beyond those of the core; that of the slope may be
        negative.
    """

    group: int
    slope_guard: int
    intercept_guard: int

    @property
    def shift(self) -> int:
        """Fraction bits of the sum beyond those of the core."""
        return max(self.slope_guard, self.intercept_guard, 0)


class Lines:
    """The segments of one length, for all layouts that have it.

    Parameters
    ----------
    bounds : Bounds
        What the cores may be.
    low : int
        Bits of the arguments of a segment.

    Raises
    ------
    UsageError
        If `low` is not 1 to the argument's bits.
    """

    def __init__(self, bounds: Bounds, low: int) -> None:
        if not 1 <= low <= bounds.bits:
            raise UsageError(f"a segment must have 1 to {bounds.bits} bits, not {low}")
        self.bounds, self.bits = bounds, low
        count = 1 << low
        self.r = np.arange(count, dtype=np.float64)
        self.low = bounds.low.reshape(-1, count)
        self.above = bounds.high.reshape(-1, count) + 1
        self.wanted = bounds.wanted.reshape(-1, count) + 0.5
        segments = self.low.shape[0]
        #: Slopes, in steps of the core a code, must be between these.
        self.least, self.most = np.full(segments, -np.inf), np.full(segments, np.inf)
        for d in range(1, count):
            rise = (self.low[:, d:] - self.above[:, :-d]).max(axis=1) / d
            fall = (self.above[:, d:] - self.low[:, :-d]).min(axis=1) / d
            np.maximum(self.least, rise, out=self.least)
            np.minimum(self.most, fall, out=self.most)
        centred = self.r - self.r.mean()
        self.ideal = self.wanted @ centred / (centred @ centred)

    def slopes(self, group: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return between what the slope of each group must be, and the least-squares slope."""
        shape = (-1, 1 << (group - self.bits))
        least, most = self.least.reshape(shape).max(axis=1), self.most.reshape(shape).min(axis=1)
        return least, most, np.clip(self.ideal.reshape(shape).mean(axis=1), least, most)

    def fits(self, group: int) -> bool:
        """Return whether real lines can be within the bounds."""
        least, most, _ = self.slopes(group)
        return bool((least < most).all())

    def fit(self, layout: "Layout", terms: int = 0) -> tuple[np.ndarray, np.ndarray] | None:
        """Return slope and intercept codes that keep all cores within the bounds, or None.

        Parameters
        ----------
        layout : Layout
            The groups, and the lattices of the coefficients.
        terms : int
            Signed powers of two in a slope at most; 0: any slope.

        Returns
        -------
        slopes, intercepts : int64 arrays
            A code for each group, and for each segment.
        """
        unit, step = 2.0**-layout.slope_guard, 2.0**-layout.intercept_guard
        finest = 2.0**-layout.shift
        least, most, ideal = self.slopes(layout.group)
        # A slope on a bound leaves none: values below `above` are at least one step below.
        first, last = np.floor(least / unit) + 1, np.ceil(most / unit) - 1
        if (first > last).any():
            return None
        allowed = _allowed(first, last, ideal / unit, terms)
        each = 1 << (layout.group - self.bits)
        slopes, intercepts = np.zeros(first.size), np.zeros((first.size, each))
        left = np.arange(first.size)
        shape = (-1, each, self.r.size)
        low, above, wanted = (v.reshape(shape) for v in (self.low, self.above, self.wanted))
        for tries in _tries(np.floor(ideal / unit + 0.5), first, last, allowed):
            k = tries[left]
            product = (k * unit)[:, None, None] * self.r
            bottom = np.ceil((low[left] - product).max(axis=2) / step)
            top = np.floor(((above[left] - product).min(axis=2) - finest) / step)
            good = (bottom <= top).all(axis=1) & (k >= first[left]) & (k <= last[left])
            b = np.floor((wanted[left] - product).mean(axis=2) / step + 0.5)
            slopes[left[good]] = k[good]
            intercepts[left[good]] = np.clip(b, bottom, top)[good]
            left = left[~good]
            if not left.size:
                return slopes.astype(np.int64), intercepts.reshape(-1).astype(np.int64)
        return None

    def table(self, layout: "Layout", meta: dict[str, Any], terms: int = 0) -> IndexedTable | None:
        """Return the table of `fit`, or None."""
        found = self.fit(layout, terms)
        if found is None:
            return None
        return _table(self.bounds, self.bits, layout, *found, meta, terms)


def _allowed(
    first: np.ndarray, last: np.ndarray, ideal: np.ndarray, terms: int
) -> np.ndarray | None:
    """Return the slope codes that are sums of so many signed powers of two; None: all are."""
    if not terms:
        return None
    reach = int(max(abs(first).max(), abs(last).max()).item())
    if reach.bit_length() > 20:  # only those near what is wanted
        reach = 2 * int(np.abs(ideal).max()) + 2
    codes = np.arange(reach + 1, dtype=np.int64)
    # The bits of the non-adjacent form of k are those in which 3k and k differ.
    codes = codes[np.bitwise_count(codes ^ 3 * codes) <= terms]
    return np.concatenate([-codes[:0:-1], codes]).astype(np.float64)


def _tries(
    ideal: np.ndarray, first: np.ndarray, last: np.ndarray, allowed: np.ndarray | None
) -> Iterator[np.ndarray]:
    """Yield slopes for each group, from the nearest to `ideal` outwards."""
    ideal = np.clip(ideal, first, last)
    if allowed is None:
        yield ideal
        most = int(min((last - first).max(), TRIED))
        for distance in range(1, most + 1):
            yield ideal + distance
            yield ideal - distance
        return
    at = np.searchsorted(allowed, ideal).clip(1, allowed.size - 1)
    at = at - (ideal - allowed[at - 1] < allowed[at] - ideal)
    yield allowed[at]
    inside = np.searchsorted(allowed, last, side="right") - np.searchsorted(allowed, first)
    for distance in range(1, int(min(inside.max(), TRIED)) + 1):
        yield allowed[np.minimum(at + distance, allowed.size - 1)]
        yield allowed[np.maximum(at - distance, 0)]


def _table(
    bounds: Bounds, low: int, layout: Layout, slopes: np.ndarray, intercepts: np.ndarray,
    meta: dict[str, Any], terms: int,
) -> IndexedTable:  # fmt: skip
    down = int(slopes.max() <= 0 and slopes.min() < 0)
    guard = layout.intercept_guard
    if down:  # k r + b = -k (mask - r) + (b + k mask), on the finer lattice of the two
        mask, guard = (1 << low) - 1, layout.shift
        intercepts = intercepts << (guard - layout.intercept_guard)
        added = slopes * mask << (guard - layout.slope_guard)
        intercepts = intercepts + np.repeat(added, 1 << (layout.group - low))
        slopes = -slopes
        while guard > 0 and not (intercepts & 1).any():
            intercepts, guard = intercepts >> 1, guard - 1
    frac = bounds.output.frac + (bounds.fold.lacks(bounds.output.frac) if bounds.fold else 0)
    common = (
        bounds.input, bounds.output, _format(slopes, frac + layout.slope_guard - bounds.input.frac),
        _format(intercepts, frac + guard), (low, layout.group, down), tuple(slopes.tolist()),
        tuple(intercepts.tolist()), meta,
    )  # fmt: skip
    if not terms:
        return IndexedTable(*common, fold=bounds.fold)
    rows = [signed_powers(k) for k in slopes.tolist()]
    most = max(1, max(map(len, rows)))
    flat = tuple(t for row in rows for t in (*row, *(0,) * (most - len(row))))
    return ShiftAddTable(*common, terms=flat, fold=bounds.fold)


def _format(codes: np.ndarray, frac: int) -> Format:
    """Return the narrowest format with these fraction bits that holds integers."""
    low, high = int(codes.min()), int(codes.max())
    bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0)
    return Format(low < 0, max(bits + (low < 0), 1), frac)
