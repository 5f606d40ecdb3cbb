"""How far a unary unit is from float64."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nnlut_train.functions import Function
from sim.golden import UnarySpec

__all__ = ["UnaryAccuracy", "unary_accuracy"]


@dataclass(frozen=True)
class UnaryAccuracy:
    """Errors over every input code.

    Parameters
    ----------
    max_ulp, rms_ulp : float
        Largest and root-mean-square error.
    worst_code : int
        Input code of the largest error.
    codes : int
        Input codes measured.
    clipped : int
        Input codes whose exact result the output format cannot hold; they count as its limit.
    sampled : bool
        Whether there are too many codes to measure all of them.
    """

    max_ulp: float
    rms_ulp: float
    worst_code: int
    codes: int
    clipped: int
    sampled: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON-ready data."""
        return asdict(self)


def unary_accuracy(spec: UnarySpec, function: Function) -> UnaryAccuracy:
    """Measure a unary unit at every input code."""
    codes = spec.input.codes()
    exact = function(spec.input.real(codes))
    wanted = spec.output.clip(exact)
    error = np.abs(spec.output.real(spec.compute(codes)) - wanted) / spec.output.scale
    worst = int(error.argmax())
    return UnaryAccuracy(
        float(error[worst]), float(np.sqrt(np.mean(error**2))), int(codes[worst]), len(codes),
        int((exact != wanted).sum()),
    )  # fmt: skip
