"""I-BERT's exponential: range reduction by ln 2, and a polynomial of degree 2."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .spec import UnarySpec

__all__ = ["IExpSpec"]


@dataclass(frozen=True)
class IExpSpec(UnarySpec):
    """i-exp (Kim et al., I-BERT, ICML 2021, section 3.5): ``exp(x) = 2**-z * L(p)``, in integers.

    ``x = -z ln 2 + p`` with p in (-ln 2, 0], and ``L(p) = a (p + b)**2 + c`` with a = 0.3585,
    b = 1.353, c = 0.344. The argument has the scale ``S = 2**-scale_frac``; then ``(p + b)**2 + c``
    of the integers below is ``L / (a S**2)``.

    Two differences from the paper, neither of them in the polynomial. The code is first brought to
    a fine scale by `guard` zero bits: I-BERT's arguments are 32-bit accumulators, and at the scale
    of an 8-bit code, ``floor(ln2 / S)`` alone would be wrong by up to 1 %. And the shift by z and
    the dyadic requantisation that follows it (multiply by an integer, shift) are one shift with
    one rounding. Positive arguments, which I-BERT does not have, are served, too: z is negative.

    Parameters
    ----------
    input : Format
        Format of the argument; unsigned if `negated`, otherwise signed.
    output : Format
        Format of the result; saturates.
    guard : int
        Zero bits added below the argument.
    ln2, b, c : int
        ``floor(ln2 / S)``, ``floor(b / S)``, ``floor(c / (a S**2))``.
    factor : int
        a, for the requantisation.
    factor_frac : int
        Fraction bits of `factor`.
    negated : bool
        Compute exp(-x).
    """

    kind = "iexp"

    input: Format
    output: Format
    guard: int
    ln2: int
    b: int
    c: int
    factor: int
    factor_frac: int
    negated: bool

    def __post_init__(self) -> None:
        if self.input.signed == self.negated:
            sign = "unsigned" if self.negated else "signed"
            raise UsageError(f"spec: iexp.input must be {sign}, not {self.input}")
        if self.guard < 0:
            raise UsageError(f"spec: iexp.guard must be >= 0, not {self.guard}")
        if not 0 < self.ln2 <= self.b:
            raise UsageError(f"spec: iexp.ln2 must be 1 to b = {self.b}, not {self.ln2}")
        if self.c < 0 or self.factor < 1:
            raise UsageError(
                f"spec: iexp.c and factor must be >= 0 and >= 1, not {self.c} and {self.factor}"
            )
        if self.right_min < 0:
            raise UsageError(
                f"spec: iexp.output must have at most {self.frac} bits but for its sign, not "
                f"{self.output.bits - self.output.signed}"
            )
        if max(self.product_bits, self.right_max, self.dividend_bits + 1) > 62:
            raise UsageError(
                "spec: iexp must multiply to at most 62 bits, not "
                f"{max(self.product_bits, self.right_max, self.dividend_bits + 1)}"
            )

    @property
    def scale_frac(self) -> int:
        """Fraction bits of the argument with its guard bits: S = 2**-scale_frac."""
        return self.input.frac + self.guard

    @property
    def frac(self) -> int:
        """Fraction bits of the polynomial's value times `factor`."""
        return 2 * self.scale_frac + self.factor_frac

    @property
    def z_min(self) -> int:
        """The z of the largest argument: 0 or negative."""
        largest = 0 if self.negated else self.input.max << self.guard
        return -largest // self.ln2

    @property
    def dividend_bits(self) -> int:
        """Bits of ``-x - z_min ln2``, which is at least 0."""
        smallest = self.input.max if self.negated else -self.input.min
        return ((smallest << self.guard) - self.z_min * self.ln2).bit_length()

    @property
    def product_bits(self) -> int:
        """Bits of the polynomial's value times `factor`."""
        return ((self.b**2 + self.c) * self.factor).bit_length()

    @property
    def integer_bits(self) -> int:
        """Integer bits of the output without its sign: 2**integer_bits saturates."""
        return self.output.bits - self.output.signed - self.output.frac

    @property
    def right_min(self) -> int:
        """Right shift for ``z = -integer_bits``, below which the result saturates."""
        return self.right_of(-self.integer_bits)

    @property
    def right_max(self) -> int:
        """Largest right shift that can leave a non-zero result; larger ones are limited to it."""
        return max(self.product_bits + 1, self.right_min)

    def right_of(self, z: Any) -> Any:
        """Return the right shift that scales the product by 2**-z: an integer, array or value."""
        return z + (self.frac - self.output.frac)

    @property
    def latency(self) -> int:
        """Five clocks: z; p + b; square and add; multiply by a; shift, round, saturate."""
        return 5

    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return ``saturate(round_shift(((p + b)**2 + c) * factor, right_of(z)))``."""
        n = self.input.check(codes) << self.guard
        if not self.negated:
            n = -n
        z = n // self.ln2
        p = z * self.ln2 - n
        product = ((p + self.b) ** 2 + self.c) * self.factor
        right = np.clip(self.right_of(z), self.right_min, self.right_max)
        result = self.output.saturate(round_shift(product, right))
        # The value is above one half before the shift: 2**-z / 2 or more does not fit.
        return np.where(z < -self.integer_bits, self.output.max, result)
