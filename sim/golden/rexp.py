"""Softmax with the reciprocal exponential: two tables of a few entries, one multiplication."""

import math
from dataclasses import dataclass

import numpy as np

from nnlut_train.formats import Format, round_divide
from nnlut_train.tables import DirectTable

from .lut_softmax import LutSoftmaxSpec

__all__ = ["RexpSpec"]


@dataclass(frozen=True)
class RexpSpec(LutSoftmaxSpec):
    """``p = LUT_1/e[d] * LUT_alpha[sum]``: REXP (Vasyltsov & Chang, arXiv 2111.10770, section 4.1).

    * ``LUT_1/e[i] = floor(e**-i * one)`` for i = 0 to x_q + 1, with ``x_q = ceil(ln(one))``. Its
      index is the integer part of the distance ``max(x) - x``: a shift. Beyond x_q + 1 it is the
      last entry, which is 0.
    * ``LUT_alpha[j] = floor(one / j)`` for j = 1 to x_s, here `sums`. Its index is the row's sum of
      looked-up exponentials, divided by `one` and rounded to the nearest.
    * The product of two numbers in units of `one` is divided by `one`, and rounded to the nearest:
      1.0 times 1.0 is 1.0.

    Parameters
    ----------
    input : Format
        Signed format of the logits.
    output : Format
        Format of the probabilities and of the tables' values.
    length : int
        Elements of the longest row, a multiple of `lanes`.
    exp : DirectTable
        LUT_1/e, filled up with zeros to a power of two.
    alpha : DirectTable
        LUT_alpha, from j = 1, filled up with zeros to a power of two.
    sums : int
        x_s: its entries.
    lanes, mask : int, bool
        Elements a beat, and whether they can be masked.
    """

    kind = "rexp"

    input: Format
    output: Format
    length: int
    exp: DirectTable
    alpha: DirectTable
    sums: int
    lanes: int = 1
    mask: bool = False

    def __post_init__(self) -> None:
        self.check_tables()

    @property
    def exp_entries(self) -> int:
        """Entries of LUT_1/e: x_q + 2."""
        return math.ceil(math.log(self.one)) + 2

    @property
    def entries(self) -> dict[str, int]:
        """Entries of LUT_1/e and of LUT_alpha."""
        return {"exp": self.exp_entries, "alpha": self.sums}

    @property
    def addresses(self) -> dict[str, int]:
        """Bits of both tables' arguments: those that their entries take."""
        return {name: max(1, (count - 1).bit_length()) for name, count in self.entries.items()}

    def exp_index(self, distance: np.ndarray) -> np.ndarray:
        """Return the integer part of the distance, at most x_q + 1."""
        frac = self.input.frac
        whole = distance >> frac if frac >= 0 else distance << -frac
        return np.minimum(whole, self.exp_entries - 1)

    def share(self, exponentials: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return the exponentials times LUT_alpha of the sums."""
        return round_divide(exponentials * self.alpha.lookup(sums - 1), self.one)
