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

    The maximum is subtracted exactly. What the exp table sees of the distance ``d = max(x) - x``
    may have fewer bits than the logits: it is ``saturate(round_shift(d, distance_shift))``.

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
        Table of exp(-d). Its input is the format of the distance from the row's maximum: unsigned,
        at most as wide as the logits, and with at most as many fraction bits.
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
    def distance(self) -> Format:
        """Format of the exact distance from the row's maximum."""
        return Format(False, self.input.bits, self.input.frac)

    @property
    def distance_shift(self) -> int:
        """Fraction bits of the exact distance that exp does not see."""
        return self.input.frac - self.exp.input.frac

    def check_exp(self, exp: UnarySpec) -> None:
        """Raise UsageError unless `exp` takes what is left of a distance."""
        form, seen = self.input, exp.input
        if not form.signed:
            raise UsageError(f"spec: softmax.input must be signed, not {form}")
        if seen.signed or seen.bits > form.bits:
            raise UsageError(
                f"spec: softmax.exp must take unsigned distances of at most {form.bits} bits for "
                f"logits {form}, not {seen}"
            )
        # With fewer, every distance would be 0.
        if not form.frac - form.bits <= seen.frac <= form.frac:
            raise UsageError(
                f"spec: softmax.exp must take distances with {form.frac - form.bits} to "
                f"{form.frac} fraction bits for logits {form}, not {seen}"
            )

    @property
    def shift(self) -> int:
        """Fraction bits that e * r has beyond the output."""
        return self.exp.output.frac + self.reciprocal.output.frac - self.output.frac

    def latency_of(self, length: int) -> int:
        """Return the clocks from a row's first beat to its first probabilities.

        The row is read once for its maximum and once for its sum; a probability leaves when its
        row's reciprocal is known. Six clocks are the accumulators', the row buffers', and the final
        multiply and round; with several lanes, maximum and sum take a tree each. Where every row
        is one beat there are no buffers.
        """
        trees = 2 * (self.lanes > 1)
        tables = self.exp.latency + self.reciprocal.latency
        if self.plain:
            return tables + trees + 4
        return 2 * self.beats(length) + tables + trees + 6

    @property
    def plain(self) -> bool:
        """Whether every row is one beat of several lanes: then it is a plain pipeline."""
        return self.lanes > 1 and self.length == self.lanes

    @cached_property
    def _exponentials(self) -> np.ndarray:
        return self.exp.compute(self.exp.input.codes())

    def narrowed(self, distances: np.ndarray) -> np.ndarray:
        """Return what exp sees of exact distances.

        Parameters
        ----------
        distances : int64 array
            Codes of the format `distance`, any shape.

        Returns
        -------
        int64 array, same shape
            Codes of ``exp.input``: rounded half up, then saturated.
        """
        return self.exp.input.saturate(round_shift(distances, self.distance_shift))

    def compute(self, codes: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Return the probabilities of rows of logits; see `RowSpec.compute`."""
        codes = self.check_rows(codes)
        mask = self.check_mask(codes, mask)
        distances = self.narrowed(self.distances(codes, mask))
        e = np.where(mask, 0, self._exponentials[distances])
        r = self.reciprocal.compute(e.sum(axis=-1, keepdims=True))
        return self.output.saturate(round_shift(e * r, self.shift))
