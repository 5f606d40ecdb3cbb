"""What the two softmaxes of Vasyltsov & Chang have in common: one table in place of the division.

"Efficient Softmax Approximation for Deep Neural Networks with Attention Mechanism", arXiv
2111.10770. Formulas and shapes of the tables are those of a public re-implementation that cites
sections 4.1 and 4.2. What the text leaves open is settled in docs/softmax_methods.md.
"""

from abc import abstractmethod

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format, round_divide
from nnlut_train.tables import DirectTable

from .rows import SoftmaxRowSpec

__all__ = ["LutSoftmaxSpec"]


class LutSoftmaxSpec(SoftmaxRowSpec):
    """A softmax by tables alone: of exp(-d), and of what the sum of a row makes of it.

    The probability 1.0 is the largest output code, `one`: ``2**w - 1``, w being the bits of the
    output without a sign. Subclasses are frozen dataclasses with the fields below.

    Attributes
    ----------
    input : Format
        Signed format of the logits.
    output : Format
        Format of the probabilities, and of the values of both tables.
    exp : DirectTable
        exp(-d) in units of `one`, by `exp_index`.
    sums : int
        Rows' sums of exponentials, 1 to so many, that the other table tells apart. A sum is rounded
        to the nearest integer; a larger one is taken for the largest.
    """

    exp: DirectTable
    sums: int

    def check_tables(self) -> None:
        """Raise UsageError unless the fields go together; for ``__post_init__``."""
        self.check_length()
        if not self.input.signed:
            raise UsageError(f"spec: {self.kind}.input must be signed, not {self.input}")
        if self.sums < 1:
            raise UsageError(f"spec: {self.kind}.sums must be at least 1, not {self.sums}")
        for name, address in self.addresses.items():
            table = getattr(self, name)
            wanted = (Format(False, address, 0), self.output, None)
            if (table.input, table.output, table.fold) != wanted:
                raise UsageError(
                    f"spec: {self.kind}.{name} must map {wanted[0]} to {self.output} without a "
                    f"fold, not {table.input} to {table.output}"
                )
            if min(table.values) < 0:
                raise UsageError(
                    f"spec: {self.kind}.{name} must have values of at least 0, not "
                    f"{min(table.values)}"
                )

    @property
    def one(self) -> int:
        """Output code of 1.0: the largest."""
        return self.output.max

    @property
    def output_scale(self) -> float:
        """Real value of one step of the output code: not a power of two."""
        return 1 / self.one

    @property
    def table_bytes(self) -> int:
        """Bytes of the tables as the paper counts them: whole bytes a value, and no padding."""
        return sum(self.entries.values()) * -(-self.output.bits // 8)

    @property
    @abstractmethod
    def entries(self) -> dict[str, int]:
        """Values of each table by its name, without those that fill it up to a power of two."""

    @property
    @abstractmethod
    def addresses(self) -> dict[str, int]:
        """Bits of each table's argument, by its name."""

    @abstractmethod
    def exp_index(self, distance: np.ndarray) -> np.ndarray:
        """Return where `exp` has exp(-d), of codes d of the input's scale; limited to its last."""

    @abstractmethod
    def share(self, exponentials: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return the probabilities of `exponentials` in rows whose `sums` are 1 to ``self.sums``.

        The arrays are broadcast against each other.
        """

    def latency_of(self, length: int) -> int:
        """Return the clocks from a row's first beat to its first probabilities.

        The row is read once for its maximum and once for its sum. Nine clocks are those of the
        accumulators, the row buffers, the division of the sum, and the tables; with several lanes,
        maximum and sum take a tree each.
        """
        return 2 * self.beats(length) + 2 * (self.lanes > 1) + 9

    def compute(self, codes: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Return the probabilities of rows of logits; see `RowSpec.compute`."""
        codes = self.check_rows(codes)
        mask = self.check_mask(codes, mask)
        e = np.where(mask, 0, self.exp.lookup(self.exp_index(self.distances(codes, mask))))
        total = round_divide(e.sum(axis=-1, keepdims=True), self.one)
        return np.where(mask, 0, self.share(e, np.clip(total, 1, self.sums)))
