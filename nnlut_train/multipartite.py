"""Multipartite tables: initial values, and offsets that are added to them.

F. de Dinechin, A. Tisserand, "Multipartite table methods", IEEE Trans. Computers 54(3), 2005; with
one table of offsets it is the bipartite table. That a table of offsets needs only half its rows is
from M. Schulte, J. Stine, "Approximating elementary functions with symmetric bipartite tables",
IEEE Trans. Computers 48(8), 1999.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .errors import UsageError
from .formats import Format
from .tables import Table, _integers

__all__ = [
    "OFFSETS_MAX", "MultipartiteTable", "offset_bits", "offset_rows", "stored_bits",
]  # fmt: skip

#: Most tables of offsets.
OFFSETS_MAX = 4


def offset_rows(codes: np.ndarray, low: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the row that a piece of `codes` selects in its half table, and the sign.

    Parameters
    ----------
    codes : int64 array
        Arguments, counted from the smallest.
    low, bits : int
        Position of the piece's lowest bit, and its width.

    Returns
    -------
    rows : int64 array
        The bits below the piece's highest, inverted where that one is 0.
    upper : bool array
        Whether the piece's highest bit is 1: the offset is added as it is, else complemented.
    """
    mask = (1 << (bits - 1)) - 1
    upper = (codes >> (low + bits - 1) & 1).astype(bool)
    rows = codes >> low & mask
    return np.where(upper, rows, ~rows & mask), upper


