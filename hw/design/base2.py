"""Softmax to base 2 with an online maximum, from a request."""

import math

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from sim.golden import Base2Spec

from .tables import Tables

__all__ = ["base2"]


def base2(tables: Tables) -> Base2Spec:
    """Return the softmax; docs/softmax_methods.md has its error budget."""
    request = tables.request
    if request.fold == "none":
        raise UsageError("--fold must be auto for --method base2, a range reduction, not none")
    frac = request.bits - 4 if request.input_frac is None else request.input_frac
    inputs = Format(True, request.bits, frac)
    out_frac = request.output_bits if request.output_frac is None else request.output_frac
    output = Format(False, request.output_bits, out_frac)
    # The relative errors of both tables, of a probability and in the sum: less than 3/8 ulp in all.
    accuracy = out_frac + 3
    # As `Request.segments`, of the output's width: only the tables' accuracy depends on it.
    entries = request.entries or max(16, 1 << math.ceil(request.output_bits / 2))
    # Its fraction table is that of an exponential. So is the factor log2(e); its error counts as
    # often as the largest logit is large.
    guard = max(0, request.bits - 4 - frac)
    exp = tables.exp(inputs, output, 1, accuracy, entries, guard=guard)
    mantissa = exp.fraction.output
    total = Format(False, (mantissa.max * request.length).bit_length(), mantissa.frac)
    # The sum is at least the smallest 2**f, which is 1 less the table's error.
    shift_max = total.bits - mantissa.frac
    reciprocal = tables.reciprocal(
        total, Format(False, accuracy + 1, accuracy), accuracy, entries, shift_max, False
    )
    shift = frac + exp.factor_frac
    low, high = inputs.min * exp.factor >> shift, inputs.max * exp.factor >> shift
    # What a block drops costs less than 1/16 ulp, or all logits are in two blocks.
    enough = out_frac + 4 + math.ceil(math.log2(request.length))
    block = 1
    while (1 << block) < enough and (high >> block) - (low >> block) > 1:
        block += 1
    return Base2Spec(
        inputs, output, request.length, exp.fraction, exp.factor, exp.factor_frac, block,
        reciprocal, request.lanes, request.mask,
    )  # fmt: skip
