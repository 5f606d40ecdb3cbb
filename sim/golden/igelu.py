"""I-BERT's GELU: a polynomial of degree 2 for erf."""

from dataclasses import dataclass

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .spec import UnarySpec

__all__ = ["IGeluSpec"]


@dataclass(frozen=True)
class IGeluSpec(UnarySpec):
    """i-GELU (Kim et al., I-BERT, ICML 2021, section 3.4): ``x/2 (1 + L(x / sqrt 2))``.

    ``L(x) = sgn(x) (a (min(|x|, -b) + b)**2 + 1)`` with a = -0.2888, b = -1.769 stands for erf. The
    argument has the scale ``S = 2**-scale_frac``, the argument of L has ``S / k``, k = 1.4142. As
    in the authors' code, L loses `shift` low bits, by a floor, before it is multiplied by x. The
    argument is first brought to a fine scale by `guard` zero bits, as in `IExpSpec`; the last step
    is the dyadic requantisation to the output's format.

    Parameters
    ----------
    input : Format
        Signed format of the argument.
    output : Format
        Format of the result; saturates.
    guard : int
        Zero bits added below the argument.
    b, c : int
        ``floor(b k / S)`` and ``floor(k**2 / (a S**2))``, both negative.
    shift : int
        Low bits of L that are dropped; 14 in the authors' code.
    erf_one : int
        1 in the scale of L, ``floor(k**2 / (a S**2 2**shift))``: negative, as a is.
    factor : int
        a / k**2 for the requantisation, negative.
    factor_frac : int
        Fraction bits of `factor`.
    """

    kind = "igelu"

    input: Format
    output: Format
    guard: int
    b: int
    c: int
    shift: int
    erf_one: int
    factor: int
    factor_frac: int

    def __post_init__(self) -> None:
        if not self.input.signed:
            raise UsageError(f"spec: igelu.input must be signed, not {self.input}")
        if self.guard < 0 or self.shift < 0:
            raise UsageError(
                f"spec: igelu.guard and shift must be >= 0, not {self.guard} and {self.shift}"
            )
        if max(self.b, self.c, self.erf_one, self.factor) >= 0:
            raise UsageError(
                "spec: igelu.b, c, erf_one and factor must be negative, not "
                f"{self.b}, {self.c}, {self.erf_one} and {self.factor}"
            )
        if self.right < 0:
            raise UsageError(
                f"spec: igelu.output must have at most {self.right + self.output.frac} "
                f"fraction bits, not {self.output.frac}"
            )
        if max(self.product_bits, self.right + 1) > 62:
            raise UsageError(
                f"spec: igelu must multiply to at most 62 bits, not "
                f"{max(self.product_bits, self.right + 1)}"
            )

    @property
    def scale_frac(self) -> int:
        """Fraction bits of the argument with its guard bits: S = 2**-scale_frac."""
        return self.input.frac + self.guard

    @property
    def right(self) -> int:
        """Bits that the product is to be shifted right by.

        It has the scale ``S * S**2 * 2**shift / 2 * 2**-factor_frac``.
        """
        return 3 * self.scale_frac - self.shift + 1 + self.factor_frac - self.output.frac

    @property
    def product_bits(self) -> int:
        """Bits of the last product, its sign included."""
        # L lies between (c >> shift) and its negative, or (b**2 + c) and its negative.
        value = max(abs(self.c), abs(self.b**2 + self.c)) + (1 << self.shift)
        bracket = (value >> self.shift) + 1 - self.erf_one
        return ((-self.input.min << self.guard) * bracket * -self.factor).bit_length() + 1

    @property
    def latency(self) -> int:
        """Five clocks: |x| + b; square; L + 1; multiply by x; multiply by a, round, saturate."""
        return 5

    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return ``saturate(round_shift(x * ((L >> shift) + erf_one) * factor, right))``."""
        x = self.input.check(codes) << self.guard
        poly = (np.minimum(np.abs(x), -self.b) + self.b) ** 2 + self.c
        bracket = (np.sign(x) * poly >> self.shift) + self.erf_one
        return self.output.saturate(round_shift(x * bracket * self.factor, self.right))
