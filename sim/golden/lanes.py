"""Several lanes of a unary function."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.tables import Table

from .spec import Spec, UnarySpec

__all__ = ["LANES", "LanesSpec", "check_lanes"]

#: Elements that a beat may carry.
LANES = (1, 2, 4, 8, 16)


def check_lanes(spec: Spec) -> None:
    """Raise UsageError unless ``spec.lanes`` is one of `LANES`."""
    if spec.lanes not in LANES:
        raise UsageError(
            f"spec: {spec.kind}.lanes must be one of {', '.join(map(str, LANES))}, not {spec.lanes}"
        )


@dataclass(frozen=True)
class LanesSpec(Spec):
    """A unary function of several elements a beat, one copy of its unit a lane.

    Parameters
    ----------
    unit : UnarySpec
        The function; each element's result is that of one lane alone.
    lanes : int
        Elements a beat.
    """

    kind = "lanes"

    unit: UnarySpec
    lanes: int

    def __post_init__(self) -> None:
        check_lanes(self)

    @property
    def input(self) -> Format:
        """Format of the argument."""
        return self.unit.input

    @property
    def output(self) -> Format:
        """Format of the result."""
        return self.unit.output

    @property
    def user_bits(self) -> int:
        """Bits of ``tuser``: one function serves all lanes of a beat."""
        return self.unit.user_bits

    @property
    def bare(self) -> Spec:
        """The function."""
        return self.unit.bare

    def tables(self, prefix: str = "") -> Iterator[tuple[str, Table]]:
        """Yield the function's tables, once for all lanes."""
        return self.unit.tables(prefix)

    def latency_of(self, length: int) -> int:
        """Return the function's latency."""
        return self.unit.latency_of(length)

    def compute(self, codes: np.ndarray, *others: np.ndarray | None) -> np.ndarray:
        """Return the function's results."""
        return self.unit.compute(codes, *others)
