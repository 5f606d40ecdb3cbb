"""Direct table: one value for every input code, or for every magnitude."""

from dataclasses import dataclass

from nnlut_train.tables import DirectTable

from .spec import TableSpec

__all__ = ["DirectSpec"]


@dataclass(frozen=True)
class DirectSpec(TableSpec):
    """A unary function as a table of all its values.

    Without a fold, these are the output codes. A folded table has the core's values; what is looked
    up is unfolded, rounded and saturated, for which the hardware has a stage of its own: the read
    port of its ROM is a register.

    Parameters
    ----------
    table : DirectTable
        Values and fold; it also has the arithmetic.
    """

    kind = "direct"

    table: DirectTable

    @property
    def latency(self) -> int:
        """One clock: the ROM's read port; if folded, one more: unfold, round, saturate."""
        return 1 if self.table.fold is None else 2
