"""Minimised tables from what is wanted."""

from nnlut_train.logic import TARGETS
from nnlut_train.minimised import minimised_table
from sim.golden import MinimisedSpec

from .wanted import Fitting, Wanted

__all__ = ["make"]


def make(wanted: Wanted, fitting: Fitting) -> MinimisedSpec:
    """Return the unit of the smallest logic that was found; `wanted.fold` is not used.

    A mirror image is found by the search itself where it pays, at no cost in clocks.
    """
    table = minimised_table(
        wanted.name, wanted.target, wanted.inputs, wanted.output, logic=fitting.logic,
        max_error=fitting.freedom, weights=wanted.weights, seed=fitting.seed,
        progress=fitting.progress,
    )  # fmt: skip
    return MinimisedSpec(table, TARGETS[fitting.logic].lut)
