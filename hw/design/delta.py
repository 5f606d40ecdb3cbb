"""Units of delta tables."""

from nnlut_train.delta import delta_table
from sim.golden import DeltaSpec

from .wanted import Fitting, Wanted

__all__ = ["make"]


def make(wanted: Wanted, fitting: Fitting) -> DeltaSpec:
    """Every value as the difference to the cheapest base; `wanted.fold` is not used.

    A mirror image is used inside, where it makes the differences simpler.
    """
    table = delta_table(
        wanted.name, wanted.target, wanted.inputs, wanted.output, weights=wanted.weights
    )
    return DeltaSpec(table)
