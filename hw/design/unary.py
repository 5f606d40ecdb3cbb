"""Unary units from a request."""

from nnlut_train.folding import FOLDS
from nnlut_train.tables import PwlTable
from sim.golden import DirectSpec, PwlSpec, UnarySpec

from .tables import Tables

__all__ = ["unary"]


def unary(tables: Tables) -> UnarySpec:
    """Return the unit of a function of one argument."""
    request, function = tables.request, tables.request.function
    if (table := request.table) is not None:
        return PwlSpec(table) if isinstance(table, PwlTable) else DirectSpec(table)
    inputs = function.input_format(request.bits, request.input_frac)
    output = function.output_format(request.bits, inputs, request.output_frac)
    entries = request.segments
    if tables.arch == "pwl" and request.fold == "auto" and function.reduction not in (None, *FOLDS):
        if function.name == "log":
            return tables.log(inputs, output, entries)
        # The accuracy of the output's finest code, relative to the largest mantissa.
        accuracy = output.bits + 2
        if function.reduction == "base2":
            return tables.exp(inputs, output, 1, accuracy, entries)
        return tables.reciprocal(
            inputs, output, accuracy, entries, inputs.bits, function.reduction == "mantissa4"
        )
    return tables.table(function, inputs, output, entries, "mse")
