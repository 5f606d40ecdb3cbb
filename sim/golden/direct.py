"""Direct table: one output code for every input code."""

from dataclasses import dataclass

import numpy as np

from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable

from .spec import UnarySpec

__all__ = ["DirectSpec"]


@dataclass(frozen=True)
class DirectSpec(UnarySpec):
    """A unary function as a table of all its values.

    Parameters
    ----------
    table : DirectTable
        The values.
    """

    kind = "direct"

    table: DirectTable

    @property
    def input(self) -> Format:
        """Format of the argument."""
        return self.table.input

    @property
    def output(self) -> Format:
        """Format of the result."""
        return self.table.output

    @property
    def latency(self) -> int:
        """One clock: the ROM's read port."""
        return 1

    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return the table's values at `codes`."""
        return self.table.lookup(codes)
