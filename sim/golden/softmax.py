"""Softmax of rows of any length."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .reciprocal import ReciprocalSpec
from .rows import SoftmaxRowSpec
from .spec import UnarySpec

__all__ = ["SoftmaxSpec"]


@dataclass(frozen=True)
class SoftmaxSpec(SoftmaxRowSpec):
    """``p = e / sum(e)`` with ``e = exp(x - max(x))``: tables for exp and for the reciprocal.

    Parameters
    ----------
    input : Format
        Signed format of the logits.
    output : Format
        Unsigned format of the probabilities.
    length : int
        Elements of the longest row, a multiple of `lanes`. A longer row is cut: see
        `hw.units.row_pass.RowPass`.
    exp : UnarySpec
        Table of exp(-d); its input is the unsigned distance d from the row's maximum.
    reciprocal : ReciprocalSpec
        Reciprocal of the exact sum.
    lanes : int
        Elements a beat.
    mask : bool
        Whether elements can be masked: they leave maximum and sum alone, and give 0. A row without
        any other is all 0.
    """

    kind = "softmax"

    input: Format
    output: Format
    length: int
    exp: UnarySpec
    reciprocal: ReciprocalSpec
    lanes: int = 1
    mask: bool = False

    def __post_init__(self) -> None:
        self.check_length()
        self.check_exp(self.exp)
        total = (self.exp.output.max * self.length).bit_length()
        if self.reciprocal.input != Format(False, total, self.exp.output.frac):
            raise UsageError(
                f"spec: softmax.reciprocal must take u{total}.{self.exp.output.frac}, "
                f"not {self.reciprocal.input}"
            )

    @property
    def shift(self) -> int:
        """Fraction bits that e * r has beyond the output."""
        return self.exp.output.frac + self.reciprocal.output.frac - self.output.frac

    def latency_of(self, length: int) -> int:
        """Return the clocks from a row's first beat to its first probabilities.

        The row is read once for its maximum and once for its sum; a probability leaves when its
        row's reciprocal is known. Six clocks are the accumulators', the row buffers', and the final
        multiply and round; with several lanes, maximum and sum take a tree each.
        """
        trees = 2 * (self.lanes > 1)
        tables = self.exp.latency + self.reciprocal.latency
        return 2 * self.beats(length) + tables + trees + 6

    @cached_property
    def _exponentials(self) -> np.ndarray:
        return self.exp.compute(self.exp.input.codes())

    def compute(self, codes: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Return the probabilities of rows of logits; see `RowSpec.compute`."""
        codes = self.check_rows(codes)
        mask = self.check_mask(codes, mask)
        e = np.where(mask, 0, self._exponentials[self.distances(codes, mask)])
        r = self.reciprocal.compute(e.sum(axis=-1, keepdims=True))
        return self.output.saturate(round_shift(e * r, self.shift))
