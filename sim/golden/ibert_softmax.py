"""I-BERT's softmax: polynomial exponential, one integer division a row."""

from dataclasses import dataclass

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format

from .iexp import IExpSpec
from .rows import SoftmaxRowSpec

__all__ = ["IbertSoftmaxSpec"]


@dataclass(frozen=True)
class IbertSoftmaxSpec(SoftmaxRowSpec):
    """i-softmax (Kim et al., I-BERT, ICML 2021, section 3.5, and the authors' code).

    The maximum is subtracted; i-exp, requantised to 16 bits; ``factor = floor(2**32 / sum)``; the
    probability is ``floor(e * factor / 2**(32 - f))``, with the output's f fraction bits (in the
    code 8). Both floors are as published: results are never too large by more than exp's error, and
    too small by up to 1 ulp.

    Parameters
    ----------
    input : Format
        Signed format of the logits.
    output : Format
        Unsigned format of the probabilities.
    length : int
        Elements of the longest row, a multiple of `lanes`.
    exp : IExpSpec
        exp(-d) of the unsigned distance d from the row's maximum.
    precision : int
        The 32 of the formulas.
    per_stage : int
        Quotient bits that one stage of the divider makes.
    lanes, mask : int, bool
        Elements a beat, and whether they can be masked.
    """

    kind = "ibert_softmax"

    input: Format
    output: Format
    length: int
    exp: IExpSpec
    precision: int
    per_stage: int
    lanes: int = 1
    mask: bool = False

    def __post_init__(self) -> None:
        self.check_length()
        self.check_exp(self.exp)
        if self.exp.output.signed or self.output.signed:
            raise UsageError(
                "spec: ibert_softmax.output and its exp's must be unsigned, not "
                f"{self.output} and {self.exp.output}"
            )
        if not self.output.frac <= self.precision <= 45:
            raise UsageError(
                f"spec: ibert_softmax.precision must be {self.output.frac} to 45, not "
                f"{self.precision}"
            )
        if self.per_stage < 1:
            raise UsageError(
                f"spec: ibert_softmax.per_stage must be at least 1, not {self.per_stage}"
            )
        if self.largest < 1:
            raise UsageError("spec: ibert_softmax.exp must be at least 1 ulp for a distance of 0")

    @property
    def largest(self) -> int:
        """Exponential of the distance 0: the smallest sum."""
        return int(self.exp.compute(np.array(0)))

    @property
    def sum_bits(self) -> int:
        """Bits of a row's sum."""
        return (self.exp.output.max * self.length).bit_length()

    @property
    def factor_bits(self) -> int:
        """Bits of the quotient ``2**precision / sum``."""
        return ((1 << self.precision) // self.largest).bit_length()

    @property
    def factor_latency(self) -> int:
        """Stages of the divider."""
        return -(-self.factor_bits // self.per_stage)

    def latency_of(self, length: int) -> int:
        """Return the clocks from a row's first beat to its first probabilities.

        As `SoftmaxSpec.latency_of`, with a division in place of the reciprocal.
        """
        trees = 2 * (self.lanes > 1)
        return 2 * self.beats(length) + self.exp.latency + self.factor_latency + trees + 6

    def compute(self, codes: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Return the probabilities of rows of logits; see `RowSpec.compute`."""
        codes = self.check_rows(codes)
        mask = self.check_mask(codes, mask)
        e = np.where(mask, 0, self.exp.compute(self.distances(codes, mask)))
        # A row without any element has no probabilities, either: nothing is divided.
        factor = (1 << self.precision) // np.maximum(e.sum(axis=-1, keepdims=True), self.largest)
        return self.output.saturate(e * factor >> (self.precision - self.output.frac))
