"""Softmax without a maximum: exponentials as floating-point numbers, summed exactly."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_shift

from .normalise import normalise
from .rows import SoftmaxRowSpec
from .spec import UnarySpec

__all__ = ["KulischSpec"]


@dataclass(frozen=True)
class KulischSpec(SoftmaxRowSpec):
    """``p = u 2**k / sum(u 2**k)`` with ``exp(x) ~ u 2**k``: one pass over a row, and no maximum.

    A maximum is subtracted so that exponentials do not overflow. As floating-point numbers they do
    not: each is an exponent k >= 0 and a mantissa u in [1, 2), looked up together. The sum is a
    fixed-point number so wide that it is exact for every row, as in the accumulator of Kulisch
    (Computer Arithmetic and Validity, 2013, chapter 8); so the order of the elements, and the
    number of lanes, make no difference. For logits that reach from -8 to 8 the exponents span 24
    octaves: with 8 bits of u below its leading one and rows of 64 that is a sum of 38 bits.

    The sum is normalised to ``S = m 2**e``, m in [1, 2); a table has ``r = 1 / m`` of the leading
    bits of m. A probability is ``u r 2**(k - e)``: a product and a right shift, as k <= e.

    Parameters
    ----------
    input : Format
        Signed format of the logits.
    output : Format
        Unsigned format of the probabilities.
    length : int
        Elements of the longest row, a multiple of `lanes`.
    exp : UnarySpec
        Table of the exponentials as floating-point numbers, of any common scale: the integer bits
        of its unsigned result are k, and its fraction bits the bits of u below the leading one.
    reciprocal : UnarySpec
        Table of 1/m: from the bits of m below the leading one, which are its fraction bits, to
        1/2 to 1; so the highest fraction bit of every result is 1.
    lanes, mask : int, bool
        Elements a beat, and whether they can be masked.
    """

    kind = "kulisch"

    input: Format
    output: Format
    length: int
    exp: UnarySpec
    reciprocal: UnarySpec
    lanes: int = 1
    mask: bool = False

    def __post_init__(self) -> None:
        self.check_length()
        if not self.input.signed or self.output.signed:
            raise UsageError(
                "spec: kulisch.input must be signed and kulisch.output unsigned, not "
                f"{self.input} and {self.output}"
            )
        form = self.exp.output
        if self.exp.input != self.input or form.signed or not 1 <= form.frac < form.bits:
            raise UsageError(
                f"spec: kulisch.exp must map {self.input} to u*.* with integer and fraction bits, "
                f"not {self.exp.input} to {form}"
            )
        form = self.reciprocal.input
        if form.signed or form.bits != form.frac:
            raise UsageError(
                f"spec: kulisch.reciprocal must take u*.* with no integer bits, not {form}"
            )
        form = self.reciprocal.output
        if form.signed or form.bits != form.frac or int(self._reciprocals.min()) <= form.max >> 1:
            raise UsageError(
                "spec: kulisch.reciprocal must give u*.* with no integer bits, at least 0.5, "
                f"not {form}, at least {form.real(int(self._reciprocals.min())):g}"
            )
        if self.sum_bits > 62:
            raise UsageError(
                f"spec: kulisch must have sums of at most 62 bits, not {self.sum_bits}"
            )
        if self.shift < 1:
            raise UsageError(
                f"spec: kulisch.output must have at most {self.shift + self.output.frac - 1} "
                f"fraction bits, not {self.output.frac}"
            )

    @cached_property
    def _floats(self) -> np.ndarray:
        """Exponentials of all codes, as `exp` has them; of the smallest logit first."""
        return self.exp.compute(self.input.codes())

    @cached_property
    def _reciprocals(self) -> np.ndarray:
        return self.reciprocal.compute(self.reciprocal.input.codes())

    @property
    def fraction_bits(self) -> int:
        """Bits of u below the leading one."""
        return self.exp.output.frac

    @cached_property
    def exponent_max(self) -> int:
        """Largest k that an exponential has."""
        return int(self._floats.max()) >> self.fraction_bits

    @cached_property
    def sum_bits(self) -> int:
        """Bits of the sum."""
        u, k = self.split(self.input.codes())
        return (int((u << k).max()) * self.length).bit_length()

    @property
    def width(self) -> int:
        """Bits of the normalised sum: where the table sees more bits than there are, they are 0."""
        return max(self.sum_bits, self.reciprocal.input.bits + 1)

    @property
    def shift(self) -> int:
        """Fraction bits that u * r has beyond the output."""
        return self.fraction_bits + self.reciprocal.output.frac - self.output.frac

    @property
    def below_max(self) -> int:
        """Least distance ``e - k`` at which every probability is 0; larger ones are limited."""
        return self.output.frac + 2

    @property
    def accumulate_latency(self) -> int:
        """Stages to the sum.

        Exponential; shift by the low bits of k; with several lanes, add them; shift by the high
        bits, and accumulate.
        """
        return self.exp.latency + 2 + (self.lanes > 1)

    @property
    def statistic_latency(self) -> int:
        """Stages from a row's last beat to its reciprocal.

        The sum; shift out leading zeros by groups; the rest of them; the table.
        """
        return self.accumulate_latency + 2 + self.reciprocal.latency

    @property
    def apply_latency(self) -> int:
        """Stages from an element and its row's reciprocal to its probability.

        Distance; multiply; shift; round and saturate.
        """
        return 4

    def latency_of(self, length: int) -> int:
        """Return the clocks from a row's first beat to its first probabilities: it is read once."""
        return self.beats(length) + self.statistic_latency + self.apply_latency - 1

    def split(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return u, with `fraction_bits` below its leading one, and k: int64, like `codes`."""
        floats = self._floats[np.asarray(codes) - self.input.min]
        one = 1 << self.fraction_bits
        return one + (floats & (one - 1)), floats >> self.fraction_bits

    def normalised(self, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the reciprocals r and the exponents e of sums: int64 arrays of their shape.

        e counts from the lowest bit of u: a sum of one exponential has e = k + `fraction_bits`.
        """
        width, bits = self.width, self.reciprocal.input.bits
        pad = width - self.sum_bits
        normal, steps = normalise(total << pad, width, 1, width - 1)
        window = (normal >> (width - 1 - bits)) & ((1 << bits) - 1)
        return self._reciprocals[window], self.sum_bits - 1 - steps

    def compute(self, codes: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Return the probabilities of rows of logits; see `RowSpec.compute`."""
        codes = self.check_rows(codes)
        mask = self.check_mask(codes, mask)
        u, k = self.split(codes)
        total = np.where(mask, 0, u << k).sum(axis=-1, keepdims=True)
        r, e = self.normalised(total)
        below = np.clip(e - self.fraction_bits - k, 0, self.below_max)
        return np.where(mask, 0, self.output.saturate(round_shift(u * r, self.shift + below)))
