"""Shared units from a request: tables of several functions that suit one multiply-add."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnlut_train import fit
from nnlut_train.fit.making import make_problem
from nnlut_train.fit.problem import Problem
from nnlut_train.folding import Fold
from nnlut_train.formats import Format
from nnlut_train.functions import lookup
from nnlut_train.tables import PwlTable
from sim.golden import SharedSpec

from .tables import Tables

__all__ = ["SLACK_ULP", "error_ulp", "shared"]

#: By how much common and narrower formats may raise the largest error of a function, in ulp. None
#: rises from below 1 ulp to more.
SLACK_ULP = 1 / 8
#: Widest input for which cheaper formats are searched: a fit of 16 bits takes up to half a minute.
SEARCH_BITS_MAX = 12


def error_ulp(problem: Problem, table: PwlTable) -> float:
    """Return a table's largest error over all input codes, in ulp of its output."""
    result = table.output.real(table.lookup(table.input.codes()))
    return float(np.abs(result - problem.target).max()) / table.output.scale


def _problem(tables: Tables, op: str) -> Problem:
    """Return what the lines of one function approximate.

    A symmetric function is folded. Its magnitude has all bits: the multiplier sees the code itself.
    """
    request, function = tables.request, lookup(op)
    inputs = function.input_format(request.bits)
    output = function.output_format(request.output_bits, inputs)
    fold = None
    if request.fold == "auto" and function.symmetry is not None:
        fold = Fold(function.symmetry, Format(False, inputs.bits, inputs.frac))
    return make_problem(
        op, function(inputs.real(inputs.codes())), inputs, output, request.segments, function,
        fold=fold, nn_signs=function.nn_signs,
    )  # fmt: skip


def _with_frac(form: Format, frac: int, most: int) -> Format:
    """Return the format with other fraction bits; the magnitude has at most so many bits."""
    bits = form.bits - form.signed + frac - form.frac
    return Format(form.signed, max(1, min(bits, most)) + form.signed, frac)


def _shift(problem: Problem) -> int:
    """Return the fraction bits that a sum has beyond the output in the problem's own formats."""
    return problem.slope.frac + problem.input.frac - problem.output.frac


class _Search:
    """The tables for common shifts, and the cheapest of these that are accurate enough."""

    def __init__(self, tables: Tables, problems: Sequence[Problem]) -> None:
        self.tables, self.problems = tables, problems
        self.limits = [np.inf] * len(problems)

    def fit(self, shift: int, beyond: int, most: int) -> list[PwlTable] | None:
        """Return the tables, or None where one exceeds its limit.

        Parameters
        ----------
        shift, beyond : int
            Fraction bits of a sum, and of an intercept, beyond those of the output.
        most : int
            Bits of the magnitude of a slope at most.
        """
        if not 0 <= beyond <= shift:
            return None
        request, found = self.tables.request, []
        for problem, limit in zip(self.problems, self.limits, strict=True):
            frac = shift + problem.output.frac
            if problem.fold is not None and problem.fold.lacks(frac):
                return None
            one = replace(
                problem,
                slope=_with_frac(problem.slope, frac - problem.input.frac, most),
                intercept=_with_frac(problem.intercept, problem.output.frac + beyond, 48),
            )
            found.append(fit.fit(one, request.fit_method, seed=request.seed,
                                 progress=self.tables.progress))  # fmt: skip
            if error_ulp(problem, found[-1]) > limit:
                return None
        return found


def shared(tables: Tables) -> SharedSpec:
    """Return the unit of several functions, their coefficients in the cheapest common formats.

    First, the formats are the finest that any of the functions has for itself. Then the shift, the
    intercepts and the widest slopes lose bits, one by one, as long as no function's largest error
    rises by more than `SLACK_ULP`; of inputs of more than `SEARCH_BITS_MAX` bits they lose none.
    """
    request = tables.request
    problems = [_problem(tables, op) for op in request.ops]
    search = _Search(tables, problems)
    shift = max(map(_shift, problems))
    beyond = max(problem.intercept.frac - problem.output.frac for problem in problems)
    widest = 48
    best = search.fit(shift, min(beyond, shift), widest)
    assert best is not None  # nothing limits the first
    if request.bits > SEARCH_BITS_MAX:
        return SharedSpec(tuple(best))
    search.limits = [_limit(*pair) for pair in zip(problems, best, strict=True)]
    while (found := search.fit(shift - 1, min(beyond, shift - 1), widest)) is not None:
        best, shift = found, shift - 1
    beyond = min(beyond, shift)
    while (found := search.fit(shift, beyond - 1, widest)) is not None:
        best, beyond = found, beyond - 1
    widest = max(table.slope.bits - table.slope.signed for table in best)
    while widest > 1 and (found := search.fit(shift, beyond, widest - 1)) is not None:
        best, widest = found, widest - 1
    return SharedSpec(tuple(best))


def _limit(problem: Problem, table: PwlTable) -> float:
    """Return the largest error that a function may have in the common formats."""
    error = error_ulp(problem, table)
    limit = error + SLACK_ULP
    return min(limit, np.nextafter(1.0, 0.0)) if error < 1 else limit
