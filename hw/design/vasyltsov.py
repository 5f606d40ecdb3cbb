"""The softmaxes of Vasyltsov & Chang (arXiv 2111.10770) from a request: tables by formula."""

import math
from collections.abc import Iterable

from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable
from sim.golden import Lut2dSpec, RexpSpec

from .tables import Tables

__all__ = ["FORMATS", "lut2d", "rexp"]

#: Format of tables and results by the paper's names of precisions. 1.0 is the largest code.
FORMATS = {
    "uint8": Format(False, 8, 8),
    "int16": Format(True, 16, 15),
    "uint4": Format(False, 4, 4),
    "uint2": Format(False, 2, 2),
}

#: Sums that the paper's tables for language models tell apart: 1 to so many.
REXP_SUMS, LUT2D_SUMS = 16, 60


def _table(name: str, formula: str, values: Iterable[int], output: Format) -> DirectTable:
    """Return `values` as a table, filled up with zeros to a power of two."""
    values = list(values)
    bits = max(1, (len(values) - 1).bit_length())
    meta = {"function": name, "method": "formula", "formula": formula, "entries": len(values)}
    values += [0] * ((1 << bits) - len(values))
    return DirectTable(Format(False, bits, 0), output, tuple(values), meta)


def _formats(tables: Tables) -> tuple[Format, Format]:
    """Return the formats of the logits and of the probabilities."""
    request = tables.request
    frac = request.bits - 4 if request.input_frac is None else request.input_frac
    return Format(True, request.bits, frac), FORMATS[request.precision or "uint8"]


def rexp(tables: Tables) -> RexpSpec:
    """Return REXP (section 4.1); ``request.entries`` is x_s, the length of LUT_alpha."""
    request = tables.request
    inputs, output = _formats(tables)
    one, sums = output.max, request.entries or REXP_SUMS
    last = math.ceil(math.log(one)) + 1
    exp = _table("LUT_1/e", f"floor(e^-i * {one})",
                 (math.floor(math.exp(-i) * one) for i in range(last + 1)), output)  # fmt: skip
    alpha = _table("LUT_alpha", f"floor({one} / (i + 1))",
                   (one // j for j in range(1, sums + 1)), output)  # fmt: skip
    return RexpSpec(inputs, output, request.length, exp, alpha, sums, request.lanes, request.mask)


def lut2d(tables: Tables) -> Lut2dSpec:
    """Return the 2D LUT (section 4.2); ``request.entries`` is the number of its rows."""
    request = tables.request
    inputs, output = _formats(tables)
    one, sums = output.max, request.entries or LUT2D_SUMS
    steps, columns = Lut2dSpec.STEPS, 1 << Lut2dSpec.COLUMN_BITS
    exp = _table(
        "LUT_exp", f"floor(e^(-i/{steps}) * {one})",
        (math.floor(math.exp(-i / steps) * one) for i in range(steps * Lut2dSpec.REACH + 1)),
        output,
    )  # fmt: skip
    # In integers, so that no quotient is just below the integer that it should be.
    sigma = _table(
        "LUT_sigma", f"floor(({one} * (i % {columns})) / ({steps} * (i // {columns} + 1)))",
        (i * one // (j * steps) if i <= steps else 0
         for j in range(1, sums + 1) for i in range(columns)),
        output,
    )  # fmt: skip
    return Lut2dSpec(inputs, output, request.length, exp, sigma, sums, request.lanes, request.mask)
