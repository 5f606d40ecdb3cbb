"""Piecewise-linear unit: comparator tree, multiply-add, round, saturate."""

from dataclasses import dataclass

import numpy as np

from nnlut_train.formats import Format
from nnlut_train.tables import PwlTable

from .spec import UnarySpec

__all__ = ["PwlSpec"]


@dataclass(frozen=True)
class PwlSpec(UnarySpec):
    """A unary function as straight lines: NN-LUT's hardware (Yu et al., DAC 2022, Eq. 4).

    Parameters
    ----------
    table : PwlTable
        Breakpoints, slopes, intercepts.
    """

    kind = "pwl"

    table: PwlTable

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
        """Three clocks: segment select and coefficient read; multiply; add, round, saturate."""
        return 3

    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return ``saturate(round_shift(slope * q + (intercept << align), shift))``."""
        return self.table.lookup(codes)
