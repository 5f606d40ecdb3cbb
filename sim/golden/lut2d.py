"""Softmax by a table of two dimensions: no multiplication, no division."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_divide, round_shift
from nnlut_train.tables import DirectTable

from .lut_softmax import LutSoftmaxSpec

__all__ = ["Lut2dSpec"]


@dataclass(frozen=True)
class Lut2dSpec(LutSoftmaxSpec):
    """``p = LUT_sigma[e][sum]``, e from a table (Vasyltsov & Chang, arXiv 2111.10770, section 4.2).

    * ``LUT_exp[i] = floor(e**(-i/10) * one)`` for i = 0 to 100. Its index is the distance
      ``max(x) - x`` in tenths, rounded to the nearest (half up); beyond 100 it is the last entry.
    * ``LUT_sigma[i][j] = floor((i * scale_ex) / (j * scale_sum) * one)``, for i = 0 to 10 and
      scale_ex = 0.1, j = 1 to `sums` and scale_sum = 1. The indices are exponential and row's sum,
      divided by ``scale_ex * one`` and ``scale_sum * one`` and rounded to the nearest.

    Parameters
    ----------
    input : Format
        Signed format of the logits.
    output : Format
        Format of the probabilities and of the tables' values.
    length : int
        Elements of the longest row, a multiple of `lanes`.
    exp : DirectTable
        LUT_exp, filled up with zeros to 128 values.
    sigma : DirectTable
        LUT_sigma; [i][j] is at ``16 (j - 1) + i``, and what this leaves out is 0.
    sums : int
        Rows of LUT_sigma.
    lanes, mask : int, bool
        Elements a beat, and whether they can be masked.
    """

    kind = "lut2d"

    input: Format
    output: Format
    length: int
    exp: DirectTable
    sigma: DirectTable
    sums: int
    lanes: int = 1
    mask: bool = False

    #: 1 / scale_ex, which is also 1 over the step of LUT_exp.
    STEPS: ClassVar[int] = 10
    #: LUT_exp reaches to a distance of so much.
    REACH: ClassVar[int] = 10
    #: Bits of i in the argument of LUT_sigma.
    COLUMN_BITS: ClassVar[int] = 4

    def __post_init__(self) -> None:
        self.check_tables()
        if any(self.sigma.values[:: 1 << self.COLUMN_BITS]):
            raise UsageError("spec: lut2d.sigma must be 0 where the exponential is")

    @property
    def exp_entries(self) -> int:
        """Entries of LUT_exp: 101."""
        return self.STEPS * self.REACH + 1

    @property
    def columns(self) -> int:
        """Columns of LUT_sigma: 11."""
        return self.STEPS + 1

    @property
    def entries(self) -> dict[str, int]:
        """Entries of LUT_exp and of LUT_sigma."""
        return {"exp": self.exp_entries, "sigma": self.columns * self.sums}

    @property
    def addresses(self) -> dict[str, int]:
        """Bits of both tables' arguments."""
        rows = (self.sums - 1).bit_length()
        return {"exp": (self.exp_entries - 1).bit_length(), "sigma": rows + self.COLUMN_BITS}

    def exp_index(self, distance: np.ndarray) -> np.ndarray:
        """Return the distance in tenths, rounded half up, at most 100."""
        tenths, frac = distance * self.STEPS, self.input.frac
        tenths = round_shift(tenths, frac) if frac >= 0 else tenths << -frac
        return np.minimum(tenths, self.exp_entries - 1)

    def share(self, exponentials: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return what LUT_sigma has for exponentials and sums."""
        column = round_divide(exponentials * self.STEPS, self.one)
        return self.sigma.lookup(((sums - 1) << self.COLUMN_BITS) + column)
