"""Softmax of rows of any length."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .reciprocal import ReciprocalSpec
from .spec import Spec, UnarySpec

__all__ = ["SoftmaxSpec"]


@dataclass(frozen=True)
class SoftmaxSpec(Spec):
    """``p = e / sum(e)`` with ``e = exp(x - max(x))``: tables for exp and for the reciprocal.

    Parameters
    ----------
    input : Format
        Signed format of the logits.
    output : Format
        Unsigned format of the probabilities.
    length : int
        Elements of the longest row. A longer row is cut: see `hw.units.softmax.Softmax`.
    exp : UnarySpec
        Table of exp(-d); its input is the unsigned distance d from the row's maximum.
    reciprocal : ReciprocalSpec
        Reciprocal of the exact sum.
    """

    kind = "softmax"

    input: Format
    output: Format
    length: int
    exp: UnarySpec
    reciprocal: ReciprocalSpec

    #: Clocks of the softmax itself between the last logit of a row and its first probability:
    #: through both row buffers, the accumulator, and the final multiply and round.
    OVERHEAD = 5

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UsageError(f"spec: softmax.length must be at least 1, not {self.length}")
        distance = Format(False, self.input.bits, self.input.frac)
        if not self.input.signed or self.exp.input != distance:
            raise UsageError(
                f"spec: softmax.exp must take {distance} for logits {self.input}, "
                f"not {self.exp.input}"
            )
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
        """Return the clocks from a row's first logit to its first probability.

        The row is read once for its maximum and once for its sum; a probability leaves when its
        row's reciprocal is known.
        """
        return 2 * length + self.exp.latency + self.reciprocal.latency + self.OVERHEAD

    @cached_property
    def _exponentials(self) -> np.ndarray:
        return self.exp.compute(self.exp.input.codes())

    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return the probabilities (int64) of rows of logits, shape (..., length of the row)."""
        codes = self.input.check(codes)
        size = codes.shape[-1] if codes.ndim else 0
        if not 1 <= size <= self.length:
            raise UsageError(f"a row must have 1 to {self.length} elements, not {size}")
        e = self._exponentials[codes.max(axis=-1, keepdims=True) - codes]
        r = self.reciprocal.compute(e.sum(axis=-1, keepdims=True))
        return self.output.saturate(round_shift(e * r, self.shift))
