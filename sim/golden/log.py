"""Natural logarithm by leading-zero normalisation."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .normalise import normalise
from .spec import UnarySpec

__all__ = ["LogSpec"]


@dataclass(frozen=True)
class LogSpec(UnarySpec):
    """``ln(x) = ln(m) + k ln 2`` for ``x = m * 2**k``, m in [1, 2): a table of ln(m), and a sum.

    Both terms are exact to more bits than the output has; their sum is rounded once.

    Parameters
    ----------
    input : Format
        Unsigned format of x. The result for x = 0 is the smallest output code.
    output : Format
        Format of the result; saturates. Unsigned where no result below 0 is wanted.
    mantissa : UnarySpec
        Table of ln(1 + f); its input, the bits below the leading one of x, has only fraction bits
        and is unsigned.
    factor : int
        ln 2 as an integer.
    factor_frac : int
        Fraction bits of `factor`.
    """

    kind = "log"

    input: Format
    output: Format
    mantissa: UnarySpec
    factor: int
    factor_frac: int

    def __post_init__(self) -> None:
        form = self.mantissa.input
        if self.input.signed:
            raise UsageError(f"spec: log.input must be unsigned, not {self.input}")
        if form.signed or form.bits != form.frac:
            raise UsageError(f"spec: log.mantissa must map u*.* with no integer bits, not {form}")
        if self.window_low < 0:
            raise UsageError(
                f"spec: log.mantissa must see at most {self.input.bits - 1} bits, not {form.bits}"
            )
        if self.factor_frac < 0:
            raise UsageError(f"spec: log.factor_frac must be >= 0, not {self.factor_frac}")
        if self._sum_bits > 62:
            raise UsageError(f"spec: log must add numbers of at most 62 bits, not {self._sum_bits}")

    @property
    def shifts(self) -> int:
        """Largest normalising shift."""
        return self.input.bits - 1

    @property
    def window_low(self) -> int:
        """Position of the lowest bit of the normalised x that the table sees."""
        return self.shifts - self.mantissa.input.bits

    @property
    def frac(self) -> int:
        """Fraction bits of the sum, which drops none of the terms'."""
        return max(self.mantissa.output.frac, self.factor_frac, self.output.frac)

    @property
    def left(self) -> int:
        """Left shift that brings the table's value to the sum's fraction bits."""
        return self.frac - self.mantissa.output.frac

    @property
    def right(self) -> int:
        """Low bits of the sum that are rounded off."""
        return self.frac - self.output.frac

    @property
    def _sum_bits(self) -> int:
        """Bits that hold the sum, its sign, and the half that rounds it."""
        term = max(abs(self.term_of(0)), abs(self.term_of(self.shifts)))
        value = self.mantissa.output.bits + self.left
        return max(term.bit_length(), value, self.right) + 2

    def term_of(self, zeros: Any) -> Any:
        """Return k ln 2, with the sum's fraction bits, of an x with so many leading zeros.

        An integer or an array.
        """
        exponent = self.shifts - self.input.frac - zeros
        return exponent * (self.factor << (self.frac - self.factor_frac))

    @property
    def latency(self) -> int:
        """Three clocks (count zeros; normalise; add, round, saturate) and the table's."""
        return 3 + self.mantissa.latency

    def split(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of leading zeros, and what the table sees of m."""
        normal, zeros = normalise(self.input.check(codes), self.input.bits, 1, self.shifts)
        return zeros, (normal >> self.window_low) & ((1 << self.mantissa.input.bits) - 1)

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return the number of leading zeros, and the segment of m."""
        zeros, mantissa = self.split(codes)
        return (zeros << 32) + self.mantissa.segment(mantissa)

    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return ``saturate(round_shift((table(m) << left) + term, right))``."""
        zeros, mantissa = self.split(codes)
        total = (self.mantissa.compute(mantissa) << self.left) + self.term_of(zeros)
        result = self.output.saturate(round_shift(total, self.right))
        return np.where(np.asarray(codes) == 0, self.output.min, result)
