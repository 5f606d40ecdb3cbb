"""How far units are from the exact layers at what their sites saw."""

from collections.abc import Sequence

import numpy as np
import torch

from hw.plan import PlannedSite, PlannedUnit
from nnlut_train.modules import NormModule, SoftmaxModule, module_of
from sim.golden import Spec

from .observe import Observation
from .scales import affine_of, norm_error, padded_rows, points_of, softmax_error

__all__ = ["Served", "input_fracs", "layer_error", "relative_errors"]

#: The sites of a unit, and what they saw.
Served = Sequence[tuple[PlannedSite, Observation]]


def input_fracs(spec: Spec, served: Served) -> list[int]:
    """Return the fraction bits of the input's codes at each site of a norm."""
    own = spec.bare.input.frac
    return [own if site.input_frac is None else site.input_frac for site, _ in served]


def layer_error(unit: PlannedUnit, served: Served) -> dict[str, float]:
    """Return the mean absolute error of a unit's results over the mean absolute exact one, by site.

    Parameters
    ----------
    unit : PlannedUnit
        The unit: its integer arithmetic is what is measured.
    served : sequence of PlannedSite and Observation
        Its sites, and all that they saw: histograms, or samples of rows.
    """
    bare = unit.spec.bare
    errors = {}
    for frac, (_, o) in zip(input_fracs(bare, served), served, strict=True):
        if not o.longest:
            x, weight = points_of(o)
            exact = unit.request.function(x)
            found = bare.output.real(bare.compute(bare.input.quantize(x)))
            total, size = weight @ np.abs(found - exact), weight @ np.abs(exact)
        else:
            found, exact = _rows(unit.spec, o, frac)
            total, size = (found - exact).abs().sum(), exact.abs().sum()
        errors[o.site] = float(total) / max(float(size), 1e-300)
    return errors


@torch.no_grad()
def _rows(spec: Spec, o: Observation, frac: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a unit's results on the rows of a site, and the exact ones."""
    module = module_of(spec)
    if isinstance(module, SoftmaxModule):
        x = padded_rows(o.rows, -float("inf"))
        return module(x).double(), torch.softmax(x.double(), -1)
    assert isinstance(module, NormModule)
    x = torch.from_numpy(np.stack([row for row in o.rows if len(row) == o.longest]))
    rows = affine_of(module, o)
    wide = (None if v is None else v.double() for v in rows)
    return module(x, *rows, input_frac=frac).double(), module.exact(x.double(), *wide, eps=o.eps)


def relative_errors(unit: PlannedUnit, served: Served) -> dict[str, float]:
    """Return what `nnlut_train.network.calibrate.plan_of` notes of row units, measured again."""
    module = module_of(unit.spec)
    if isinstance(module, SoftmaxModule):
        return {o.site: softmax_error(module, o) for _, o in served}
    if isinstance(module, NormModule):
        fracs = input_fracs(unit.spec, served)
        return {
            o.site: norm_error(module, o, frac) for frac, (_, o) in zip(fracs, served, strict=True)
        }
    return {}
