"""Binary floating-point formats of IEEE 754-2019, as bit patterns.

A code is the bit pattern of a number, an unsigned integer. Rounding is to nearest, ties to even;
subnormal numbers are numbers like others, never flushed to zero. Every operation whose result is no
number has one and the same code, the positive quiet NaN without a payload: `FloatFormat.nan`.
"""

from dataclasses import dataclass

import numpy as np

from .formats import Format

__all__ = ["FLOATS", "FP16", "FP32", "FloatFormat"]


@dataclass(frozen=True)
class FloatFormat:
    """An interchange format of IEEE 754 (section 3.4): sign, biased exponent, fraction.

    Parameters
    ----------
    name : str
        What users call it.
    bits : int
        Width.
    exponent_bits : int
        Of the exponent.
    """

    name: str
    bits: int
    exponent_bits: int

    @property
    def fraction_bits(self) -> int:
        """Bits of the significand below its leading one."""
        return self.bits - 1 - self.exponent_bits

    @property
    def bias(self) -> int:
        """What an exponent field is more than the exponent."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def exponent_max(self) -> int:
        """The exponent field of infinities and NaNs: all ones."""
        return (1 << self.exponent_bits) - 1

    @property
    def infinity(self) -> int:
        """Code of positive infinity."""
        return self.exponent_max << self.fraction_bits

    @property
    def nan(self) -> int:
        """Code of the one NaN that operations return: quiet, positive, no payload."""
        return self.infinity | 1 << (self.fraction_bits - 1)

    @property
    def epsilon(self) -> float:
        """Distance from 1 to the next larger number."""
        return 2.0**-self.fraction_bits

    @property
    def codes(self) -> Format:
        """Format of the codes."""
        return Format(False, self.bits, 0)

    @property
    def dtype(self) -> np.dtype:
        """NumPy's type of the numbers."""
        return np.dtype(f"f{self.bits // 8}")

    def numbers(self, codes: np.ndarray) -> np.ndarray:
        """Return the numbers (of `dtype`, same shape) with the given codes."""
        return np.asarray(codes, np.int64).astype(f"u{self.bits // 8}").view(self.dtype)

    def pattern(self, numbers: np.ndarray) -> np.ndarray:
        """Return the codes (int64, same shape) of `numbers`; any NaN has the code `nan`.

        Parameters
        ----------
        numbers : float array
            Rounded to the nearest number of this format if they are of a wider type.
        """
        with np.errstate(over="ignore", under="ignore"):
            rounded = np.asarray(numbers).astype(self.dtype)
        codes = np.ascontiguousarray(rounded).view(f"u{self.bits // 8}").astype(np.int64)
        return np.where(np.isnan(rounded), self.nan, codes).reshape(np.shape(numbers))

    def keys(self, codes: np.ndarray) -> np.ndarray:
        """Return integers (int64, same shape) that are ordered as the numbers are.

        0 to 2**bits - 1; both zeros have the same key, 2**(bits - 1). NaNs have keys beyond those
        of the infinities, on the side of their sign.
        """
        codes = np.asarray(codes, np.int64)
        sign = 1 << (self.bits - 1)
        # The complement of a negative number's code; -0 counts as 0.
        return np.where(codes > sign, 2 * sign - 1 - codes, (codes & (sign - 1)) + sign)


FP16 = FloatFormat("fp16", 16, 5)
FP32 = FloatFormat("fp32", 32, 8)

#: By their names.
FLOATS = {form.name: form for form in (FP16, FP32)}
