"""Scales by measured error: where rounding and saturation cost least on what a site really saw.

The largest value seen is a bad guide: it is an outlier. Each candidate is tried, and what it makes
of the observed arguments is compared with the exact function. An error is relative: the mean square
of the difference over the mean square of the exact results.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from nnlut_train.functions import Function
from nnlut_train.modules import NormModule, SoftmaxModule

from .observe import Observation

__all__ = [
    "Choice", "affine_of", "fractions", "norm_error", "norm_scales", "padded_rows", "points_of",
    "softmax_error", "unary_scales",
]  # fmt: skip

#: Points in a bin of a histogram that stand for its arguments.
POINTS = 4
#: Scales that are tried: what the largest argument takes, and so many octaves less and more.
FINER, COARSER = 6, 1
#: Fewest and most fraction bits of a unit, and of a norm's site.
LIMITS, SITE_LIMITS = (-16, 24), (-32, 32)


class Choice(NamedTuple):
    """Fraction bits, and the relative error that they were chosen for.

    Parameters
    ----------
    input_frac, output_frac : int
        Fraction bits of the codes.
    errors : dict of str to float
        Relative mean squared error by site.
    """

    input_frac: int
    output_frac: int
    errors: dict[str, float]

    @property
    def total(self) -> float:
        """Sum of the sites' errors."""
        return sum(self.errors.values())


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


def points_of(observation: Observation) -> tuple[np.ndarray, np.ndarray]:
    """Return arguments and how often they occur, in the bins of a site's histogram."""
    histogram = observation.histogram
    steps = (np.arange(POINTS) + 0.5) / POINTS
    used = histogram.counts > 0
    left, width = histogram.edges[:-1][used], np.diff(histogram.edges)[used]
    x = left[:, None] + width[:, None] * steps
    return x.ravel(), np.repeat(histogram.counts[used] / POINTS, POINTS)


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
            choice = Choice(frac, result_frac, {
                site: _relative(rounded[codes[site]], exact[site], weight)
                for site, (_, weight) in points.items()
            })  # fmt: skip
            if best is None or choice.total < best.total:
                best = choice
    return best


def _relative(found: np.ndarray, exact: np.ndarray, weight: np.ndarray) -> float:
    return float(weight @ (found - exact) ** 2 / max(weight @ exact**2, 1e-300))


def padded_rows(rows: Iterable[np.ndarray], fill: float) -> Tensor:
    """Return rows of any lengths as one float32 tensor, filled up at the right."""
    tensors = [torch.from_numpy(row) for row in rows]
    longest = max(len(row) for row in tensors)
    return torch.stack([pad(row, (0, longest - len(row)), value=fill) for row in tensors])


def softmax_error(module: SoftmaxModule, observation: Observation) -> float:
    """Return the relative error of a softmax on a site's rows."""
    x = padded_rows(observation.rows, -math.inf)
    exact = torch.softmax(x.double(), -1)
    return float(((module(x).double() - exact) ** 2).sum() / (exact**2).sum())


def affine_of(module: NormModule, observation: Observation) -> tuple[Tensor | None, Tensor | None]:
    """Return gain and offset of a site; what does nothing, where only the unit has them."""
    rows = []
    for name, values, nothing in (
        ("gamma", observation.weight, 1.0), ("beta", observation.bias, 0.0),
    ):  # fmt: skip
        if values is None and getattr(module.bare, name) is not None:
            values = torch.full((observation.longest,), nothing)
        rows.append(values)
    return tuple(rows)


@torch.no_grad()
def norm_error(module: NormModule, observation: Observation, input_frac: int) -> float:
    """Return the relative error of a norm on a site's rows, with input codes of `input_frac`."""
    x = torch.from_numpy(
        np.stack([row for row in observation.rows if len(row) == observation.longest])
    )
    rows = affine_of(module, observation)
    wide = (row if row is None else row.double() for row in rows)
    exact = module.exact(x.double(), *wide, eps=observation.eps)
    found = module(x, *rows, input_frac=input_frac).double()
    return float(((found - exact) ** 2).sum() / (exact**2).sum().clamp(min=1e-300))


def norm_scales(module: NormModule, observation: Observation) -> tuple[int, float]:
    """Choose the input scale of one site of a norm: fraction bits, and their relative error.

    The unit sees integers, and a norm does not change with the scale of its input, but for epsilon:
    so each site has its own.
    """
    largest = max(-observation.low, observation.high)
    tried = {
        frac: norm_error(module, observation, frac)
        for frac in fractions(module.bare.input.bits, largest, limits=SITE_LIMITS)
    }
    frac = min(tried, key=tried.__getitem__)
    return frac, tried[frac]
