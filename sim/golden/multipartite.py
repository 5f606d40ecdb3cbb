"""Multipartite unit: initial values and offsets looked up side by side, added, saturated."""

from dataclasses import dataclass

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.multipartite import MultipartiteTable

from .indexed_steps import MultipartiteSteps
from .spec import TableSpec

__all__ = ["MultipartiteSpec"]


@dataclass(frozen=True)
class MultipartiteSpec(TableSpec):
    """A unary function as tables that are added; see `MultipartiteTable`, which has the arithmetic.

    Parameters
    ----------
    table : MultipartiteTable
        How the argument is cut, initial values, offsets, and fold.
    stages : int
        Pipeline stages, from 1, whose only register is the result's, to as many as `steps` has.
        With a register behind the tables, FPGAs may put them into block RAM.

    Raises
    ------
    UsageError
        If `stages` is out of range.
    """

    kind = "multipartite"

    table: MultipartiteTable
    stages: int = 1

    def __post_init__(self) -> None:
        most = len(self.steps.names)
        if not 1 <= self.stages <= most:
            raise UsageError(f"spec: multipartite.stages must be 1 to {most}, not {self.stages}")

    @property
    def steps(self) -> MultipartiteSteps:
        """What the unit does, in order: registers can stand after each."""
        return MultipartiteSteps(self.table)

    @property
    def latency(self) -> int:
        """As many clocks as there are stages."""
        return self.stages

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return which initial value serves each code, below 0 where the argument is folded."""
        codes = np.asarray(codes)
        arguments = codes if self.table.fold is None else self.table.fold.arguments(codes)
        head = arguments - self.table.argument.min >> sum(self.table.pieces)
        return head if self.table.fold is None else np.where(codes < 0, -1 - head, head)
