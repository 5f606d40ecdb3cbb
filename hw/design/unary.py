"""Unary units from a request."""

import math

from nnlut_train.delta import DeltaTable
from nnlut_train.folding import FOLDS
from nnlut_train.indexed import IndexedTable, ShiftAddTable
from nnlut_train.logic import TARGETS
from nnlut_train.minimised import MinimisedTable
from nnlut_train.multipartite import MultipartiteTable
from nnlut_train.tables import PwlTable
from sim.golden import (
    DeltaSpec,
    DirectSpec,
    IndexedSpec,
    MinimisedSpec,
    MultipartiteSpec,
    PwlSpec,
    ShiftAddSpec,
    UnarySpec,
)

from ..choices import DIRECT_BITS_MAX, LINE_ARCHS, NARROW_ARCHS
from .tables import Tables

__all__ = ["WAVE_REACH", "unary"]

#: Sine and cosine of inputs that reach further become quarter waves. Up to here, a folded table of
#: half a wave has 3/5 to 3/4 of the gates, one clock less, and stays below 1 ulp.
WAVE_REACH = 4.0


def unary(tables: Tables) -> UnarySpec:
    """Return the unit of a function of one argument."""
    request, function = tables.request, tables.request.function
    if (table := request.table) is not None:
        if isinstance(table, MultipartiteTable):
            return MultipartiteSpec(table)
        if isinstance(table, DeltaTable):
            return DeltaSpec(table)
        if isinstance(table, MinimisedTable):
            # Synthesis is to keep the nodes of a search that was for LUTs.
            logic = table.meta.get("logic")
            return MinimisedSpec(table, TARGETS[logic].lut if logic in TARGETS else 0)
        if isinstance(table, IndexedTable):
            return (ShiftAddSpec if isinstance(table, ShiftAddTable) else IndexedSpec)(table)
        return PwlSpec(table) if isinstance(table, PwlTable) else DirectSpec(table)
    inputs = function.input_format(request.bits, request.input_frac)
    output = function.output_format(request.output_bits, inputs, request.output_frac)
    entries = request.segments
    reduced = function.reduction not in (None, *FOLDS)
    if function.reduction == "quarter":
        reduced = max(-inputs.min, inputs.max) * inputs.scale > WAVE_REACH
    wide = request.bits > DIRECT_BITS_MAX and tables.arch in NARROW_ARCHS
    if (wide or tables.arch in LINE_ARCHS) and tables.reduces and reduced:
        if function.name == "log":
            return tables.log(inputs, output, entries)
        if function.reduction == "quarter":
            return tables.sine(inputs, output, entries, function.name == "cos")
        # The accuracy of the output's finest code, relative to the largest mantissa.
        accuracy = output.bits + 2
        if function.reduction == "base2":
            base = 2.0 if function.name == "exp2" else math.e
            return tables.exp(inputs, output, 1, accuracy, entries, base)
        return tables.reciprocal(
            inputs, output, accuracy, entries, inputs.bits, function.reduction == "mantissa4",
            function.name != "sqrt",
        )  # fmt: skip
    # Of a wave every argument is as likely, and the largest error comes close to 1 ulp.
    objective = "max" if function.reduction == "quarter" else "mse"
    return tables.table(function, inputs, output, entries, objective)
