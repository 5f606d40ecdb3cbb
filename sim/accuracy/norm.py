"""How far a LayerNorm or an RMSNorm is from float64."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sim.golden import NormRowSpec

from ..stimuli import Row

__all__ = [
    "NormAccuracy", "norm_accuracy", "norm_corner_rows", "norm_floor", "norm_protocol_rows",
    "norm_random_rows", "norm_reference",
]  # fmt: skip

#: Random rows of one length that are drawn and computed at once.
_GROUP = 32


@dataclass(frozen=True)
class NormAccuracy:
    """Errors over random and corner rows.

    Parameters
    ----------
    max_ulp, rms_ulp : float
        Largest and root-mean-square error of a result.
    mse : float
        Mean squared error of a result, as a real number.
    rows, elements : int
        How many were measured.
    clipped : int
        Elements whose exact result the output cannot hold; they count as its limit.
    """

    max_ulp: float
    rms_ulp: float
    mse: float
    rows: int
    elements: int
    clipped: int

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON-ready data."""
        return asdict(self)


def norm_reference(spec: NormRowSpec, codes: np.ndarray) -> np.ndarray:
    """Return the float64 results of rows, not limited to the output's range.

    Gamma, beta and epsilon are those of the unit. Sums are of integers, and exact: float64 has its
    first rounding in the root.

    Parameters
    ----------
    spec : NormRowSpec
        The unit.
    codes : int array, shape (..., n)
        Rows of n input codes.

    Returns
    -------
    float64 array, same shape
        Real numbers; 0 / 0, of variance 0 and without epsilon, is 0.
    """
    codes = np.asarray(codes, dtype=np.int64)
    n = codes.shape[-1]
    total = codes.sum(axis=-1, keepdims=True) * spec.centred
    numerator = n * codes - total
    variance = n * (codes**2).sum(axis=-1, keepdims=True) - total**2
    root = np.sqrt(variance + n * n * (spec.eps / 2.0**spec.eps_frac))
    # Of variance 0 and without epsilon, 0 / 0 is 0: see NormSpec.
    result = numerator / np.where(numerator == 0, 1.0, root)
    if spec.gamma is not None:
        result = result * spec.gamma.output.real(spec.gamma.values)[:n]
    if spec.beta is not None:
        result = result + spec.beta.output.real(spec.beta.values)[:n]
    return result


def norm_floor(spec: NormRowSpec, codes: np.ndarray) -> float:
    """Return the mean squared error of correct rounding, as a real number."""
    exact = norm_reference(spec, codes)
    rounded = spec.output.real(spec.output.quantize(exact))
    return float(np.mean((rounded - spec.output.clip(exact)) ** 2))


def norm_protocol_rows(spec: NormRowSpec, length: int, count: int = 256) -> np.ndarray:
    """Return `count` rows from N(0, 2), seed 0: the protocol of docs/layernorm.md."""
    return spec.input.quantize(np.random.default_rng(0).normal(0.0, 2.0, (count, length)))


def norm_random_rows(
    spec: NormRowSpec, count: int, rng: np.random.Generator, *, heavy: bool = False
) -> Iterator[np.ndarray]:
    """Yield random rows of every length and scale.

    One half is from Student's t distribution with 3 degrees of freedom, which has outliers; a
    quarter each is normal and uniform. Scales are spread evenly over all powers of two that the
    input has; centres over a quarter of its range.

    Parameters
    ----------
    spec : NormRowSpec
        The unit.
    count : int
        How many rows, in all groups together.
    rng : numpy.random.Generator
        Where they come from.
    heavy : bool
        All rows are from the t distribution, and have at least 3 elements if the unit takes them.

    Yields
    ------
    int64 array, shape (rows, n)
        Input codes of up to 32 rows of one length n, 1 to ``spec.length``; short ones are as
        frequent as long ones.
    """
    for start in range(0, count, _GROUP):
        low, rows = min(3 if heavy else 1, spec.length), min(_GROUP, count - start)
        # Short rows are as frequent as long ones.
        n = round(np.exp(rng.uniform(np.log(low), np.log(spec.length))))
        draw = 0 if heavy else int(rng.integers(4))
        if draw < 2:
            values = rng.standard_t(3.0, (rows, n))
        elif draw == 2:
            values = rng.normal(size=(rows, n))
        else:
            values = rng.uniform(-1.0, 1.0, (rows, n))
        scale = 2.0 ** rng.uniform(-1.0, spec.input.bits - 1, (rows, 1))
        centre = rng.uniform(-0.25, 0.25, (rows, 1)) * spec.input.max
        yield spec.input.saturate(np.rint(values * scale + centre).astype(np.int64))


def norm_corner_rows(spec: NormRowSpec) -> Iterator[Row]:
    """Yield the rows that strain a norm most, in rows of the maximum length and short ones.

    Constant rows (no variance), one outlier of full scale, alternating extremes, one element one
    code above all others (the smallest variance there is), a ramp, length 1.
    """
    low, high = spec.input.min, spec.input.max
    for n in sorted({1, min(2, spec.length), min(3, spec.length), spec.length}):
        for code in (low, -1, 0, 1, high):
            yield np.full(n, code)
        for base, other in ((low, high), (high, low), (0, high), (0, low), (0, 1), (0, -1),
                            (high - 1, high), (low + 1, low)):  # fmt: skip
            row = np.full(n, base)
            row[n // 2] = other
            yield row
            yield np.where(np.arange(n) % 2 == 1, base, other)
        yield np.linspace(low, high, n).astype(np.int64)


def norm_accuracy(
    spec: NormRowSpec, rows: list[Row] | np.ndarray | None = None, *, count: int = 2_000,
    seed: int = 0,
) -> NormAccuracy:  # fmt: skip
    """Measure a LayerNorm or an RMSNorm.

    Parameters
    ----------
    spec : NormRowSpec
        The unit.
    rows : sequence of int64 array, optional
        The rows, of any lengths; by default `count` random rows and the corner rows.
    count, seed : int
        Number and seed of the random rows.
    """
    if rows is None:
        groups = list(norm_random_rows(spec, count, np.random.default_rng(seed)))
        groups += [row[None] for row in norm_corner_rows(spec)]
    else:
        groups = [np.asarray(row)[None] for row in rows] if isinstance(rows, list) else [rows]
    ulp, peak, squares, elements, clipped = spec.output.scale, 0.0, 0.0, 0, 0
    for codes in groups:
        exact = norm_reference(spec, codes)
        wanted = spec.output.clip(exact)
        error = np.abs(spec.output.real(spec.compute(codes)) - wanted) / ulp
        peak = max(peak, float(error.max()))
        squares += float((error**2).sum())
        elements += codes.size
        clipped += int((exact != wanted).sum())
    mean_square = squares / elements
    return NormAccuracy(
        peak, float(np.sqrt(mean_square)), mean_square * ulp**2, sum(map(len, groups)), elements,
        clipped,
    )  # fmt: skip
