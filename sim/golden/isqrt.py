"""I-BERT's square root: Newton's iteration in integers."""

from dataclasses import dataclass

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .normalise import bit_length
from .spec import UnarySpec

__all__ = ["ISqrtSpec", "isqrt", "quotient_bits", "stages_of"]


def isqrt(n: np.ndarray, iterations: int) -> np.ndarray:
    """Return about ``floor(sqrt(n))``: i-sqrt (Kim et al., I-BERT, ICML 2021, algorithm 4).

    ``x0 = 2**ceil(bits(n) / 2)``, then ``x' = (x + floor(n / x)) >> 1`` until that is no longer
    less than x, at most `iterations` times. The result is never too small. The start is at most
    twice the root, and a relative error of e is one of ``e**2 / (2 (1 + e))`` after the next step.
    The paper's 4 steps leave at most 5e-8: exact for integers of up to 24 bits, and at most 1 too
    large for the 32 bits that it has them for. 5 are exact for up to 48 bits.

    Parameters
    ----------
    n : int64 array
        Integers of 0 to 2**62 - 1.
    iterations : int
        Steps, at least 1.
    """
    n = np.asarray(n, dtype=np.int64)
    x = np.int64(1) << ((bit_length(n) + 1) >> 1)
    for _ in range(iterations):
        # The root of 0 is reached in one step; there is nothing to divide by then.
        x = np.where(x > 0, np.minimum(x, (x + n // np.maximum(x, 1)) >> 1), 0)
    return x


def stages_of(bits: int, iterations: int, per_stage: int) -> int:
    """Return the pipeline stages of the root of an integer of `bits` bits.

    Two for the start and its step, which divides by a power of two; each other step is a division
    of `quotient_bits` bits, `per_stage` in a stage, and one stage to add and compare.
    """
    return 2 + (iterations - 1) * (-(-quotient_bits(bits) // per_stage) + 1)


def quotient_bits(bits: int) -> int:
    """Return how many bits hold every quotient ``floor(n / x)`` of i-sqrt, n of `bits` bits.

    With ``s = floor(sqrt(n))``, no step gives an x below s; so the quotient is at most s + 2. s has
    at most half of `bits`, rounded up, and s + 2 at most one bit more.
    """
    return (bits + 1) // 2 + 1


@dataclass(frozen=True)
class ISqrtSpec(UnarySpec):
    """``sqrt(x)`` by i-sqrt: the root of the code with enough zero bits below, rounded.

    With one guard bit and enough steps, ``floor(sqrt(4 x))`` rounds to the nearest code exactly.

    Parameters
    ----------
    input : Format
        Unsigned format of x.
    output : Format
        Format of the root; saturates.
    guard : int
        Bits of the integer root below the output's, at least 1.
    iterations : int
        Newton's steps; the paper has 4.
    per_stage : int
        Quotient bits that one stage of a divider makes.
    """

    kind = "isqrt"

    input: Format
    output: Format
    guard: int
    iterations: int
    per_stage: int

    def __post_init__(self) -> None:
        if self.input.signed:
            raise UsageError(f"spec: isqrt.input must be unsigned, not {self.input}")
        if min(self.guard, self.iterations, self.per_stage) < 1:
            raise UsageError(
                "spec: isqrt.guard, iterations and per_stage must be >= 1, not "
                f"{self.guard}, {self.iterations} and {self.per_stage}"
            )
        if self.left < 0:
            raise UsageError(
                f"spec: isqrt.guard must be at least "
                f"{-(-self.input.frac // 2) - self.output.frac}, not {self.guard}"
            )
        if self.bits > 62:
            raise UsageError(f"spec: isqrt must take the root of at most 62 bits, not {self.bits}")

    @property
    def left(self) -> int:
        """Zero bits below x, so that its root has the output's fraction bits and the guard."""
        return 2 * (self.output.frac + self.guard) - self.input.frac

    @property
    def bits(self) -> int:
        """Bits of the integer whose root is taken."""
        return self.input.bits + self.left

    @property
    def latency(self) -> int:
        """The root's stages, and one clock to round and saturate."""
        return stages_of(self.bits, self.iterations, self.per_stage) + 1

    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return ``saturate(round_shift(isqrt(code << left), guard))``."""
        root = isqrt(self.input.check(codes) << self.left, self.iterations)
        return self.output.saturate(round_shift(root, self.guard))
