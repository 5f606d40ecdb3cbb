"""Exponential by range reduction to base 2."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .around_steps import PowerSteps, ScaleSteps
from .pipelining import Steps, check_stages
from .spec import UnarySpec

__all__ = ["ExpSpec"]


@dataclass(frozen=True)
class ExpSpec(UnarySpec):
    """``exp(x) = 2**(x log2 e) = 2**i * 2**f``: a table of 2**f on [0, 1), and a shift by i.

    With another factor than log2(e), it is the power of another base: with 1, 2**x.

    The table's error is relative to the result, so small results are as accurate as large ones;
    a table of exp itself has the same absolute error everywhere, which a softmax sums up.

    Parameters
    ----------
    input : Format
        Format of the argument.
    output : Format
        Format of the result; saturates.
    fraction : UnarySpec
        Table of 2**f; its input has only fraction bits and is unsigned, its output is unsigned.
    factor : int
        log2(e) as an integer, negated if the unit is to compute exp(-x); a power of two for 2**x.
    factor_frac : int
        Fraction bits of `factor`.
    before, after : int, optional
        Pipeline stages before and behind the table, of `parts`; by default one each.

    Raises
    ------
    UsageError
        If the parts do not go together, or stages are out of range.
    """

    kind = "exp"

    input: Format
    output: Format
    fraction: UnarySpec
    factor: int
    factor_frac: int
    before: int | None = None
    after: int | None = None

    def __post_init__(self) -> None:
        form = self.fraction.input
        if form.signed or form.bits != form.frac or self.fraction.output.signed:
            raise UsageError(f"spec: exp.fraction must map u*.* with no integer bits, not {form}")
        if self.drop < 0:
            raise UsageError(
                f"spec: exp.fraction must have at most {self.input.frac + self.factor_frac} "
                f"fraction bits, not {form.frac}"
            )
        check_stages(self)

    @property
    def parts(self) -> dict[str, Steps]:
        """What is done before and behind the table, in order: registers can stand after each."""
        shift = self.right_max.bit_length()
        return {
            "before": PowerSteps(
                self.input.bits, abs(self.factor).bit_length(), shift, self.fraction.input.bits
            ),
            "after": ScaleSteps(self.fraction.output.bits + self.left, shift),
        }

    @property
    def drop(self) -> int:
        """Low bits of the product x * factor that the table does not see."""
        return self.input.frac + self.factor_frac - self.fraction.input.frac

    @property
    def integer_bits(self) -> int:
        """Integer bits of the output without its sign: a result of 2**integer_bits saturates."""
        return self.output.bits - self.output.signed - self.output.frac

    @property
    def left(self) -> int:
        """Constant left shift of the mantissa, so that the variable shift only goes right."""
        return max(self._offset, 0)

    @property
    def _offset(self) -> int:
        return self.output.frac - self.fraction.output.frac + self.integer_bits

    def right_of(self, exponent: Any) -> Any:
        """Return the right shift that scales the mantissa by 2**exponent, before its limit.

        At least 1 for an `exponent` below `integer_bits`; an array, or a value of the hardware.
        """
        return self.left - self._offset + self.integer_bits - exponent

    @property
    def right_max(self) -> int:
        """Largest right shift that can leave a non-zero result; larger ones are limited to it."""
        return self.left + self.fraction.output.bits + 1

    @property
    def latency(self) -> int:
        """Two clocks (multiply by log2 e; shift, round, saturate) or more, and the table's."""
        return (self.before or 1) + (self.after or 1) + self.fraction.latency

    def split(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return i, and the code of f."""
        power = (self.input.check(codes) * self.factor) >> self.drop
        bits = self.fraction.input.bits
        return power >> bits, power & ((1 << bits) - 1)

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return i, and the segment of f."""
        exponent, fraction = self.split(codes)
        return (exponent << 32) + self.fraction.segment(fraction)

    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return ``saturate(round_shift(table(f) << left, right))``."""
        exponent, fraction = self.split(codes)
        mantissa = self.fraction.compute(fraction)
        right = np.minimum(self.right_of(exponent), self.right_max)
        result = round_shift(mantissa << self.left, np.maximum(right, 0))
        # 2**integer_bits and above: the shift would have to go left.
        return np.where(exponent >= self.integer_bits, self.output.max,
                        self.output.saturate(result))  # fmt: skip
