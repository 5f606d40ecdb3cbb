"""How far a unit of floating-point lines is from float64."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nnlut_train.functions import Function
from sim.golden import FloatPwlSpec

__all__ = ["FloatAccuracy", "float_accuracy"]

#: Numbers of the domain that binary32 is measured at: evenly spaced.
SAMPLE = 1 << 18


@dataclass(frozen=True)
class FloatAccuracy:
    """Absolute errors over the numbers of a function's domain.

    Steps of a floating-point number grow with it, and vanish towards 0, where lines do not: errors
    in ulp of the result would only say how small results are. What counts is the absolute error, as
    of the fixed-point units; `max_ulp` and `rms_ulp` have it in units of the format's epsilon, the
    step of results from 1 to 2.

    Parameters
    ----------
    max_abs, rms_abs : float
        Largest and root-mean-square error.
    epsilon : float
        `nnlut_train.floats.FloatFormat.epsilon`.
    worst_code : int
        Input code of the largest error.
    codes : int
        Numbers measured.
    domain : tuple of float
        ``(lo, hi)``: from where to where.
    sampled : bool
        Whether there are more numbers than were measured.
    """

    max_abs: float
    rms_abs: float
    epsilon: float
    worst_code: int
    codes: int
    domain: tuple[float, float]
    sampled: bool

    @property
    def max_ulp(self) -> float:
        """The largest error in units of epsilon."""
        return self.max_abs / self.epsilon

    @property
    def rms_ulp(self) -> float:
        """The root-mean-square error in units of epsilon."""
        return self.rms_abs / self.epsilon

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON-ready data."""
        return {"max_ulp": self.max_ulp, "rms_ulp": self.rms_ulp} | asdict(self)


def float_accuracy(spec: FloatPwlSpec, function: Function) -> FloatAccuracy:
    """Measure a unit at the numbers in ``[lo, hi]``, the domain of its function.

    binary16: at every number; binary32: at `SAMPLE` evenly spaced ones. Results that the format
    cannot hold would count as its infinity does: infinite.
    """
    form, (low, high) = spec.table.float_format, function.domain
    sampled = form.bits > 16
    if sampled:
        codes = form.pattern(np.linspace(low, high, SAMPLE))
    else:
        codes = np.arange(1 << form.bits)
        numbers = form.numbers(codes)
        codes = codes[np.isfinite(numbers) & (numbers >= low) & (numbers <= high)]
    exact = function(form.numbers(codes).astype(np.float64))
    error = np.abs(form.numbers(spec.compute(codes)).astype(np.float64) - exact)
    # Where the function has no finite value, as 1/x at 0, there is nothing to compare with.
    finite = np.isfinite(exact)
    codes, error = codes[finite], error[finite]
    worst = int(error.argmax())
    return FloatAccuracy(
        float(error[worst]), float(np.sqrt(np.mean(error**2))), form.epsilon, int(codes[worst]),
        len(codes), (float(low), float(high)), sampled,
    )  # fmt: skip
