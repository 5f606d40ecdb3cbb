"""How an argument is cut for multipartite tables: the candidates, by their size.

The bound of the error, and the sizes, are those of de Dinechin and Tisserand (IEEE Trans. Computers
54(3), 2005, section 4), but taken from all values of the function instead of its derivatives, so
that it need not be convex, nor monotone.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .multipartite import OFFSETS_MAX

__all__ = ["ADDER_BIT", "Decomposition", "Search"]

#: What a bit of an adder costs, with the complement before it, in bits of tables.
ADDER_BIT = 32


@dataclass(frozen=True)
class Decomposition:
    """How the argument is cut.

    Parameters
    ----------
    pieces, heads : tuple of int
        See `MultipartiteTable`.
    error : float
        Bound of the error, in ulp of the output, that offsets linear in their piece have, without
        any rounding.
    """

    pieces: tuple[int, ...]
    heads: tuple[int, ...]
    error: float


@dataclass
class Search:
    """Enumerates the decompositions of a function.

    Parameters
    ----------
    values : float64 array, shape (2**bits,)
        The function at every argument, in ulp of the output.
    bits : int
        Bits of the argument.
    """

    values: np.ndarray
    bits: int
    _slopes: dict[tuple[int, int, int], tuple[float, np.ndarray]] = field(default_factory=dict)

    def slopes(self, low: int, piece: int, head: int) -> tuple[float, np.ndarray]:
        """Return a table of offsets before it is rounded.

        Parameters
        ----------
        low, piece, head : int
            Position of the piece's lowest bit, its width, and the width of its head.

        Returns
        -------
        error : float
            Largest error of one slope for all arguments of a head, in ulp (Eq. 10 of the paper).
        slopes : float64 array, shape (2**head,)
            Ulp that the function rises a code: the middle of the least and the largest.
        """
        key = (low, piece, head)
        if key not in self._slopes:
            span = (1 << low) * ((1 << piece) - 1)
            # Arguments whose piece is 0; of the bits below it, the middle.
            start = np.arange(0, 1 << self.bits, 1 << (low + piece)) + ((1 << low) >> 1)
            rise = (self.values[start + span] - self.values[start]).reshape(1 << head, -1)
            least, most = rise.min(axis=1), rise.max(axis=1)
            self._slopes[key] = float((most - least).max()) / 4, (most + least) / (2 * span)
        return self._slopes[key]

    def decompositions(self, error_max: float, tables: int = 3) -> Iterator[Decomposition]:
        """Yield all with a bound of at most `error_max` and at most `tables` tables of offsets."""
        for low_bits in range(1, self.bits):
            for count in range(1, min(tables, low_bits, OFFSETS_MAX) + 1):
                for cuts in itertools.combinations(range(1, low_bits), count - 1):
                    edges = (0, *cuts, low_bits)
                    pieces = tuple(b - a for a, b in itertools.pairwise(edges))
                    for heads, error in self._heads(pieces, self.bits - low_bits, error_max):
                        yield Decomposition(pieces, heads, error)

    def _heads(
        self, pieces: tuple[int, ...], widest: int, error_max: float
    ) -> Iterator[tuple[tuple[int, ...], float]]:
        """Yield heads that descend, as lower bits change less, with the bounds of their errors."""
        if not pieces:
            yield (), 0.0
            return
        low = sum(pieces[1:])
        for head in range(widest + 1):
            error, _ = self.slopes(low, pieces[0], head)
            if error <= error_max:
                for rest, more in self._heads(pieces[1:], head, error_max - error):
                    yield (head, *rest), error + more

    def cost(self, cut: Decomposition, guard: int) -> int:
        """Return about what tables and adders cost, in bits of tables; see `ADDER_BIT`."""
        span = float(np.ptp(self.values)) + 1
        width = int(np.ceil(np.log2(span))) + guard
        cost = width << (self.bits - sum(cut.pieces))
        low = sum(cut.pieces)
        for piece, head in zip(cut.pieces, cut.heads, strict=True):
            low -= piece
            _, slopes = self.slopes(low, piece, head)
            most = np.abs(slopes).max() * (1 << low) * ((1 << piece) - 1) / 2 * (1 << guard)
            bits = max(1, int(most).bit_length())
            cost += (bits << (head + piece - 1)) + ADDER_BIT * (bits + width) // 2
        return cost
