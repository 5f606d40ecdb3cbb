"""LayerNorm and RMSNorm of rows of any length."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift
from nnlut_train.tables import DirectTable

from .normalise import bit_length
from .rows import NormRowSpec
from .spec import UnarySpec

__all__ = ["NormSpec", "Scalars"]

#: Every intermediate is an int64 with a bit to spare.
_BITS_MAX = 62


class Scalars(NamedTuple):
    """What the elements of a row have in common; int64 arrays of one shape (..., 1).

    Parameters
    ----------
    count : int64 array
        n, the number of elements.
    total : int64 array
        What ``n q`` is reduced by: the sum of the codes, 0 if the row is not centred.
    exponent : int64 array
        k >= 0 of ``W = m 4**k``; 0 where W < 1.
    mantissa : int64 array
        Table's value of 1/sqrt(m), m in [1, 4).
    """

    count: np.ndarray
    total: np.ndarray
    exponent: np.ndarray
    mantissa: np.ndarray


@dataclass(frozen=True)
class NormSpec(NormRowSpec):
    """``y = gamma z + beta`` with ``z = (n q - S1) / sqrt(W)``, ``W = n S2 - S1**2 + n**2 eps``.

    n is the number of the row's elements, q one of them, as an integer, S1 and S2 the sums of q and
    of q**2: all exact. Multiplied out by n, mean and variance need no division. LayerNorm (Ba,
    Kiros & Hinton, 2016, Eq. 4) is this; RMSNorm (Zhang & Sennrich, 2019, Eq. 4) is the same
    without S1.

    The reciprocal root is taken of ``W = m 4**k``, m in [1, 4): the table has 1/sqrt(m), and
    2**-k is a shift of the numerator, before it is multiplied, which keeps that multiplier small.
    A numerator of 0 gives ``z = 0`` whatever W is: so a row of variance 0 (for RMSNorm: of zeros
    only) has the results beta, with an epsilon of 0, too. With any other numerator W is at least 1.

    Parameters
    ----------
    input : Format
        Signed format of the elements.
    output : Format
        Signed format of the results; saturates.
    length : int
        Elements of the longest row, a multiple of `lanes`. A longer row is cut there.
    centred : bool
        True for LayerNorm, False for RMSNorm.
    eps : int
        Epsilon in squares of an input's ulp, as an integer with `eps_frac` fraction bits.
    eps_frac : int
        Fraction bits of W and of `eps`, at least 0.
    mantissa : UnarySpec
        Table of 1/sqrt(m); unsigned input with two integer bits. Codes below 1 never occur, but
        for numerators of 0.
    scaled : Format
        Signed format of ``(n q - S1) / 2**k``, rounded and saturated. |z| is 1/2 to 1 of it.
    normal : Format
        Signed format of z, rounded and saturated. Without gamma and beta, that of the output.
    gamma, beta : DirectTable or None
        Signed integers by the position in the row; None is 1 and 0. With several lanes the position
        is ``beat * lanes + lane``.
    lanes : int
        Elements a beat.
    """

    kind = "norm"
    positional = ("gamma", "beta")

    input: Format
    output: Format
    length: int
    centred: bool
    eps: int
    eps_frac: int
    mantissa: UnarySpec
    scaled: Format
    normal: Format
    gamma: DirectTable | None
    beta: DirectTable | None
    lanes: int = 1

    def __post_init__(self) -> None:
        self.check_length()
        for name in ("input", "output", "scaled", "normal"):
            if not getattr(self, name).signed:
                raise UsageError(f"spec: norm.{name} must be signed, not {getattr(self, name)}")
        if self.eps < 0 or self.eps_frac < 0:
            raise UsageError(
                f"spec: norm.eps and norm.eps_frac must be at least 0, not {self.eps} and "
                f"{self.eps_frac}"
            )
        form = self.mantissa.input
        if form.signed or form.bits - form.frac != 2 or self.mantissa.output.signed:
            raise UsageError(
                f"spec: norm.mantissa must map u*.* with two integer bits to u*.*, not {form} to "
                f"{self.mantissa.output}"
            )
        if self.gamma is None and self.beta is None and self.normal != self.output:
            raise UsageError(
                f"spec: norm.normal must be the output {self.output} without gamma and beta, "
                f"not {self.normal}"
            )
        for name, table in (("gamma", self.gamma), ("beta", self.beta)):
            if table is not None and (table.input != self.position or not table.output.signed):
                raise UsageError(
                    f"spec: norm.{name} must map {self.position} to s*.*, not {table.input} to "
                    f"{table.output}"
                )
        for name in ("left", "right", "shift", "beta_left", "output_shift"):
            if getattr(self, name) < 0:
                raise UsageError(f"spec: norm.{name} must be at least 0, not {getattr(self, name)}")
        widest = max(
            self.integer_bits, (self.length**2 * self.eps).bit_length(), form.bits + self.eps_frac,
            self.input.bits + self.length.bit_length() + self.left,
            self.scaled.bits + self.mantissa.output.bits, self._affine_bits,
        )  # fmt: skip
        if max(widest, self.right + self.exponent_max, self.shift, self.output_shift) > _BITS_MAX:
            raise UsageError(
                f"spec: norm must compute with numbers of at most {_BITS_MAX} bits, not {widest}"
            )

    @property
    def position(self) -> Format:
        """Format of a position in the row."""
        return Format(False, max(1, (self.length - 1).bit_length()), 0)

    @property
    def variance_max(self) -> int:
        """Largest ``n S2 - S1**2`` (or ``n S2``)."""
        reach = self.input.max - self.input.min if self.centred else -2 * self.input.min
        return self.length**2 * reach**2 // 4

    @property
    def integer_bits(self) -> int:
        """Integer bits of W; even."""
        largest = self.variance_max + (self.length**2 * self.eps >> self.eps_frac)
        bits = max(largest, 1).bit_length()
        return bits + bits % 2

    @property
    def exponent_max(self) -> int:
        """Largest k of ``W = m 4**k``."""
        return self.integer_bits // 2 - 1

    @property
    def left(self) -> int:
        """Constant left shift of the numerator, so that the variable shift only goes right."""
        return max(self.scaled.frac, 0)

    @property
    def right(self) -> int:
        """Right shift of the numerator for k = 0."""
        return max(-self.scaled.frac, 0)

    @property
    def shift(self) -> int:
        """Fraction bits that the product with the mantissa has beyond `normal`."""
        return self.scaled.frac + self.mantissa.output.frac - self.normal.frac

    @property
    def _product_frac(self) -> int:
        return self.normal.frac + (self.gamma.output.frac if self.gamma else 0)

    @property
    def beta_left(self) -> int:
        """Left shift that brings beta to the scale of ``gamma z``."""
        return self._product_frac - self.beta.output.frac if self.beta else 0

    @property
    def output_shift(self) -> int:
        """Fraction bits that ``gamma z + beta`` has beyond the output."""
        return self._product_frac - self.output.frac

    @property
    def _affine_bits(self) -> int:
        """Bits that hold ``gamma z + beta``."""
        product = self.normal.bits + (self.gamma.output.bits if self.gamma else 0)
        return max(product, self.beta.output.bits + self.beta_left if self.beta else 0) + 1

    @property
    def statistic_latency(self) -> int:
        """Stages from a row's last beat to its scalars.

        Square; add the lanes, if several; accumulate; multiply by n, and take S1**2; multiply n**2
        by epsilon; subtract S1**2, if centred; add epsilon, if there is one; find the leading one,
        by groups and within; table; a register behind it.
        """
        return 7 + (self.lanes > 1) + self.centred + (self.eps > 0) + self.mantissa.latency

    @property
    def apply_latency(self) -> int:
        """Stages from an element and its row's scalars to its result.

        Multiply by n; subtract S1, if centred; shift by fours; by the rest; round; multiply by the
        mantissa; round; multiply by gamma, if there is one; add beta and round, if there is either.
        """
        affine = int(self.gamma is not None) + int(self.gamma is not None or self.beta is not None)
        return 6 + self.centred + affine

    def latency_of(self, length: int) -> int:
        """Return the clocks from a row's first beat to its first results: it is read once."""
        return self.beats(length) + self.statistic_latency + self.apply_latency + 1

    def scalars(self, codes: np.ndarray, present: np.ndarray) -> Scalars:
        """Return what the elements of rows, shape (..., n), have in common that are present."""
        codes = np.where(present, codes, 0)
        return self.scalars_of(
            present.sum(axis=-1, keepdims=True, dtype=np.int64),
            codes.sum(axis=-1, keepdims=True), (codes**2).sum(axis=-1, keepdims=True),
        )  # fmt: skip

    def scalars_of(self, count: np.ndarray, total: np.ndarray, squares: np.ndarray) -> Scalars:
        """Return the scalars of rows of `count` elements with sums S1 = `total`, S2 = `squares`."""
        exponent, window = self.split(count, total, squares)
        return Scalars(count, total * self.centred, exponent, self.mantissa.compute(window))

    def split(
        self, count: np.ndarray, total: np.ndarray, squares: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return k of ``W = m 4**k``, and what the table sees of m; see `scalars_of`."""
        total = total * self.centred
        variance = count * squares - total**2
        added = count**2 * self.eps
        # W, its integer part and its fraction.
        whole, rest = variance + (added >> self.eps_frac), added & ((1 << self.eps_frac) - 1)
        exponent = np.maximum(bit_length(whole) - 1, 0) // 2
        # Bits of the fraction that the table sees; below 0, bits of the integer that it does not.
        seen = self.mantissa.input.frac - 2 * exponent
        window = (whole << np.maximum(seen, 0)) >> np.maximum(-seen, 0)
        window += (rest << np.maximum(seen, 0)) >> self.eps_frac
        return exponent, window

    def compute(self, codes: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Return the normalised rows; see `RowSpec.compute`."""
        codes = self.check_rows(codes)
        missing = self.check_mask(codes, mask)
        row = self.scalars(codes, ~missing)
        numerator = row.count * codes - row.total
        scaled = round_shift(numerator << self.left, row.exponent + self.right)
        product = self.scaled.saturate(scaled) * row.mantissa
        result = self.normal.saturate(round_shift(product, self.shift))
        if self.gamma is not None:
            result = result * np.array(self.gamma.values)[: codes.shape[-1]]
        if self.beta is not None:
            result = result + (np.array(self.beta.values)[: codes.shape[-1]] << self.beta_left)
        result = self.output.saturate(round_shift(result, self.output_shift))
        return np.where(missing, 0, result)
