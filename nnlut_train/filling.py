"""What multipartite tables hold: offsets by formula, then repaired until every result is right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .decomposition import Decomposition, Search
from .multipartite import offset_bits, offset_rows
from .windows import UNLIMITED, Windows

__all__ = ["Filling"]


@dataclass
class _Offsets:
    """A table of offsets: ``values`` (2**head, 2**(piece - 1)), and what each argument reads."""

    values: np.ndarray
    rows: np.ndarray
    sign: np.ndarray
    head: int
    low: int
    high: int


class Filling:
    """Offsets, for which the initial values are known to exist or not.

    For given offsets, the initial value of a head A is right for all its arguments if it is between
    the largest of the windows' lower ends and the smallest of their upper ends, less the offsets.
    Where that range is empty, offsets are changed by one step at a time.

    Parameters
    ----------
    search : Search
        The function; its values are in ulp.
    cut : Decomposition
        How the argument is cut.
    windows : Windows
        Which sums are right.
    guard : int
        Fraction bits of the sums beyond the output's.
    """

    def __init__(self, search: Search, cut: Decomposition, windows: Windows, guard: int) -> None:
        self.windows = windows
        self.bits = search.bits
        self.low_bits = sum(cut.pieces)
        codes = np.arange(1 << self.bits)
        self.parts: list[_Offsets] = []
        self.total = np.zeros(1 << self.bits, np.int64)
        low = self.low_bits
        for piece, head in zip(cut.pieces, cut.heads, strict=True):
            low -= piece
            _, slopes = search.slopes(low, piece, head)
            steps = (np.arange(1 << (piece - 1)) + 0.5) * (1 << (low + guard))
            # Stored less one half, so that the complement is the negative.
            values = np.floor(slopes[:, None] * steps).astype(np.int64)
            rows, upper = offset_rows(codes, low, piece)
            sign = np.where(upper, 1, -1)
            read = values[codes >> (self.bits - head), rows]
            self.total += np.where(upper, read, ~read)
            # A repair gives them no more bits, and no other sign.
            negative, positive = int(values.min() < 0), int(values.max() >= 0)
            bits = offset_bits(values.ravel()) - (negative & positive)
            low_value, high_value = -negative << bits, (positive << bits) - 1
            self.parts.append(_Offsets(values, rows, sign, head, low_value, high_value))

    def _room(self, heads: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the largest initial values of some heads."""
        codes = slice(heads.start << self.low_bits, heads.stop << self.low_bits)
        low = (self.windows.low[codes] - self.total[codes]).reshape(-1, 1 << self.low_bits)
        high = (self.windows.high[codes] - self.total[codes]).reshape(-1, 1 << self.low_bits)
        return low.max(axis=1), high.min(axis=1)

    @property
    def room(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest initial value of each head; int64, shape (2**head,)."""
        return self._room(slice(0, 1 << (self.bits - self.low_bits)))

    @staticmethod
    def _lack(room: tuple[np.ndarray, np.ndarray]) -> int:
        return int(np.maximum(room[0] - room[1], 0).sum())

    @property
    def lack(self) -> int:
        """By how much the ranges of initial values are too narrow, in all; 0: the table exists."""
        return self._lack(self.room)

    def repair(self, moves: int) -> bool:
        """Change offsets until every head has an initial value; return whether that was reached.

        Parameters
        ----------
        moves : int
            Most changes that may be tried.
        """
        low, high = self.room
        lacking = np.maximum(low - high, 0)
        for _ in range(moves):
            if not lacking.any():
                return True
            head = int(lacking.argmax())
            if not self._improve(head):
                return False
            low, high = self.room
            lacking = np.maximum(low - high, 0)
        return not lacking.any()

    def _improve(self, head: int) -> bool:
        """Make the best change of one offset that widens the range of `head`, if one helps."""
        first = head << self.low_bits
        codes = slice(first, first + (1 << self.low_bits))
        # The arguments that ask for the largest and for the smallest initial value.
        need = int((self.windows.low[codes] - self.total[codes]).argmax()) + first
        have = int((self.windows.high[codes] - self.total[codes]).argmin()) + first
        best: tuple[int, int, _Offsets, int, int, int] | None = None
        for number, part in enumerate(self.parts):
            for code, wish in ((need, 1), (have, -1)):
                block = code >> (self.bits - part.head)
                row = int(part.rows[code])
                step = wish * int(part.sign[code])
                if not part.low <= part.values[block, row] + step <= part.high:
                    continue
                gain = self._gain(part, block, row, step)
                if gain > 0 and (best is None or gain > best[0]):
                    best = gain, number, part, block, row, step
        if best is None:
            return False
        _, _, part, block, row, step = best
        self._move(part, block, row, step)
        part.values[block, row] += step
        return True

    def _heads(self, part: _Offsets, block: int) -> slice:
        width = self.bits - self.low_bits - part.head
        return slice(block << width, (block + 1) << width)

    def _move(self, part: _Offsets, block: int, row: int, step: int) -> None:
        width = self.bits - part.head
        codes = slice(block << width, (block + 1) << width)
        self.total[codes] += step * part.sign[codes] * (part.rows[codes] == row)

    def _gain(self, part: _Offsets, block: int, row: int, step: int) -> int:
        heads = self._heads(part, block)
        before = self._lack(self._room(heads))
        self._move(part, block, row, step)
        after = self._lack(self._room(heads))
        self._move(part, block, row, -step)
        return before - after

    @property
    def offsets(self) -> list[Sequence[int]]:
        """The tables of offsets, each by head and row."""
        return [part.values.ravel().tolist() for part in self.parts]

    def initial(self) -> np.ndarray:
        """Return the initial values; int64, shape (2**head,): the middle of what is right."""
        low, high = self.room
        ideal = self.windows.ideal - self.total
        middle = np.floor(ideal.reshape(-1, 1 << self.low_bits).mean(axis=1)).astype(np.int64)
        bounded = (low > -UNLIMITED // 2) & (high < UNLIMITED // 2)
        return np.where(bounded, low + high >> 1, np.clip(middle, low, high))
