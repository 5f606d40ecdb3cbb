"""How far a softmax is from float64."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sim.golden import SoftmaxRowSpec

from ..stimuli import Row, corner_rows, random_rows

__all__ = [
    "SoftmaxAccuracy", "protocol_rows", "softmax_accuracy", "softmax_floor", "softmax_reference",
]  # fmt: skip


@dataclass(frozen=True)
class SoftmaxAccuracy:
    """Errors over random and corner rows.

    1 ulp is one step of the output code, and 1.0 is the code ``spec.one``.

    Parameters
    ----------
    max_ulp, rms_ulp : float
        Largest and root-mean-square error of a probability.
    mse : float
        Mean squared error of a probability, as a real number.
    rows, elements : int
        How many were measured.
    flips : int
        Rows in which the largest logit did not get the largest probability.
    sum_min, sum_max : float
        Smallest and largest sum of a row's probabilities, as a real number.
    sum_excess_ulp : float
        Largest amount by which a row's sum exceeds 1 plus half an ulp an element, in ulp:
        what the rounding of the elements cannot explain.
    """

    max_ulp: float
    rms_ulp: float
    mse: float
    rows: int
    elements: int
    flips: int
    sum_min: float
    sum_max: float
    sum_excess_ulp: float

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON-ready data."""
        return asdict(self)


def softmax_reference(spec: SoftmaxRowSpec, codes: np.ndarray) -> np.ndarray:
    """Return the float64 softmax of rows of codes (..., n), limited to the largest output."""
    x = spec.input.real(codes)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.minimum(e / e.sum(axis=-1, keepdims=True), spec.output.max / spec.one)


def softmax_floor(spec: SoftmaxRowSpec, rows: list[Row]) -> float:
    """Return the mean squared error of correct rounding to the output, over rows of one length."""
    exact = softmax_reference(spec, np.stack(rows)) * spec.one
    return float(np.mean((np.floor(exact + 0.5) - exact) ** 2)) / spec.one**2


def protocol_rows(spec: SoftmaxRowSpec, length: int, count: int = 256) -> list[Row]:
    """Return `count` rows of logits from N(0, 2), seed 0: the protocol of docs/softmax.md."""
    logits = np.random.default_rng(0).normal(0.0, 2.0, (count, length))
    return list(spec.input.quantize(logits))


def softmax_accuracy(
    spec: SoftmaxRowSpec, rows: list[Row] | None = None, *, count: int = 20_000, seed: int = 0
) -> SoftmaxAccuracy:
    """Measure a softmax.

    Parameters
    ----------
    spec : SoftmaxRowSpec
        The unit: a softmax by any method.
    rows : list of int64 array, optional
        The rows; by default `count` random rows of all lengths and spreads, and the corner rows.
    count, seed : int
        Number and seed of the random rows.
    """
    if rows is None:
        rows = list(random_rows(spec, count, np.random.default_rng(seed)))
        rows += corner_rows(spec)
    by_length: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_length[len(row)].append(row)
    one, peak, squares, elements, flips = spec.one, 0.0, 0.0, 0, 0
    sums: list[float] = []
    excess = -np.inf
    for length, group in by_length.items():
        codes = np.stack(group)
        result = spec.compute(codes)
        error = np.abs(result - softmax_reference(spec, codes) * one)
        peak = max(peak, float(error.max()))
        squares += float((error**2).sum())
        elements += codes.size
        top = np.take_along_axis(result, codes.argmax(axis=1)[:, None], axis=1)[:, 0]
        flips += int((top < result.max(axis=1)).sum())
        total = result.sum(axis=1)
        sums += [float(total.min()) / one, float(total.max()) / one]
        excess = max(excess, float(total.max()) - one - length / 2)
    mean_square = squares / elements
    return SoftmaxAccuracy(
        peak, float(np.sqrt(mean_square)), mean_square / one**2, len(rows), elements, flips,
        min(sums), max(sums), excess,
    )  # fmt: skip
