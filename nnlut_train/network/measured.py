"""How far units are from the exact layers at what their sites saw."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from hw.plan import PlannedSite, PlannedUnit
from nnlut_train.modules import NormModule, SoftmaxModule, module_of

from .observe import Observation

__all__ = [
    "Measured", "Served", "affine_of", "input_fracs", "layer_error", "norm_results", "padded_rows",
    "points_of", "relative_errors", "softmax_results",
]  # fmt: skip

#: Points in a bin of a histogram that stand for its arguments.
POINTS = 4

#: The sites of a unit, and what they saw.
Served = Sequence[tuple[PlannedSite, Observation]]


class Measured(NamedTuple):
    """A unit's results beside the exact ones.

    Parameters
    ----------
    found, exact : float64 tensor
        Of one shape.
    weight : float64 tensor
        How often each counts; of their shape, or a scalar.
    """

    found: Tensor
    exact: Tensor
    weight: Tensor = torch.ones((), dtype=torch.float64)

    def error(self, power: int) -> float:
        """Return the mean of abs(found - exact)**power over that of abs(exact)**power."""
        off, size = (
            float((self.weight * values.abs() ** power).sum())
            for values in (self.found - self.exact, self.exact)
        )
        return off / max(size, 1e-300)


def points_of(observation: Observation) -> tuple[np.ndarray, np.ndarray]:
    """Return arguments and how often they occur, in the bins of a site's histogram."""
    histogram = observation.histogram
    steps = (np.arange(POINTS) + 0.5) / POINTS
    used = histogram.counts > 0
    left, width = histogram.edges[:-1][used], np.diff(histogram.edges)[used]
    x = left[:, None] + width[:, None] * steps
    return x.ravel(), np.repeat(histogram.counts[used] / POINTS, POINTS)


def padded_rows(rows: Iterable[np.ndarray], fill: float) -> Tensor:
    """Return rows of any lengths as one float32 tensor, filled up at the right."""
    tensors = [torch.from_numpy(row) for row in rows]
    longest = max(len(row) for row in tensors)
    return torch.stack([pad(row, (0, longest - len(row)), value=fill) for row in tensors])


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


def softmax_results(module: SoftmaxModule, observation: Observation) -> Measured:
    """Return the results of a softmax on a site's rows."""
    x = padded_rows(observation.rows, -math.inf)
    return Measured(module(x).double(), torch.softmax(x.double(), -1))


@torch.no_grad()
def norm_results(module: NormModule, observation: Observation, input_frac: int) -> Measured:
    """Return the results of a norm on a site's rows, with input codes of `input_frac`."""
    x = torch.from_numpy(
        np.stack([row for row in observation.rows if len(row) == observation.longest])
    )
    rows = affine_of(module, observation)
    wide = (row if row is None else row.double() for row in rows)
    exact = module.exact(x.double(), *wide, eps=observation.eps)
    return Measured(module(x, *rows, input_frac=input_frac).double(), exact)


def input_fracs(unit: PlannedUnit, served: Served) -> list[int]:
    """Return the fraction bits of the input's codes at each site of a unit."""
    own = unit.spec.input.frac
    return [own if site.input_frac is None else site.input_frac for site, _ in served]


def _results(unit: PlannedUnit, served: Served) -> dict[str, Measured]:
    """Return a unit's results, by its own integer arithmetic, at all that its sites saw."""
    module, found = module_of(unit.spec), {}
    for frac, (_, o) in zip(input_fracs(unit, served), served, strict=True):
        if isinstance(module, SoftmaxModule):
            found[o.site] = softmax_results(module, o)
        elif isinstance(module, NormModule):
            found[o.site] = norm_results(module, o, frac)
        else:
            x, weight = points_of(o)
            bare = module.bare
            y = bare.compute(bare.input.quantize(x)) * bare.output_scale
            arrays = y, unit.request.function(x), weight
            found[o.site] = Measured(*map(torch.from_numpy, arrays))
    return found


def layer_error(unit: PlannedUnit, served: Served) -> dict[str, float]:
    """Return the mean absolute error of a unit's results over the mean absolute exact one, by site.

    Parameters
    ----------
    unit : PlannedUnit
        The unit, of one operation: its integer arithmetic is what is measured.
    served : sequence of PlannedSite and Observation
        Its sites, and all that they saw: histograms, or samples of rows.
    """
    return {site: each.error(1) for site, each in _results(unit, served).items()}


def relative_errors(unit: PlannedUnit, served: Served) -> dict[str, float]:
    """Return the mean squared error over the mean square of the exact results, by site.

    Parameters
    ----------
    unit, served
        See `layer_error`.
    """
    return {site: each.error(2) for site, each in _results(unit, served).items()}
