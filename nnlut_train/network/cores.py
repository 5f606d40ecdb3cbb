"""What the tables of lines inside a unit are learned for, and what the unit makes of them.

A unit of one element computes ``y = offset + scale * core(argument)``: all three are known by its
input code alone, and only the core is a table. Without range reduction or symmetry they are 0, 1
and the input itself.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.fit.making import make_problem
from nnlut_train.fit.problem import Problem
from nnlut_train.functions import Function
from nnlut_train.tables import PwlTable
from sim.golden import (
    ExpSpec,
    LogSpec,
    NormSpec,
    PwlSpec,
    ReciprocalSpec,
    SineSpec,
    UnarySpec,
)

__all__ = ["Reduced", "problem_of", "reduced", "unseen"]


class Reduced(NamedTuple):
    """How a unit's results follow from its core; float64 arrays of one shape.

    Parameters
    ----------
    argument : float64 array
        Real arguments of the core.
    scale, offset : float64 array
        What its value is multiplied by, and what is added.
    """

    argument: np.ndarray
    scale: np.ndarray
    offset: np.ndarray


def reduced(spec: UnarySpec, codes: np.ndarray) -> Reduced:
    """Return how the unit's results at input `codes` follow from its core.

    Parameters
    ----------
    spec : UnarySpec
        A unit of lines; not of several functions.
    codes : int64 array
        Of any shape.

    Raises
    ------
    UsageError
        If the unit has no core of lines.
    """
    table = _table(spec)
    scale, offset = np.ones(np.shape(codes)), np.zeros(np.shape(codes))
    if isinstance(spec, PwlSpec):
        argument = codes
        if (fold := table.fold) is not None:
            argument, x = fold.arguments(codes), spec.input.real(codes)
            offset = fold.unfold(x, offset, 1.0, 1.0)
            scale = fold.unfold(x, scale, 1.0, 1.0) - offset
    elif isinstance(spec, ExpSpec):
        exponent, argument = spec.split(codes)
        scale = np.exp2(exponent.astype(np.float64))
    elif isinstance(spec, ReciprocalSpec):
        steps, argument = spec.split(codes)
        # x is m * 2**(step * exponent).
        exponent = (spec.width - spec.step - spec.input.frac) // spec.step - steps
        scale = np.exp2(-exponent.astype(np.float64) if spec.inverse else exponent)
    elif isinstance(spec, LogSpec):
        zeros, argument = spec.split(codes)
        offset = np.ldexp(spec.term_of(zeros).astype(np.float64), -spec.frac)
    else:
        assert isinstance(spec, SineSpec)
        quarter, argument = spec.split(codes)
        scale = np.where(quarter & 2, -1.0, 1.0)
    return Reduced(table.argument.real(argument), scale, offset)


def _table(spec: UnarySpec | NormSpec) -> PwlTable:
    """Return the one table of a unit; raise UsageError unless it is of lines."""
    inner = {ExpSpec: "fraction", ReciprocalSpec: "mantissa", LogSpec: "mantissa",
             SineSpec: "quarter", NormSpec: "mantissa"}.get(type(spec))  # fmt: skip
    unit = spec if inner is None else getattr(spec, inner)
    if not isinstance(unit, PwlSpec):
        raise UsageError(f"the unit must have a table of lines, not one of kind {unit.kind}")
    return unit.table


def unseen(spec: UnarySpec | NormSpec) -> float:
    """Return how far an argument is, on average, above the code that the table sees of it."""
    match spec:
        case ExpSpec():
            drops = spec.drop > 0
        case ReciprocalSpec() | LogSpec():
            drops = spec.window_low > 0
        case SineSpec() | NormSpec():
            drops = True
        case _:
            drops = False
    return 0.5 * _table(spec).input.scale if drops else 0.0


def _function(spec: UnarySpec | NormSpec) -> tuple[Callable[..., np.ndarray], tuple[int, int]]:
    """Return the core's function of its real argument, and NN-LUT's initial signs."""
    half = unseen(spec)
    if isinstance(spec, ExpSpec):
        return lambda f: np.exp2(f + half), (0, 0)
    if isinstance(spec, LogSpec):
        return lambda f: np.log1p(f + half), (0, 0)
    if isinstance(spec, SineSpec):
        return lambda f: np.sin(0.5 * math.pi * (f + half)), (0, 0)
    if isinstance(spec, ReciprocalSpec) and not spec.root:
        return lambda f: 1.0 / (1.0 + f + half), (-1, 1)
    if isinstance(spec, ReciprocalSpec) and not spec.inverse:
        return lambda m: np.sqrt(np.maximum(m + half, 1.0)), (0, 0)
    return lambda m: 1.0 / np.sqrt(np.maximum(m + half, 1.0)), (-1, 1)


def problem_of(spec: UnarySpec | NormSpec, function: Function | None = None) -> Problem:
    """Return the problem that the one table of a unit was fitted to, weights aside.

    Parameters
    ----------
    spec : UnarySpec or NormSpec
        A unit of lines.
    function : Function, optional
        What is tabulated as a whole, by a `PwlSpec`.

    Raises
    ------
    UsageError
        If the unit has no table of lines.
    """
    table = _table(spec)
    form = table.input
    x = form.real(form.grid())
    weights = None
    if isinstance(spec, PwlSpec):
        assert function is not None
        evaluate, signs = function, function.nn_signs
    else:
        evaluate, signs = _function(spec)
        # Of a root's argument, codes below 1 do not occur.
        if isinstance(spec, NormSpec) or (isinstance(spec, ReciprocalSpec) and spec.root):
            weights = (x >= 1.0).astype(np.float64)
    name = table.meta.get("function", "table")
    return make_problem(
        name, evaluate(x), form, table.output, max(table.meta.get("entries", 1), table.entries),
        evaluate, fold=table.fold, weights=weights, slope=table.slope, intercept=table.intercept,
        nn_signs=signs, objective=table.meta.get("objective", "mse"),
    )  # fmt: skip
