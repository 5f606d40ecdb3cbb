"""I-BERT's LayerNorm: integer square root, one integer division a row."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .isqrt import isqrt, stages_of
from .rows import NormRowSpec
from .spec import UnarySpec

__all__ = ["IbertNormSpec"]


@dataclass(frozen=True)
class IbertNormSpec(NormRowSpec):
    """LayerNorm of I-BERT (Kim et al., ICML 2021, section 3.6, and the authors' code).

    The mean is rounded to an integer, and ``y = x - mean``.
    ``std = isqrt(sum of (y >> shift)**2) << shift``, with a shift that keeps the sum below 2**32;
    ``factor = floor(2**31 / std)``; ``z = floor(y * factor / 2)`` has the scale
    ``sqrt(n) / 2**30``. The dyadic requantisation to the output multiplies by ``sqrt(n)``: a
    constant in I-BERT, whose rows all have one length; here a table by the length of the row.

    The codes are first brought to a finer scale by `guard` zero bits: I-BERT's LayerNorm takes 22
    bits, and a mean rounded to an 8-bit code would be far off.

    Two cases that the paper leaves open: the mean is rounded half up; a root of 0 counts as 1 (with
    a shift, the y need not be 0 then). There is no epsilon. Gamma and beta, which the paper folds
    into the scale of each channel, are left to the next unit.

    Parameters
    ----------
    input : Format
        Signed format of the elements.
    output : Format
        Signed format of the results; saturates.
    length : int
        Elements of the longest row, a multiple of `lanes`.
    guard : int
        Zero bits added below the elements.
    shift : int
        Low bits of y that its square does not see.
    iterations : int
        Newton's steps of the root.
    precision : int
        The 31 of the formulas.
    roots : UnarySpec
        Table of sqrt(n), by n.
    per_stage : int
        Quotient bits that one stage of a divider makes.
    lanes : int
        Elements a beat.
    """

    kind = "ibert_norm"

    input: Format
    output: Format
    length: int
    guard: int
    shift: int
    iterations: int
    precision: int
    roots: UnarySpec
    per_stage: int
    lanes: int = 1

    # Constants of `NormRowSpec`: a LayerNorm without epsilon, gamma and beta.
    centred = True
    eps = 0
    eps_frac = 0
    gamma = None
    beta = None

    def __post_init__(self) -> None:
        self.check_length()
        for name in ("input", "output"):
            if not getattr(self, name).signed:
                raise UsageError(
                    f"spec: ibert_norm.{name} must be signed, not {getattr(self, name)}"
                )
        count = Format(False, self.length.bit_length(), 0)
        if self.roots.input != count or self.roots.output.signed:
            raise UsageError(
                f"spec: ibert_norm.roots must map {count} to u*.*, not {self.roots.input} to "
                f"{self.roots.output}"
            )
        if min(self.iterations, self.per_stage) < 1:
            raise UsageError(
                "spec: ibert_norm.iterations and per_stage must be >= 1, not "
                f"{self.iterations} and {self.per_stage}"
            )
        if self.guard < 0 or not 0 <= self.shift < min(self.precision, self.bits):
            raise UsageError(
                "spec: ibert_norm.guard must be >= 0, and shift 0 to "
                f"{min(self.precision, self.bits) - 1}, not {self.guard} and {self.shift}"
            )
        if self.right < 0:
            raise UsageError(
                f"spec: ibert_norm.output must have at most {self.right + self.output.frac} "
                f"fraction bits, not {self.output.frac}"
            )
        widest = max(self.variance_bits, self.z_bits + self.roots.output.bits, self.right + 1,
                     self.bits + 1 + self.factor_bits)  # fmt: skip
        if widest > 62:
            raise UsageError(f"spec: ibert_norm must compute with at most 62 bits, not {widest}")

    @property
    def bits(self) -> int:
        """Bits of an element with its guard bits, and of the mean."""
        return self.input.bits + self.guard

    @property
    def sum_bits(self) -> int:
        """Bits of a row's sum, of elements counted from the lowest code."""
        return (self.length * (self.input.max - self.input.min)).bit_length()

    @property
    def variance_bits(self) -> int:
        """Bits of a sum of squares: at most 32 as published.

        The sum of y**2 is at most ``n (R/2 + 1/2)**2`` for a range R of codes, the last half for
        the rounded mean; the shift's floor adds at most 1 to a magnitude (Minkowski).
        """
        return (self.length * ((1 << (self.bits - 1 - self.shift)) + 1) ** 2).bit_length()

    @property
    def factor_bits(self) -> int:
        """Bits of the quotient ``2**precision / std``."""
        return self.precision - self.shift + 1

    @property
    def z_bits(self) -> int:
        """Bits of z, its sign included.

        ``std > |y| / 2``: it is at least ``|y >> shift| << shift``, and at least ``1 << shift``.
        """
        return self.precision + 2

    @property
    def right(self) -> int:
        """Bits that the product with sqrt(n) is shifted right by."""
        return self.precision - 1 + self.roots.output.frac - self.output.frac

    @property
    def mean_latency(self) -> int:
        """Stages from a row's last beat to its mean: add the lanes, if several; sum; divide."""
        return (self.lanes > 1) + 1 + -(-self.bits // self.per_stage)

    @property
    def factor_latency(self) -> int:
        """Stages from the last y to the factor: square; add lanes; sum; root; divide; sqrt(n)."""
        root = stages_of(self.variance_bits, self.iterations, self.per_stage)
        divider = -(-self.factor_bits // self.per_stage)
        return 2 + (self.lanes > 1) + root + divider + self.roots.latency

    @property
    def apply_latency(self) -> int:
        """Stages of y's results: multiply by the factor; multiply by sqrt(n); round, saturate."""
        return 3

    def latency_of(self, length: int) -> int:
        """Return the clocks from a row's first beat to its first results: it is read twice."""
        stages = self.mean_latency + self.factor_latency + self.apply_latency
        return 2 * self.beats(length) + stages + 2

    def mean(self, total: Any, count: Any) -> Any:
        """Return ``floor(total / count + 1/2)``, arrays of integers, `count` at least 1."""
        return (2 * total + count) // (2 * count)

    def compute(self, codes: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Return the normalised rows; see `RowSpec.compute`."""
        codes = self.check_rows(codes)
        here = ~self.check_mask(codes, mask)
        codes = codes << self.guard
        count = here.sum(axis=-1, keepdims=True)
        mean = self.mean((codes * here).sum(axis=-1, keepdims=True), np.maximum(count, 1))
        y = (codes - mean) * here
        squares = ((y >> self.shift) ** 2).sum(axis=-1, keepdims=True)
        root = np.maximum(isqrt(squares, self.iterations), 1)
        factor = (1 << (self.precision - self.shift)) // root
        z = y * factor >> 1
        return self.output.saturate(round_shift(z * self.roots.compute(count), self.right))
