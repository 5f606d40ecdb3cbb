"""Piecewise-linear unit: magnitude, comparator tree, multiply-add, unfold, round, saturate."""

from dataclasses import dataclass

from nnlut_train.errors import UsageError
from nnlut_train.tables import PwlTable

from .pwl_steps import CLASSIC, PwlSteps
from .spec import TableSpec

__all__ = ["PwlSpec"]


@dataclass(frozen=True)
class PwlSpec(TableSpec):
    """A unary function as straight lines: NN-LUT's hardware (Yu et al., DAC 2022, Eq. 4).

    A folded table has lines of the core over the magnitude of the argument; `PwlTable.lookup` looks
    up, unfolds, rounds and saturates, in this order. Latency is 3 clocks, folded or not: what
    folding adds to the first and the last stage is about what the narrower magnitude saves there.

    Parameters
    ----------
    table : PwlTable
        Breakpoints, slopes, intercepts and fold; it also has the arithmetic.
    stages : int, optional
        Pipeline stages, from 1 to as many as `steps` has; by default the three of the paper's
        hardware.

    Raises
    ------
    UsageError
        If `stages` is out of range.
    """

    kind = "pwl"

    table: PwlTable
    stages: int | None = None

    def __post_init__(self) -> None:
        if self.table.kind != PwlTable.kind:  # what is written alike is not computed alike
            raise UsageError(f"spec: pwl.table must be of kind pwl, not {self.table.kind}")
        most = len(self.steps.names)
        if self.stages is not None and not 1 <= self.stages <= most:
            raise UsageError(f"spec: pwl.stages must be 1 to {most}, not {self.stages}")

    @property
    def steps(self) -> PwlSteps:
        """What the unit does, in order: registers can stand after each."""
        return PwlSteps(self.table)

    @property
    def latency(self) -> int:
        """One clock a stage; by default: magnitude, segment select; multiply; add, round, limit."""
        return CLASSIC if self.stages is None else self.stages
