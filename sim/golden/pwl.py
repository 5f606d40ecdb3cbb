"""Piecewise-linear unit: comparator tree, multiply-add, round, saturate."""

from dataclasses import dataclass

from nnlut_train.tables import PwlTable

from .spec import TableSpec

__all__ = ["PwlSpec"]


@dataclass(frozen=True)
class PwlSpec(TableSpec):
    """A unary function as straight lines: NN-LUT's hardware (Yu et al., DAC 2022, Eq. 4).

    Parameters
    ----------
    table : PwlTable
        Breakpoints, slopes, intercepts; it also has the arithmetic.
    """

    kind = "pwl"

    table: PwlTable

    @property
    def latency(self) -> int:
        """Three clocks: segment select and coefficient read; multiply; add, round, saturate."""
        return 3
