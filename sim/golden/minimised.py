"""Minimised table: every value of a function, as a logic network."""

from dataclasses import dataclass

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.minimised import MinimisedTable

from .spec import TableSpec

__all__ = ["MinimisedSpec"]


@dataclass(frozen=True)
class MinimisedSpec(TableSpec):
    """A unary function as a network of logic nodes.

    Parameters
    ----------
    table : MinimisedTable
        The network; it also has the arithmetic.
    lut : int
        Inputs of the LUT that its nodes are made for, 4 or 6; synthesis is to keep such nodes as
        they are. 0: gates, which it may restructure.

    Raises
    ------
    UsageError
        If `lut` is none of these.
    """

    kind = "minimised"

    table: MinimisedTable
    lut: int = 0

    def __post_init__(self) -> None:
        if self.lut not in (0, 4, 6):
            raise UsageError(f"spec: minimised.lut must be 0, 4 or 6, not {self.lut}")

    @property
    def latency(self) -> int:
        """One clock: the register behind the logic."""
        return 1

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return 0 throughout: every code has a value of its own."""
        return np.zeros(np.shape(codes), dtype=np.int64)
