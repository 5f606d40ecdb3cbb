"""I-BERT's units from a request: constants as published, as integers of the scale."""

import math

import numpy as np

from nnlut_train.direct import direct_table
from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from sim.golden import (
    DirectSpec,
    IbertNormSpec,
    IbertSoftmaxSpec,
    IExpSpec,
    IGeluSpec,
    ISqrtSpec,
    Spec,
)

from .tables import Tables

__all__ = ["FUNCTIONS", "ibert", "iexp", "igelu", "isqrt"]

#: What I-BERT has of the functions.
FUNCTIONS = ("exp", "gelu", "sqrt")

#: Fraction bits of the arguments inside: floor(ln2 / S) is then within 1/4000 of ln2 / S.
SCALE_FRAC = 12
#: Bits of the factors of the dyadic requantisation.
FACTOR_BITS = 16
#: Quotient bits that one stage of a divider makes.
PER_STAGE = 2
#: Bits of the requantised exponential.
EXP_BITS = 16
#: i-softmax divides 2**32, LayerNorm 2**31.
PRECISION = 32
NORM_PRECISION = 31
#: LayerNorm takes elements of so many bits, as in the authors' code, ...
NORM_BITS = 22
#: ... and keeps its sum of squares in so many bits.
VARIANCE_BITS = 32
#: Bits of the factor sqrt(n) of LayerNorm's requantisation.
ROOT_BITS = 16
#: Newton's steps of a root of 32 bits.
ITERATIONS = 4
#: Low bits of i-GELU's polynomial that are dropped.
GELU_SHIFT = 14


def _dyadic(value: float) -> tuple[int, int]:
    """Return `value` as an integer of `FACTOR_BITS` bits, and its fraction bits."""
    frac = FACTOR_BITS - math.frexp(value)[1]
    return round(value * 2**frac), frac


def _guard(inputs: Format) -> int:
    return max(0, SCALE_FRAC - inputs.frac)


def iexp(inputs: Format, output: Format) -> IExpSpec:
    """Return i-exp: exp(x) of signed arguments, exp(-x) of unsigned ones."""
    a, b, c = 0.3585, 1.353, 0.344
    guard = _guard(inputs)
    one = 2.0 ** (inputs.frac + guard)
    factor, factor_frac = _dyadic(a)
    return IExpSpec(
        inputs, output, guard, math.floor(math.log(2.0) * one), math.floor(b * one),
        math.floor(c / a * one**2), factor, factor_frac, not inputs.signed,
    )  # fmt: skip


def igelu(inputs: Format, output: Format) -> IGeluSpec:
    """Return i-GELU."""
    a, b, k = -0.2888, -1.769, 1.4142
    guard = _guard(inputs)
    one = 2.0 ** (inputs.frac + guard)
    square = k**2 / a * one**2
    factor, factor_frac = _dyadic(a / k**2)
    return IGeluSpec(
        inputs, output, guard, math.floor(b * k * one), math.floor(square), GELU_SHIFT,
        math.floor(square / 2**GELU_SHIFT), factor, factor_frac,
    )  # fmt: skip


def isqrt(inputs: Format, output: Format) -> ISqrtSpec:
    """Return the square root by i-sqrt, with as many steps as make it exact."""
    guard = max(1, math.ceil(inputs.frac / 2) - output.frac)
    bits = inputs.bits + 2 * (output.frac + guard) - inputs.frac
    # The fewest steps that are exact: see `sim.golden.isqrt.isqrt`.
    return ISqrtSpec(inputs, output, guard, ITERATIONS + (bits > 24), PER_STAGE)


def _softmax(tables: Tables) -> IbertSoftmaxSpec:
    request = tables.request
    frac = request.bits - 4 if request.input_frac is None else request.input_frac
    inputs = Format(True, request.bits, frac)
    out_frac = request.output_bits if request.output_frac is None else request.output_frac
    output = Format(False, request.output_bits, out_frac)
    exp = iexp(Format(False, request.bits, frac), Format(False, EXP_BITS, EXP_BITS - 1))
    return IbertSoftmaxSpec(
        inputs, output, request.length, exp, PRECISION, PER_STAGE, request.lanes, request.mask
    )


def _norm(tables: Tables) -> IbertNormSpec:
    request, length = tables.request, tables.request.length
    for name, values in (("--gamma", request.gamma), ("--beta", request.beta)):
        if values is not None:
            raise UsageError(f"{name} must not be given with --method ibert, which leaves it out")
    frac = request.bits // 2 if request.input_frac is None else request.input_frac
    out_frac = request.output_bits - 3 if request.output_frac is None else request.output_frac
    # The smallest that keeps any row's sum of squares in 32 bits: see `variance_bits`.
    guard, shift = NORM_BITS - request.bits, 0
    while length * ((1 << (NORM_BITS - 1 - shift)) + 1) ** 2 >= 1 << VARIANCE_BITS:
        shift += 1
    count = Format(False, length.bit_length(), 0)
    root = Format(False, ROOT_BITS, ROOT_BITS - math.isqrt(length).bit_length())
    # Beyond the longest row nothing is read; a constant takes no gates.
    roots = np.sqrt(np.minimum(count.codes(), length))
    table = DirectSpec(direct_table("sqrt(n)", roots, count, root))
    return IbertNormSpec(
        Format(True, request.bits, frac), Format(True, request.output_bits, out_frac), length,
        guard, shift, ITERATIONS, NORM_PRECISION, table, PER_STAGE, request.lanes,
    )  # fmt: skip


def ibert(tables: Tables) -> Spec:
    """Return I-BERT's unit of the request's op; formats by default as with other methods."""
    request = tables.request
    if request.op == "softmax":
        return _softmax(tables)
    if request.op == "layernorm":
        return _norm(tables)
    if request.op not in FUNCTIONS:
        raise UsageError(
            f"--method ibert must go with softmax, layernorm, {', '.join(FUNCTIONS)}, not with "
            f"{request.op}"
        )
    function = request.function
    inputs = function.input_format(request.bits, request.input_frac)
    output = function.output_format(request.output_bits, inputs, request.output_frac)
    return {"exp": iexp, "gelu": igelu, "sqrt": isqrt}[request.op](inputs, output)
