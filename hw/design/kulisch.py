"""Softmax by an exact sum of floating-point exponentials, from a request."""

import math

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from sim.golden import KulischSpec

from ..choices import DIRECT_BITS_MAX
from .tables import Tables

__all__ = ["SPAN_MAX", "kulisch"]

#: Most octaves that exponentials can span: the sum has as many bits more.
SPAN_MAX = 32


def kulisch(tables: Tables) -> KulischSpec:
    """Return the softmax; docs/softmax.md has its error budget."""
    request = tables.request
    inputs = request.logits
    out_frac = request.output_bits if request.output_frac is None else request.output_frac
    output = Format(False, request.output_bits, out_frac)
    lowest, highest = (inputs.real(code) * math.log2(math.e) for code in (inputs.min, inputs.max))
    if highest - lowest > SPAN_MAX:
        raise UsageError(
            f"--input-frac must be at least {inputs.bits - 1 - 3} for --method kulisch and --bits "
            f"{inputs.bits}: exponentials may span {SPAN_MAX} octaves, not {highest - lowest:.1f}"
        )
    # Rounding mantissas to 2**-bits of their leading one costs at most 1/4 ulp, where p is 1/2.
    bits = max(1, out_frac)
    # Exponents count from 0; rounding up may take the largest exponential into the next octave.
    offset = math.floor(lowest)

    def floating(x: np.ndarray) -> np.ndarray:
        """Return k + u - 1 of ``e**x = u 2**k``: what a floating-point number's bits are."""
        exponent = np.floor(x * math.log2(math.e))
        return exponent - offset + np.exp2(x * math.log2(math.e) - exponent) - 1.0

    integer = max(1, (math.floor(highest) - offset + 1).bit_length())
    exp = tables.lines(
        "e^x as u 2^k", floating(inputs.real(inputs.codes())), inputs,
        Format(False, integer + bits, bits), request.segments, "max", floating,
    )  # fmt: skip
    # The bits of the sum that the table does not see cost 1/4 ulp where p is 1, its rounding 1/8.
    seen = Format(False, min(out_frac + 1, DIRECT_BITS_MAX), min(out_frac + 1, DIRECT_BITS_MAX))

    def inverse(f: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + f + 0.5 * seen.scale)

    reciprocal = tables.lines(
        "1/m", inverse(seen.real(seen.codes())), seen, Format(False, out_frac + 2, out_frac + 2),
        request.segments, "max", inverse,
    )  # fmt: skip
    return KulischSpec(
        inputs, output, request.length, exp, reciprocal, request.lanes, request.mask
    )  # fmt: skip
