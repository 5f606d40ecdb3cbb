"""Direct table: one output code for every input code."""

from dataclasses import dataclass

from nnlut_train.tables import DirectTable

from .spec import TableSpec

__all__ = ["DirectSpec"]


@dataclass(frozen=True)
class DirectSpec(TableSpec):
    """A unary function as a table of all its values.

    Parameters
    ----------
    table : DirectTable
        The values.
    """

    kind = "direct"

    table: DirectTable

    @property
    def latency(self) -> int:
        """One clock: the ROM's read port."""
        return 1
