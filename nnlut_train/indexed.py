"""Lines whose segments are addressed by the leading bits of the argument: no comparators.

D. Lee, P. Cheung, W. Luk, J. Villasenor, "Hierarchical segmentation schemes for function
evaluation", IEEE Trans. VLSI 17(1), 2009, compare such schemes. That one slope may serve several
segments is from the bipartite table (D. Das Sarma, D. Matula, ARITH-12, 1995); here a multiplier of
few bits takes the place of its table of offsets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .errors import UsageError
from .formats import Format, round_shift
from .tables import Table, _integers

__all__ = ["IndexedTable", "ShiftAddTable", "signed_powers"]


@dataclass(frozen=True)
class IndexedTable(Table):
    """Segments of equal length with an intercept each, and groups of them with a slope each.

    Of the argument, counted from its smallest code, the bits above the lowest ``layout[0]`` are the
    segment i, those above the lowest ``layout[1]`` the group j, and r is the lowest ``layout[0]``.
    With `slope` and `intercept` brought to the same fraction bits,
    ``y = saturate(round_shift(unfold((slope[j] * r + intercept[i]) >> shift), drop))``: the half of
    the first rounding is inside the intercepts. There are bits to `drop` only where the unfolding
    needs more fraction bits than the output has.

    Parameters
    ----------
    slope, intercept : Format
        Formats of the coefficients.
    layout : sequence of int
        Bits of r, at least 1; bits of the arguments of a group, at least as many; and 1 if r counts
        down from the segment's last code, so that falling slopes need no sign, else 0.
    slopes, intercepts : sequence of int
        A code for each group, and for each segment, ascending.

    Raises
    ------
    UsageError
        If a value is out of its range, or the parts do not go together.
    """

    kind = "indexed"
    _integer_fields = ("layout", "slopes", "intercepts")

    slope: Format
    intercept: Format
    layout: tuple[int, int, int]
    slopes: tuple[int, ...]
    intercepts: tuple[int, ...]
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def _format_names(cls, folded: bool) -> tuple[str, ...]:
        return ("input", "output", "slope", "intercept")

    def __post_init__(self) -> None:
        self._check_fold(self.core_frac)
        bits = self.argument.bits
        low, group, down = _integers("layout", self.layout, 3, 0, bits)
        if not 1 <= low <= group or down > 1:
            raise UsageError(
                f"table: layout must be 1 to {bits} bits of a segment, as many of a group or more, "
                f"and 0 or 1, not {[low, group, down]}"
            )
        object.__setattr__(self, "layout", (low, group, down))
        for name, count, form in (
            ("slopes", 1 << (bits - group), self.slope),
            ("intercepts", 1 << (bits - low), self.intercept),
        ):
            values = _integers(name, getattr(self, name), count, form.min, form.max)
            object.__setattr__(self, name, values)
        if not 0 <= self.shift <= 32:
            raise UsageError(
                f"table: slope {self.slope} times input {self.input}, or intercept "
                f"{self.intercept}, must have 0 to 32 fraction bits more than the {self.core_frac} "
                f"of the result"
            )
        reach = max(-self.slope.min, self.slope.max) << (low + self.slope_align)
        reach += max(-self.intercept.min, self.intercept.max) << self.intercept_align
        reach += self._unfolding(self.core_frac)
        if reach >> 62:
            raise UsageError(
                f"table: slope {self.slope} times {low} bits plus intercept {self.intercept} must "
                f"fit 63 bits"
            )

    @property
    def core_frac(self) -> int:
        """Fraction bits of what is unfolded: the output's, or as many as unfolding needs."""
        return self.output.frac + (self.fold.lacks(self.output.frac) if self.fold else 0)

    @property
    def drop(self) -> int:
        """Fraction bits of what is unfolded beyond the output's."""
        return self.core_frac - self.output.frac

    @property
    def _frac(self) -> int:
        """Fraction bits of the sum."""
        return max(self.slope.frac + self.input.frac, self.intercept.frac)

    @property
    def slope_align(self) -> int:
        """Left shift that brings a product to the fraction bits of the sum."""
        return self._frac - self.slope.frac - self.input.frac

    @property
    def intercept_align(self) -> int:
        """Left shift that brings an intercept to the fraction bits of the sum."""
        return self._frac - self.intercept.frac

    @property
    def shift(self) -> int:
        """Fraction bits of the sum beyond those of what is unfolded."""
        return self._frac - self.core_frac

    @property
    def entries(self) -> int:
        """Number of segments."""
        return len(self.intercepts)

    @property
    def storage_bits(self) -> int:
        """Bits of table storage: slopes and intercepts."""
        return len(self.slopes) * self.slope.bits + self.entries * self.intercept.bits

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return the segment index (int64) of input `codes` of any shape."""
        at = self._arguments(np.asarray(codes, dtype=np.int64)) - self.argument.min
        return at >> self.layout[0]

    def cores(self, arguments: np.ndarray) -> np.ndarray:
        """Return the rounded cores (int64) at codes of the argument, of any shape."""
        low, group, down = self.layout
        at = np.asarray(arguments, dtype=np.int64) - self.argument.min
        mask = (1 << low) - 1
        r = (mask - (at & mask)) if down else at & mask
        total = np.array(self.slopes, np.int64)[at >> group] * r << self.slope_align
        total += np.array(self.intercepts, np.int64)[at >> low] << self.intercept_align
        return total >> self.shift

    def _results(self, codes: np.ndarray) -> np.ndarray:
        """Return the results before saturation."""
        values = self._unfold(codes, self.cores(self._arguments(codes)), self.core_frac)
        return round_shift(values, self.drop)

    @cached_property
    def core_range(self) -> tuple[int, int]:
        """The smallest and the largest rounded core over all arguments."""
        cores = self.cores(self.argument.codes())
        return int(cores.min()), int(cores.max())

    @cached_property
    def saturates(self) -> bool:
        """Whether any input has a result that the output cannot hold."""
        results = self._results(self.input.codes())
        return bool(results.min() < self.output.min or results.max() > self.output.max)

    def lookup(self, codes: np.ndarray) -> np.ndarray:
        """Return the output codes (int64) of input `codes` of any shape."""
        return self.output.saturate(self._results(np.asarray(codes, dtype=np.int64)))


def signed_powers(value: int) -> tuple[int, ...]:
    """Return an integer as the fewest signed powers of two: its non-adjacent form.

    Returns
    -------
    tuple of int
        ``e + 1`` for each added ``2**e``, ``-(e + 1)`` for each subtracted one; e descends.
        (G. Reitwiesner, Advances in Computers 1, 1960: no other form has fewer.)
    """
    terms, exponent = [], 0
    while value:
        if value & 1:
            digit = 2 - (value & 3)
            terms.append(digit * (exponent + 1))
            value -= digit
        value, exponent = value >> 1, exponent + 1
    return tuple(reversed(terms))


@dataclass(frozen=True)
class ShiftAddTable(IndexedTable):
    """An indexed table whose slopes are sums of few signed powers of two: no multiplier.

    Parameters
    ----------
    terms : sequence of int
        The same number of terms for each slope, one slope behind the other: ``e + 1`` for
        ``+2**e``, ``-(e + 1)`` for ``-2**e``, and 0 for no term.

    Raises
    ------
    UsageError
        If the terms of a slope do not add up to it, and as `IndexedTable`.
    """

    kind = "shiftadd"
    _integer_fields = ("layout", "slopes", "intercepts", "terms")

    terms: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        sized = isinstance(self.terms, list | tuple | np.ndarray)
        count = len(self.terms) if sized else 0
        if not count or count % len(self.slopes):
            raise UsageError(
                f"table: terms must be the same number, 1 or more, for each of {len(self.slopes)} "
                f"slopes, not {count} in all"
            )
        most = self.slope.bits + 1
        object.__setattr__(self, "terms", _integers("terms", self.terms, count, -most, most))
        for position, (slope, terms) in enumerate(zip(self.slopes, self.of_slopes, strict=True)):
            total = sum((1 << (abs(t) - 1)) * (1 if t > 0 else -1) for t in terms if t)
            if total != slope:
                raise UsageError(
                    f"table: the terms of slopes[{position}] must add up to {slope}, not {total}"
                )

    @property
    def of_slopes(self) -> list[tuple[int, ...]]:
        """The terms of each slope."""
        each = len(self.terms) // len(self.slopes)
        return [self.terms[at : at + each] for at in range(0, len(self.terms), each)]
