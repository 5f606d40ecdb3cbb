"""Lines in segments that leading bits address; with a multiplier, or by adding shifted copies."""

from dataclasses import dataclass

from nnlut_train.errors import UsageError
from nnlut_train.indexed import IndexedTable, ShiftAddTable

from .indexed_steps import IndexedSteps
from .spec import TableSpec

__all__ = ["IndexedSpec", "ShiftAddSpec"]


@dataclass(frozen=True)
class IndexedSpec(TableSpec):
    """A unary function as lines, their segments addressed by the argument's leading bits.

    `IndexedTable.lookup` multiplies the low bits, adds, rounds, unfolds and saturates, in this
    order.

    Parameters
    ----------
    table : IndexedTable
        Slopes, intercepts and fold; it also has the arithmetic.
    stages : int
        Pipeline stages, from 1, whose only register is the result's, to as many as `steps` has.

    Raises
    ------
    UsageError
        If `stages` is out of range.
    """

    kind = "indexed"

    table: IndexedTable
    stages: int = 1

    def __post_init__(self) -> None:
        most = len(self.steps.names)
        if not 1 <= self.stages <= most:
            raise UsageError(f"spec: {self.kind}.stages must be 1 to {most}, not {self.stages}")

    @property
    def steps(self) -> IndexedSteps:
        """What the unit does, in order: registers can stand after each."""
        return IndexedSteps(self.table)

    @property
    def latency(self) -> int:
        """As many clocks as there are stages."""
        return self.stages


@dataclass(frozen=True)
class ShiftAddSpec(IndexedSpec):
    """The same with slopes that are sums of few signed powers of two.

    Parameters
    ----------
    table : ShiftAddTable
        Slopes, their terms, intercepts and fold; it also has the arithmetic.
    stages : int
        As of `IndexedSpec`.
    """

    kind = "shiftadd"

    table: ShiftAddTable
