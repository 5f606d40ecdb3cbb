"""Softmax to base 2 with an online maximum: a row's inputs are read once for maximum and sum."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .reciprocal import ReciprocalSpec
from .rows import SoftmaxRowSpec
from .spec import UnarySpec

__all__ = ["Base2Spec"]


@dataclass(frozen=True)
class Base2Spec(SoftmaxRowSpec):
    """``p = 2**(t - K) / sum(2**(t - K))``, K the running integer maximum of ``t = x log2 e``.

    After Softermax (Stevens et al., DAC 2021) and ITA (Islamoglu et al., ISLPED 2023): base 2, so
    that a change of the maximum is a shift of the sum; an integer maximum; one pass for both. There
    t = x, and the network is trained for that (or its scale is chosen so); here a constant `factor`
    makes it the softmax to base e.

    Each element is ``2**t = u 2**k``: k an integer, and u from a table of ``2**f``: in [1, 2), but
    for the table's error, so that a table of few segments may have values a little outside.

    *The running state* is ``(K, high, low)``. Octaves are taken in blocks of ``Q = 2**block``;
    the weight ``w = u << (k % Q)`` of an element is exact in its block. K is the largest k so far,
    M = floor(K / Q) its block; `high` and `low` are the sums of the weights in the blocks M and
    M - 1. An element of block m, and maximum max(k, K), changes them so:

    * m = M: ``high += w``. m = M - 1: ``low += w``. m < M - 1: nothing, it is too small.
    * m = M + 1, the sum is shifted right by one block: ``low = high``, then ``high = w``.
    * m > M + 1, it is shifted out: ``low = 0``, ``high = w``.

    At the row's end, the rest of the shift: ``S = floor((high + low / 2**Q) / 2**(K % Q))``.

    *The order of the elements does not matter*, and so neither does the number of lanes. After any
    sequence of elements, `high` and `low` are the exact sums of the weights of all elements in the
    blocks M and M - 1 of their maximum. By induction: if the block of the maximum stays, the new
    element is added to its block's sum. If it grows by one, the elements of block M - 1 are those
    that were in the maximum's block, whose sum was `high`; if it grows by more, none has been seen
    in either block. So the state is a function of the set of elements alone; states of disjoint
    sets combine by the same rule. (A sum that is shifted bit by bit, as published, loses low bits
    at each step, and depends on the order; one that drops elements against the maximum *so far*
    does, too. The final shift is done once, of the same state.)

    What is dropped of an element is at most ``u_max 2**(M Q - Q - 1)``, and the sum is at least
    ``u_min 2**(M Q)``, the maximum itself. So at most ``(length - 1) 2**-Q u_max / (2 u_min)`` of
    the sum is dropped, and nothing where all codes lie in two blocks.

    Parameters
    ----------
    input : Format
        Signed format of the logits.
    output : Format
        Unsigned format of the probabilities.
    length : int
        Elements of the longest row, a multiple of `lanes`.
    fraction : UnarySpec
        Table of 2**f; its input has only fraction bits and is unsigned, its output is unsigned.
    factor : int
        log2(e) as an integer; ``1 << factor_frac`` for ``2**(x - max(x))``, as published.
    factor_frac : int
        Fraction bits of `factor`.
    block : int
        log2 of the octaves in a block.
    reciprocal : ReciprocalSpec
        Reciprocal of S.
    lanes, mask : int, bool
        Elements a beat, and whether they can be masked.
    """

    kind = "base2"

    input: Format
    output: Format
    length: int
    fraction: UnarySpec
    factor: int
    factor_frac: int
    block: int
    reciprocal: ReciprocalSpec
    lanes: int = 1
    mask: bool = False

    def __post_init__(self) -> None:
        self.check_length()
        form = self.fraction.input
        if not self.input.signed or self.output.signed:
            raise UsageError(
                "spec: base2.input must be signed and base2.output unsigned, not "
                f"{self.input} and {self.output}"
            )
        if form.signed or form.bits != form.frac or self.fraction.output.signed:
            raise UsageError(f"spec: base2.fraction must map u*.* with no integer bits, not {form}")
        if self.factor < 1:
            raise UsageError(f"spec: base2.factor must be at least 1, not {self.factor}")
        if self.drop < 0:
            raise UsageError(
                f"spec: base2.fraction must have at most {self.input.frac + self.factor_frac} "
                f"fraction bits, not {form.frac}"
            )
        if not 1 <= self.block <= 5:
            raise UsageError(f"spec: base2.block must be 1 to 5, not {self.block}")
        if self.sum_bits > 62:
            raise UsageError(f"spec: base2 must have sums of at most 62 bits, not {self.sum_bits}")
        total = (self.fraction.output.max * self.length).bit_length()
        if self.reciprocal.input != Format(False, total, self.fraction.output.frac):
            raise UsageError(
                f"spec: base2.reciprocal must take u{total}.{self.fraction.output.frac}, "
                f"not {self.reciprocal.input}"
            )
        if self.shift < 0:
            raise UsageError(
                f"spec: base2.output must have at most {self.shift + self.output.frac} fraction "
                f"bits, not {self.output.frac}"
            )

    @property
    def drop(self) -> int:
        """Low bits of the product x * factor that the table does not see."""
        return self.input.frac + self.factor_frac - self.fraction.input.frac

    @property
    def octaves(self) -> int:
        """Q, octaves in a block."""
        return 1 << self.block

    @property
    def exponent_min(self) -> int:
        """Exponent k of the smallest logit."""
        return int(self.exponent_of(self.input.min))

    @property
    def exponent_max(self) -> int:
        """Exponent k of the largest logit."""
        return int(self.exponent_of(self.input.max))

    def exponent_of(self, code: Any) -> Any:
        """Return k of a logit; an integer or an array."""
        return code * self.factor >> (self.drop + self.fraction.input.bits)

    @property
    def sum_bits(self) -> int:
        """Bits of `high` and of `low`."""
        return ((self.fraction.output.max << (self.octaves - 1)) * self.length).bit_length()

    @property
    def shift(self) -> int:
        """Fraction bits that u * r has beyond the output."""
        return self.fraction.output.frac + self.reciprocal.output.frac - self.output.frac

    @property
    def right_max(self) -> int:
        """Largest right shift that can leave a non-zero probability; larger ones are limited."""
        product = self.fraction.output.bits + self.reciprocal.output.bits
        return max(self.shift, product + 1)

    @property
    def statistic_latency(self) -> int:
        """Stages from a row's last beat to its reciprocal.

        Multiply by log2 e; the table; weigh; accumulate; shift; the reciprocal. With several lanes
        two more: their largest k, and their sums.
        """
        trees = 2 * (self.lanes > 1)
        return 4 + trees + self.fraction.latency + self.reciprocal.latency

    @property
    def apply_latency(self) -> int:
        """Two stages from an element and its row's reciprocal: multiply; shift, round, saturate."""
        return 2

    def latency_of(self, length: int) -> int:
        """Return the clocks from a row's first beat to its first probabilities: it is read once."""
        return self.beats(length) + self.statistic_latency + self.apply_latency + 1

    def split(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return u and k of logits, int64 arrays of their shape."""
        power = (codes * self.factor) >> self.drop
        bits = self.fraction.input.bits
        return self.fraction.compute(power & ((1 << bits) - 1)), power >> bits

    def compute(self, codes: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Return the probabilities of rows of logits; see `RowSpec.compute`."""
        codes = self.check_rows(codes)
        mask = self.check_mask(codes, mask)
        u, k = self.split(codes)
        largest = np.where(mask, self.exponent_min, k).max(axis=-1, keepdims=True)
        weight = np.where(mask, 0, u << (k & (self.octaves - 1)))
        below = (largest >> self.block) - (k >> self.block)
        high = np.where(below == 0, weight, 0).sum(axis=-1, keepdims=True)
        low = np.where(below == 1, weight, 0).sum(axis=-1, keepdims=True)
        total = (high + (low >> self.octaves)) >> (largest & (self.octaves - 1))
        r = self.reciprocal.compute(total)
        right = np.clip(self.shift + largest - k, 0, self.right_max)
        return np.where(mask, 0, self.output.saturate(round_shift(u * r, right)))
