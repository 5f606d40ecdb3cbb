"""Softmax units from a request.

The formats inside are chosen by the error budget of docs/softmax.md.
"""

import math

import numpy as np

from nnlut_train.formats import Format
from nnlut_train.functions import Function
from sim.golden import SoftmaxSpec

from ..choices import LINE_ARCHS
from .tables import Tables

__all__ = ["softmax"]


def softmax(tables: Tables) -> SoftmaxSpec:
    """Return the softmax of an exp table and a reciprocal table."""
    request = tables.request
    inputs, distance = request.logits, request.distance
    out_frac = request.output_bits if request.output_frac is None else request.output_frac
    output = Format(False, request.output_bits, out_frac)
    # docs/softmax.md: the sum of `length` rounded tails costs at most 1/8 ulp, ...
    exp_frac = out_frac + math.ceil(math.log2(request.length)) + 2
    # ... and the relative errors of the tables, in all, less than 3/8 ulp.
    accuracy = out_frac + 3
    entries = request.segments
    exp_format = Format(False, exp_frac + 1, exp_frac)
    if tables.arch not in LINE_ARCHS or request.fold == "none":
        function = Function("exp(-d)", "e^-d", lambda d: np.exp(-d), (0, 2.0**4),
                            nn_signs=(-1, 1))  # fmt: skip
        exp = tables.table(function, distance, exp_format, entries, "mse")
    else:
        exp = tables.exp(distance, exp_format, -1, accuracy, entries)
    total = Format(False, (exp_format.max * request.length).bit_length(), exp_frac)
    inverse = Format(False, accuracy + 1, accuracy)
    # The sum is at least the exponential of a distance of 0, which is 1 less the table's error.
    shift_max = total.bits - exp_frac
    reciprocal = tables.reciprocal(total, inverse, accuracy, entries, shift_max, False)
    return SoftmaxSpec(
        inputs, output, request.length, exp, reciprocal, request.lanes, request.mask
    )  # fmt: skip
