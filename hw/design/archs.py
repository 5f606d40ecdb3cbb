"""The architectures: the ways in which a unit can hold one table."""

from collections.abc import Mapping
from types import MappingProxyType

from nnlut_train import fit
from nnlut_train.direct import direct_table
from nnlut_train.fit.making import make_problem
from sim.golden import DirectSpec, PwlSpec, UnarySpec

from . import delta, indexed, minimised, multipartite
from .wanted import Fitting, Maker, Wanted

__all__ = ["MAKERS"]


def _pwl(wanted: Wanted, fitting: Fitting) -> UnarySpec:
    """Lines between learned breakpoints."""
    problem = make_problem(
        wanted.name, wanted.target, wanted.inputs, wanted.output, wanted.entries, wanted.reference,
        fold=wanted.fold, weights=wanted.weights, objective=wanted.objective,
        nn_signs=wanted.nn_signs,
    )  # fmt: skip
    table = fit.fit(problem, fitting.method, seed=fitting.seed, progress=fitting.progress)
    return PwlSpec(table)


def _direct(wanted: Wanted, fitting: Fitting) -> UnarySpec:
    """Every value."""
    table = direct_table(
        wanted.name, wanted.target, wanted.inputs, wanted.output, weights=wanted.weights,
        fold=wanted.fold,
    )  # fmt: skip
    return DirectSpec(table)


#: From a name of `hw.choices.ARCHS` to what makes the unit.
MAKERS: Mapping[str, Maker] = MappingProxyType(
    {
        "pwl": _pwl,
        "direct": _direct,
        "indexed": indexed.make,
        "shiftadd": indexed.make_shiftadd,
        "delta": delta.make,
        "minimised": minimised.make,
        "multipartite": multipartite.make,
    }
)
