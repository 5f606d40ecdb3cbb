"""Scales by measured error: where rounding and saturation cost least on what a site really saw.

The largest value seen is a bad guide: it is an outlier. Each candidate is tried, and what it makes
of the observed arguments is compared with the exact function. An error is relative: the mean square
of the difference over the mean square of the exact results.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nnlut_train.functions import Function
from nnlut_train.modules import NormModule

from .measured import norm_results, points_of
from .observe import Observation

__all__ = ["Choice", "fractions", "norm_scales", "unary_scales"]

#: Scales that are tried: what the largest argument takes, and so many octaves less and more.
FINER, COARSER = 6, 1
#: Fewest and most fraction bits of a unit, and of a norm's site.
LIMITS, SITE_LIMITS = (-16, 24), (-32, 32)


class Choice(NamedTuple):
    """Fraction bits, and the error that they were chosen for.

    Parameters
    ----------
    input_frac, output_frac : int
        Fraction bits of the codes.
    total : float
        Sum of the sites' relative mean squared errors: of the codes alone.
    """

    input_frac: int
    output_frac: int
    total: float


def fractions(
    bits: int, largest: float, coarser: int = COARSER, finer: int = FINER,
    limits: tuple[int, int] = LIMITS,
) -> list[int]:  # fmt: skip
    """Return fraction bits to try for codes of `bits` bits, a sign among them.

    Parameters
    ----------
    bits : int
        Width.
    largest : float
        The largest magnitude seen.
    coarser, finer : int
        How many octaves more, and less, than it takes are tried, too.
    limits : tuple of int
        Fewest and most fraction bits.
    """
    covers = bits - 1 - math.ceil(math.log2(max(largest, 2.0**-24)))
    tried = range(covers - coarser, covers + finer + 1)
    return sorted({min(max(frac, limits[0]), limits[1]) for frac in tried})


def unary_scales(
    function: Function, observations: Sequence[Observation], bits: int, output_bits: int,
    input_frac: int | None = None, output_frac: int | None = None,
) -> Choice:  # fmt: skip
    """Choose the scales of a unary function, one for all sites.

    Parameters
    ----------
    function : Function
        The function; its results are taken as exact, so that only the scales count.
    observations : sequence of Observation
        The sites.
    bits, output_bits : int
        Widths.
    input_frac, output_frac : int, optional
        Scales that are not to be chosen.
    """
    largest = max(max(-o.low, o.high) for o in observations)
    points = {o.site: points_of(o) for o in observations}
    exact = {site: function(x) for site, (x, _) in points.items()}
    peak = max(float(np.abs(y).max()) for y in exact.values())
    best = None
    inputs_tried = fractions(bits, largest) if input_frac is None else (input_frac,)
    outputs_tried = fractions(output_bits, peak) if output_frac is None else (output_frac,)
    for frac in inputs_tried:
        inputs = function.input_format(bits, frac)
        results = function(inputs.real(inputs.codes()))
        codes = {site: inputs.quantize(x) - inputs.min for site, (x, _) in points.items()}
        for result_frac in outputs_tried:
            output = function.output_format(output_bits, inputs, result_frac)
            rounded = output.real(output.quantize(results))
            total = sum(
                _relative(rounded[codes[site]], exact[site], weight)
                for site, (_, weight) in points.items()
            )
            if best is None or total < best.total:
                best = Choice(frac, result_frac, total)
    return best


def _relative(found: np.ndarray, exact: np.ndarray, weight: np.ndarray) -> float:
    return float(weight @ (found - exact) ** 2 / max(weight @ exact**2, 1e-300))


def norm_scales(module: NormModule, observation: Observation) -> tuple[int, float]:
    """Choose the input scale of one site of a norm: fraction bits, and their relative error.

    The unit sees integers, and a norm does not change with the scale of its input, but for epsilon:
    so each site has its own.
    """
    largest = max(-observation.low, observation.high)
    tried = {
        frac: norm_results(module, observation, frac).error(2)
        for frac in fractions(module.bare.input.bits, largest, limits=SITE_LIMITS)
    }
    frac = min(tried, key=tried.__getitem__)
    return frac, tried[frac]
