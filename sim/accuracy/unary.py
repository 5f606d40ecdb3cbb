"""How far a unary unit is from float64."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nnlut_train.formats import ENUMERATED_BITS
from nnlut_train.functions import Function
from sim.golden import UnarySpec

from ..sampling import sample_codes

__all__ = ["SAMPLE", "UnaryAccuracy", "unary_accuracy"]

#: Random codes of a unit with too many codes to measure all.
SAMPLE = 1 << 18


@dataclass(frozen=True)
class UnaryAccuracy:
    """Errors over every input code, or over a sample.

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
    """Measure a unary unit at every input code.

    Of more than `nnlut_train.formats.ENUMERATED_BITS` input bits, at a sample: both ends, zero and
    every segment boundary with their neighbours, 2**16 evenly spaced codes, and `SAMPLE` random
    ones of seed 0. Its largest error is no bound.
    """
    codes = spec.input.grid()
    sampled = spec.input.bits > ENUMERATED_BITS
    if sampled:
        codes = np.union1d(codes, sample_codes(spec, SAMPLE, np.random.default_rng(0)))
    exact = function(spec.input.real(codes))
    wanted = spec.output.clip(exact)
    error = np.abs(spec.output.real(spec.compute(codes)) - wanted) / spec.output.scale
    worst = int(error.argmax())
    return UnaryAccuracy(
        float(error[worst]), float(np.sqrt(np.mean(error**2))), int(codes[worst]), len(codes),
        int((exact != wanted).sum()), sampled,
    )  # fmt: skip
