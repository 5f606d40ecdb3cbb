"""Reciprocal and reciprocal square root by leading-zero normalisation."""

from dataclasses import dataclass

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .normalise import normalise
from .spec import UnarySpec

__all__ = ["ReciprocalSpec"]


@dataclass(frozen=True)
class ReciprocalSpec(UnarySpec):
    """1/x or 1/sqrt(x): normalise x to m * 2**k, look up the mantissa m, shift by k.

    For 1/x, m is in [1, 2) and the table sees the bits below the leading one. For 1/sqrt(x), k is
    even, m is in [1, 4), and the table sees m with its two integer bits; codes below 1 never occur.

    Parameters
    ----------
    input : Format
        Unsigned format of x. The result for x = 0 is the largest output code.
    output : Format
        Unsigned format of the result; saturates.
    mantissa : UnarySpec
        The table; unsigned input of at most as many bits as x has to offer.
    root : bool
        True for 1/sqrt(x).
    shift_max : int
        Largest normalising left shift. ``input.bits`` serves every x; less makes the shifter
        smaller where x is known to be large.
    """

    kind = "reciprocal"

    input: Format
    output: Format
    mantissa: UnarySpec
    root: bool
    shift_max: int

    def __post_init__(self) -> None:
        for name, form in (("input", self.input), ("output", self.output)):
            if form.signed:
                raise UsageError(f"spec: reciprocal.{name} must be unsigned, not {form}")
        if not 0 <= self.window_low < self.width:
            raise UsageError(
                f"spec: reciprocal.mantissa must see at most {self.width - (not self.root)} bits, "
                f"not {self.mantissa.input.bits}"
            )
        if self.shift_max < 0:
            raise UsageError(f"spec: reciprocal.shift_max must be >= 0, not {self.shift_max}")

    @property
    def step(self) -> int:
        """The normalising shift is a multiple of this."""
        return 2 if self.root else 1

    @property
    def width(self) -> int:
        """Bits of the normalised x. One more than x has where the exponent would be odd."""
        return self.input.bits + (self.root and (self.input.bits - self.input.frac) % 2)

    @property
    def shifts(self) -> int:
        """Largest normalising shift in steps."""
        return min(self.shift_max, self.width - 1) // self.step

    @property
    def window_low(self) -> int:
        """Position of the lowest bit of the normalised x that the table sees."""
        return self.width - self.mantissa.input.bits - (not self.root)

    @property
    def _right(self) -> int:
        exponent = (self.width - self.step - self.input.frac) // self.step
        return self.mantissa.output.frac - self.output.frac + exponent

    @property
    def left(self) -> int:
        """Constant left shift of the table's value, so that the variable shift only goes right."""
        return max(0, self.shifts - self._right)

    @property
    def right(self) -> int:
        """Right shift for a normalising shift of 0; each step of that one makes it 1 less."""
        return self._right + self.left

    @property
    def latency(self) -> int:
        """Three clocks (count zeros; normalise; shift, round, saturate) and the table's."""
        return 3 + self.mantissa.latency

    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return ``saturate(round_shift(table(m) << left, right - steps))``."""
        codes = self.input.check(codes)
        normal, steps = normalise(codes, self.width, self.step, self.shifts)
        mantissa = (normal >> self.window_low) & ((1 << self.mantissa.input.bits) - 1)
        value = self.mantissa.compute(mantissa)
        result = self.output.saturate(round_shift(value << self.left, self.right - steps))
        return np.where(codes == 0, self.output.max, result)
