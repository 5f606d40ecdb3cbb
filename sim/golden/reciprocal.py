"""Reciprocal, square root and its reciprocal by leading-zero normalisation."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .around_steps import ScaleSteps
from .normalise import normalise
from .pipelining import Steps, check_stages
from .spec import UnarySpec

__all__ = ["ReciprocalSpec"]


@dataclass(frozen=True)
class ReciprocalSpec(UnarySpec):
    """1/x, 1/sqrt(x) or sqrt(x): normalise x to m * 2**k, look up the mantissa m, shift by k.

    For 1/x, m is in [1, 2) and the table sees the bits below the leading one. For the roots, k is
    even, m is in [1, 4), and the table sees m with its two integer bits; codes below 1 never occur.

    Parameters
    ----------
    input : Format
        Unsigned format of x. The result for x = 0 is the largest output code, of sqrt(x) 0.
    output : Format
        Unsigned format of the result; saturates.
    mantissa : UnarySpec
        The table; unsigned input of at most as many bits as x has to offer.
    root : bool
        True for 1/sqrt(x) and sqrt(x).
    shift_max : int
        Largest normalising left shift. ``input.bits`` serves every x; less makes the shifter
        smaller where x is known to be large.
    inverse : bool
        False for sqrt(x).
    after : int, optional
        Pipeline stages behind the table, of `parts`; by default one.

    Raises
    ------
    UsageError
        If the parts do not go together, or stages are out of range.
    """

    kind = "reciprocal"

    input: Format
    output: Format
    mantissa: UnarySpec
    root: bool
    shift_max: int
    inverse: bool = True
    after: int | None = None

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
        if not (self.root or self.inverse):
            raise UsageError("spec: reciprocal.inverse must be true without root, not false")
        check_stages(self)

    @property
    def parts(self) -> dict[str, Steps]:
        """What is done behind the table, in order: registers can stand after each."""
        return {
            "after": ScaleSteps(self.mantissa.output.bits + self.left, self.right_max.bit_length())
        }

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
        drop = self.mantissa.output.frac - self.output.frac
        return drop + exponent if self.inverse else drop - exponent

    @property
    def left(self) -> int:
        """Constant left shift of the table's value, so that the variable shift only goes right."""
        return max(0, self.shifts * self.inverse - self._right)

    @property
    def right(self) -> int:
        """Right shift for a normalising shift of 0."""
        return self._right + self.left

    @property
    def right_max(self) -> int:
        """Largest right shift."""
        return self.right if self.inverse else self.right + self.shifts

    def right_of(self, steps: Any) -> Any:
        """Return the right shift after a normalisation by `steps`: each makes it 1 less, or more.

        At least 0; an array, or a value of the hardware.
        """
        return self.right - steps if self.inverse else self.right + steps

    @property
    def latency(self) -> int:
        """3 clocks (count zeros; normalise; shift, round, saturate), or more, and the table's."""
        return 2 + (self.after or 1) + self.mantissa.latency

    def split(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps of the normalisation, and what the table sees of m."""
        normal, steps = normalise(self.input.check(codes), self.width, self.step, self.shifts)
        return steps, (normal >> self.window_low) & ((1 << self.mantissa.input.bits) - 1)

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return the steps of the normalisation, and the segment of m."""
        steps, mantissa = self.split(codes)
        return (steps << 32) + self.mantissa.segment(mantissa)

    @property
    def at_zero(self) -> int:
        """The result for x = 0."""
        return self.output.max if self.inverse else 0

    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return ``saturate(round_shift(table(m) << left, right_of(steps)))``."""
        steps, mantissa = self.split(codes)
        value = self.mantissa.compute(mantissa)
        result = self.output.saturate(round_shift(value << self.left, self.right_of(steps)))
        return np.where(np.asarray(codes) == 0, self.at_zero, result)