@dataclass(frozen=True)
class MultipartiteTable(Table):
    """A table of initial values, and 1 to `OFFSETS_MAX` tables of offsets.

    The argument, counted from its smallest code, is cut into a head A and pieces B_j, from the
    highest bit to the lowest:
    ``y = saturate(unfold((initial[A] + sum_j +-offset_j[A_j, B_j]) >> shift))``. A_j are the
    highest bits of A. An offset is linear in B_j, but for rounding, and so odd around the middle of
    its range: only the upper half is stored, and in the lower half the row and the offset are
    complemented (``-1 - offset``; stored are offsets less one half). The half of the last rounding
    is inside the initial values, so that the shift rounds down. Where the fold must not lose bits
    of the argument that the output does not have, `kept` of the bits are dropped behind it.

    Parameters
    ----------
    value : Format
        Of the initial values and of the sum; its fraction bits beyond the output's are the guard.
    offset : Format
        A format that holds all offsets; `widths` has the bits that each table needs.
    pieces : sequence of int
        Width of each B_j, at least 1.
    heads : sequence of int
        Width of each A_j, 0 or more.
    initial : sequence of int
        A value for each A, ascending.
    offsets : sequence of int
        All half tables, one behind the other; 2**(heads[j] + pieces[j] - 1) each, by A_j and B_j.

    Raises
    ------
    UsageError
        If a value is out of its range, or the parts do not go together.
    """

    kind = "multipartite"
    _integer_fields = ("pieces", "heads", "initial", "offsets")

    value: Format
    offset: Format
    pieces: tuple[int, ...]
    heads: tuple[int, ...]
    initial: tuple[int, ...]
    offsets: tuple[int, ...]
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def _format_names(cls, folded: bool) -> tuple[str, ...]:
        return ("input", "output", "value", "offset")

    def __post_init__(self) -> None:
        self._check_fold(self.value.frac)
        if not 0 <= self.value.frac - self.output.frac <= 32:
            raise UsageError(
                f"table: initial values must have 0 to 32 fraction bits more than the output "
                f"{self.output}, not {self.value}"
            )
        count = len(self.pieces) if isinstance(self.pieces, list | tuple | np.ndarray) else 0
        if not 1 <= count <= OFFSETS_MAX:
            raise UsageError(f"table: pieces must be a list of 1 to {OFFSETS_MAX} integers")
        bits = self.argument.bits
        self._set("pieces", count, 1, bits)
        if sum(self.pieces) > bits:
            raise UsageError(
                f"table: pieces must have at most the {bits} bits of the argument, "
                f"not {sum(self.pieces)}"
            )
        self._set("heads", count, 0, self.head)
        self._set("initial", 1 << self.head, self.value.min, self.value.max)
        self._set("offsets", sum(self._sizes), self.offset.min, self.offset.max)

    def _set(self, name: str, count: int, low: int, high: int) -> None:
        object.__setattr__(self, name, _integers(name, getattr(self, name), count, low, high))

    @property
    def head(self) -> int:
        """Bits of A: those of the argument that are in no piece."""
        return self.argument.bits - sum(self.pieces)

    @property
    def shift(self) -> int:
        """Fraction bits of the sum that are dropped before it is unfolded."""
        return self.value.frac - self.output.frac - self.kept

    @property
    def kept(self) -> int:
        """Fraction bits that what is unfolded has beyond the output."""
        return 0 if self.fold is None else self.fold.lacks(self.output.frac)

    @property
    def positions(self) -> tuple[int, ...]:
        """Position of the lowest bit of each piece."""
        return tuple(sum(self.pieces[number + 1 :]) for number in range(len(self.pieces)))

    @property
    def _sizes(self) -> list[int]:
        pairs = zip(self.heads, self.pieces, strict=True)
        return [1 << (head + piece - 1) for head, piece in pairs]

    @property
    def tables(self) -> list[tuple[int, ...]]:
        """The half tables of offsets, one for each piece."""
        ends = np.cumsum(self._sizes).tolist()
        return [self.offsets[end - size : end] for end, size in zip(ends, self._sizes, strict=True)]

    @property
    def widths(self) -> list[int]:
        """Bits that the offsets of each table take, without a sign that all of them share."""
        return [offset_bits(table) for table in self.tables]

    @property
    def storage_bits(self) -> int:
        """Bits of table storage: initial values and offsets."""
        bits = len(self.initial) * stored_bits(self.initial)
        return bits + sum(len(t) * w for t, w in zip(self.tables, self.widths, strict=True))

    def sums(self, arguments: np.ndarray) -> np.ndarray:
        """Return the sums (int64) for codes of the argument, of any shape, before unfolding."""
        at = np.asarray(arguments, dtype=np.int64) - self.argument.min
        bits = self.argument.bits
        total = np.array(self.initial, np.int64)[at >> (bits - self.head)]
        parts = zip(self.tables, self.positions, self.pieces, self.heads, strict=True)
        for table, low, piece, head in parts:
            rows, upper = offset_rows(at, low, piece)
            offset = np.array(table, np.int64)[(at >> (bits - head) << (piece - 1)) + rows]
            total = total + np.where(upper, offset, ~offset)
        return total

    @cached_property
    def reach(self) -> tuple[int, int]:
        """The smallest and the largest sum over all arguments."""
        sums = self.sums(self.argument.codes())
        return int(sums.min()), int(sums.max())

    def lookup(self, codes: np.ndarray) -> np.ndarray:
        """Return the output codes (int64) of input `codes` of any shape."""
        codes = np.asarray(codes, dtype=np.int64)
        core = self.sums(self._arguments(codes)) >> self.shift
        total = self._unfold(codes, core, self.output.frac + self.kept)
        return self.output.saturate(total >> self.kept)


def offset_bits(values: Sequence[int] | np.ndarray) -> int:
    """Return the bits that offsets take: without a sign, where all have the same."""
    low, high = int(min(values)), int(max(values))
    width = max(high.bit_length() if high >= 0 else 0, (~low).bit_length() if low < 0 else 0, 1)
    return width + (low < 0 <= high)


def stored_bits(values: Sequence[int]) -> int:
    """Return the bits that signed or unsigned integers take."""
    low, high = min(values), max(values)
    return max(high.bit_length(), (~low).bit_length() if low < 0 else 0, 1) + (low < 0)
