"""Units around a unit: what they compute is what that one computes."""

from collections.abc import Iterator

import numpy as np

from nnlut_train.formats import Format
from nnlut_train.tables import Table

from .spec import Spec

__all__ = ["WrapperSpec"]


class WrapperSpec(Spec):
    """A unit that changes only the interface of another; subclasses are frozen dataclasses.

    Attributes
    ----------
    unit : Spec
        The other unit; a field of the subclass.
    """

    unit: Spec

    @property
    def input(self) -> Format:
        """Format of the unit's input."""
        return self.unit.input

    @property
    def output(self) -> Format:
        """Format of the unit's output."""
        return self.unit.output

    @property
    def user_bits(self) -> int:
        """Bits of ``tuser`` of the unit."""
        return self.unit.user_bits

    @property
    def longest(self) -> int:
        """Elements of the longest row of the unit, or 0."""
        return self.unit.longest

    @property
    def bare(self) -> Spec:
        """What the unit computes."""
        return self.unit.bare

    def latency_of(self, length: int) -> int:
        """Return that of the unit."""
        return self.unit.latency_of(length)

    def compute(self, codes: np.ndarray, *others: np.ndarray | None) -> np.ndarray:
        """Return what the unit computes."""
        return self.unit.compute(codes, *others)

    def tables(self, prefix: str = "") -> Iterator[tuple[str, Table]]:
        """Yield ``(name, table)`` of every table of the unit, under the unit's names."""
        return self.unit.tables(prefix)
