"""How far each function of a shared unit is from float64."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlut_train.functions import Function
from sim.golden import PwlSpec, SharedSpec

from .unary import UnaryAccuracy, unary_accuracy

__all__ = ["SharedAccuracy", "shared_accuracy"]


@dataclass(frozen=True)
class SharedAccuracy:
    """Errors over every input code of every function.

    Parameters
    ----------
    functions : dict of str to UnaryAccuracy
        Those of each function, by its name, in the order of their numbers.
    """

    functions: dict[str, UnaryAccuracy]

    @property
    def max_ulp(self) -> float:
        """The largest error of any function, in ulp of that function's output."""
        return max(one.max_ulp for one in self.functions.values())

    @property
    def rms_ulp(self) -> float:
        """Root-mean-square error over all functions' codes."""
        squares = [one.rms_ulp**2 * one.codes for one in self.functions.values()]
        return float(np.sqrt(sum(squares) / self.codes))

    @property
    def codes(self) -> int:
        """Pairs of function and input code that were measured."""
        return sum(one.codes for one in self.functions.values())

    @property
    def sampled(self) -> bool:
        """Whether there are too many codes to measure all of them."""
        return any(one.sampled for one in self.functions.values())

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON-ready data."""
        own = {name: getattr(self, name) for name in ("max_ulp", "rms_ulp", "codes", "sampled")}
        return own | {"functions": {name: one.to_json() for name, one in self.functions.items()}}


def shared_accuracy(spec: SharedSpec, functions: Sequence[Function]) -> SharedAccuracy:
    """Measure each function of a shared unit, as a unit of its own.

    Parameters
    ----------
    spec : SharedSpec
        The unit.
    functions : sequence of Function
        What its tables stand for, in their order.
    """
    return SharedAccuracy({
        function.name: unary_accuracy(PwlSpec(table), function)
        for table, function in zip(spec.functions, functions, strict=True)
    })  # fmt: skip
