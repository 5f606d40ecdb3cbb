"""Piecewise-linear unit: magnitude, comparator tree, multiply-add, unfold, round, saturate."""

from dataclasses import dataclass

from nnlut_train.tables import PwlTable

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
    """

    kind = "pwl"

    table: PwlTable

    @property
    def latency(self) -> int:
        """Three clocks: magnitude, segment select; multiply; add, unfold, round, saturate."""
        return 3
