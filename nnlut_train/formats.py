"""Fixed-point formats, and the one rule for rounding and saturation.

A *code* is the integer that the hardware holds; its real value is ``code * 2**-frac``.

Rounding is **half up** everywhere: the real value is multiplied by ``2**frac``, one half is added,
and the floor is taken. Dropping ``n`` low bits of a two's-complement integer is therefore
``(v + (1 << (n - 1))) >> n``. What does not fit its format **saturates**; it never wraps.
`hw.fixed` is the same rule for Amaranth, and the tests hold the two against each other.
"""

import re
from dataclasses import dataclass

import numpy as np

from .errors import UsageError

__all__ = ["ENUMERATED_BITS", "Format", "round_divide", "round_shift"]

#: Widest format whose codes are all looked at in a fit. Of wider ones, `Format.grid` is a sample.
ENUMERATED_BITS = 20
#: Steps of that sample: 2**16.
GRID_BITS = 16


@dataclass(frozen=True)
class Format:
    """A fixed-point number format.

    Parameters
    ----------
    signed : bool
        Two's complement if true.
    bits : int
        Width in bits, the sign included; 1 to 48.
    frac : int
        Fraction bits, -64 to 64; the scale of one code step (1 ulp) is ``2**-frac``.

    Raises
    ------
    UsageError
        If the width or the fraction is out of range.
    """

    signed: bool
    bits: int
    frac: int

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 48:
            raise UsageError(f"a format's width must be 1 to 48 bits, not {self.bits!r}")
        if not -64 <= self.frac <= 64:
            raise UsageError(f"a format's fraction bits must be -64 to 64, not {self.frac!r}")

    @property
    def min(self) -> int:
        """The smallest code."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """The largest code."""
        return (1 << (self.bits - self.signed)) - 1

    @property
    def scale(self) -> float:
        """The real value of one code step, ``2**-frac``."""
        return 2.0**-self.frac

    def codes(self) -> np.ndarray:
        """All codes, ascending; int64, shape (2**bits,)."""
        return np.arange(self.min, self.max + 1, dtype=np.int64)

    def grid(self) -> np.ndarray:
        """Codes that stand for all: all, or of a wide format every so many of them, and the last.

        Ascending; int64, shape (2**bits,), or (2**16 + 1,) of more than `ENUMERATED_BITS` bits.
        """
        if self.bits <= ENUMERATED_BITS:
            return self.codes()
        step = 1 << (self.bits - GRID_BITS)
        return np.append(np.arange(self.min, self.max + 1, step, dtype=np.int64), self.max)

    def real(self, codes: np.ndarray) -> np.ndarray:
        """Return the float64 values of `codes`."""
        return np.asarray(codes, dtype=np.float64) * self.scale

    def clip(self, values: np.ndarray) -> np.ndarray:
        """Limit real `values` to what the format can hold, without rounding them."""
        return np.clip(values, self.min * self.scale, self.max * self.scale)

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Return the int64 codes nearest to real `values` (half up, then saturated)."""
        scaled = self.clip(np.asarray(values, dtype=np.float64)) * 2.0**self.frac
        floor = np.floor(scaled)
        # Not floor(scaled + 0.5): that sum is itself rounded.
        return self.saturate((floor + (scaled - floor >= 0.5)).astype(np.int64))

    def check(self, codes: np.ndarray) -> np.ndarray:
        """Return `codes` as int64.

        Raises
        ------
        UsageError
            If they are not integers, or beyond the format.
        """
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iu":
            raise UsageError(f"codes must be integers, not {codes.dtype}")
        if codes.size and not self.min <= int(codes.min()) <= int(codes.max()) <= self.max:
            raise UsageError(
                f"codes of format {self} must be {self.min} to {self.max}, "
                f"not {codes.min()} to {codes.max()}"
            )
        return codes.astype(np.int64)

    def saturate(self, codes: np.ndarray) -> np.ndarray:
        """Limit integer `codes` to the format's range."""
        return np.clip(codes, self.min, self.max)

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}.{self.frac}"

    @classmethod
    def parse(cls, text: str) -> "Format":
        """Read what ``str`` writes: ``s8.4`` is signed, 8 bits wide, 4 of them fraction bits.

        Raises
        ------
        UsageError
            If `text` does not have this form.
        """
        match = (
            re.fullmatch(r"([su])(\d{1,4})\.(-?\d{1,4})", text) if isinstance(text, str) else None
        )
        if match is None:
            raise UsageError(
                f"a format must read like s8.4 or u8.8 (sign, bits, fraction bits), not {text!r}"
            )
        return cls(match[1] == "s", int(match[2]), int(match[3]))


def round_shift(values: np.ndarray, shift: np.ndarray | int) -> np.ndarray:
    """Drop `shift` low bits of two's-complement `values`, rounding half up.

    Parameters
    ----------
    values : int64 array
        Integers of any shape.
    shift : int or int64 array
        Bits to drop, at least 0; broadcast against `values`.

    Returns
    -------
    int64 array
        ``(v + (1 << (shift - 1))) >> shift``, and `v` itself where `shift` is 0.
    """
    half = (np.int64(1) << np.asarray(shift, dtype=np.int64)) >> 1
    return (np.asarray(values, dtype=np.int64) + half) >> shift


def round_divide(values: np.ndarray, divisor: int) -> np.ndarray:
    """Divide `values` by a positive constant, rounding half up.

    Parameters
    ----------
    values : int64 array
        Integers of any shape.
    divisor : int
        At least 1.

    Returns
    -------
    int64 array
        ``floor(v / divisor + 1/2)``, exactly.
    """
    return (np.asarray(values, dtype=np.int64) + divisor // 2) // divisor
