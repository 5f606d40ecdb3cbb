"""Sine and cosine by quarter waves."""

from dataclasses import dataclass

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .spec import UnarySpec

__all__ = ["SineSpec"]


@dataclass(frozen=True)
class SineSpec(UnarySpec):
    """sin(x) or cos(x): x in quarter turns is an integer q and a fraction f; a table of a quarter.

    ``sin(pi/2 (q + f))`` is sin(pi/2 f) for even q and sin(pi/2 (1 - f)) for odd q, with a minus
    for q mod 4 of 2 and 3; cos(x) is the sine of one quarter more. The table's argument is f cut to
    its bits, and its value is meant for the middle of what is cut off: then 1 - f is f with all
    bits inverted, exactly. Arguments of any size are served, as far as `factor` has bits for them.

    Parameters
    ----------
    input : Format
        Format of the argument, in radians.
    output : Format
        Format of the result; saturates.
    quarter : UnarySpec
        Table of sin(pi/2 f); its input has only fraction bits and is unsigned, its output is
        unsigned, with at least the fraction bits of `output`.
    factor : int
        2/pi as an integer.
    factor_frac : int
        Fraction bits of `factor`.
    cosine : bool
        True for cos(x).
    """

    kind = "sine"

    input: Format
    output: Format
    quarter: UnarySpec
    factor: int
    factor_frac: int
    cosine: bool

    def __post_init__(self) -> None:
        form, value = self.quarter.input, self.quarter.output
        if form.signed or form.bits != form.frac or value.signed:
            raise UsageError(f"spec: sine.quarter must map u*.* with no integer bits, not {form}")
        if self.drop < 0:
            raise UsageError(
                f"spec: sine.quarter must have at most {self.input.frac + self.factor_frac} "
                f"fraction bits, not {form.frac}"
            )
        if self.shift < 0:
            raise UsageError(
                f"spec: sine.quarter must give at least {self.output.frac} fraction bits, not "
                f"{value.frac}"
            )
        bits = self.input.bits + self.factor.bit_length()
        if bits > 63:
            raise UsageError(f"spec: sine must multiply to at most 63 bits, not {bits}")

    @property
    def drop(self) -> int:
        """Low bits of the product x * factor that the table does not see."""
        return self.input.frac + self.factor_frac - self.quarter.input.frac

    @property
    def shift(self) -> int:
        """Fraction bits that the table's value has beyond the output."""
        return self.quarter.output.frac - self.output.frac

    @property
    def latency(self) -> int:
        """Two clocks (multiply by 2/pi; sign, round, saturate) and the table's."""
        return 2 + self.quarter.latency

    def split(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the quarter of the sine, 0 to 3, and what the table sees."""
        turn = (self.input.check(codes) * self.factor) >> self.drop
        bits = self.quarter.input.bits
        quarter = ((turn >> bits) + self.cosine) & 3
        mask = (1 << bits) - 1
        return quarter, (turn & mask) ^ np.where(quarter & 1, mask, 0)

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return the quarter, and the segment of what the table sees."""
        quarter, fraction = self.split(codes)
        return (quarter << 32) + self.quarter.segment(fraction)

    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return ``saturate(round_shift(+-table(f), shift))``."""
        quarter, fraction = self.split(codes)
        value = self.quarter.compute(fraction)
        value = np.where(quarter & 2, -value, value)
        return self.output.saturate(round_shift(value, self.shift))
