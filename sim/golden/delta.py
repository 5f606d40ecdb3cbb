"""Delta table: a cheap base, and the difference of a function to it looked up and added."""

from dataclasses import dataclass

import numpy as np

from nnlut_train.delta import DeltaTable

from .spec import TableSpec

__all__ = ["DeltaSpec"]


@dataclass(frozen=True)
class DeltaSpec(TableSpec):
    """A unary function as a base and residuals, correctly rounded.

    Parameters
    ----------
    table : DeltaTable
        Base, levels and residuals; it also has the arithmetic.
    """

    kind = "delta"

    table: DeltaTable

    @property
    def latency(self) -> int:
        """One clock: the register behind the sum."""
        return 1

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return -1 below the window, 1 above, 0 in it, where every code has its own residual."""
        codes = np.asarray(codes, np.int64)
        first = self.table.first
        return (codes >= first + len(self.table.residuals)).astype(np.int64) - (codes < first)
