"""LayerNorm and RMSNorm units from a request.

The formats inside are chosen by the error budget of docs/layernorm.md.
"""

import math
from collections.abc import Sequence

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.fit.making import format_for
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable
from sim.golden import NormSpec

from ..choices import DIRECT_BITS_MAX, LINE_ARCHS
from .tables import Tables

__all__ = ["LINES_BITS_MAX", "WRITABLE_GAIN", "norm"]

#: Most bits of m that lines see: with 16 bits of output, what they do not see costs 1/8 ulp. The
#: time of a fit grows with their codes.
LINES_BITS_MAX = 18
#: At run time any gamma from minus this to below it can be written, at least. Trained ones are
#: seldom above 2.
WRITABLE_GAIN = 4.0


def norm(tables: Tables) -> NormSpec:
    """Return the LayerNorm or RMSNorm of one table of 1/sqrt(m)."""
    request, centred = tables.request, tables.request.op == "layernorm"
    if request.fold == "none":
        raise UsageError(f"--fold must be auto for {request.op}, a range reduction, not none")
    length = request.length
    frac = request.bits // 2 if request.input_frac is None else request.input_frac
    inputs = Format(True, request.bits, frac)
    out_frac = request.output_bits - 3 if request.output_frac is None else request.output_frac
    output = Format(True, request.output_bits, out_frac)
    # |z| of n elements is at most sqrt(n - 1) if they are centred, else sqrt(n).
    reach = math.sqrt(max(length - centred, 1))
    limit = 2.0 ** (output.bits - 1 - out_frac)
    position = Format(False, max(1, (length - 1).bit_length()), 0)
    gammas, betas, written = request.gamma, request.beta, request.tables == "writable"
    if written:
        gammas = gammas or (1.0,) * length
        # RMSNorm has no beta but where one is asked for.
        betas = betas or (0.0,) * length if centred else betas
    gamma = beta = None
    gain = 1.0
    if gammas is not None:
        gamma_frac = max(0, out_frac + 3 + math.ceil(math.log2(reach)))
        least = WRITABLE_GAIN if written else gain
        gamma = _values("gamma", gammas, position, gamma_frac, least, written)
        gain = _largest(gamma) if written else max(gain, *map(abs, gammas))
    # docs/layernorm.md: rounding the scaled numerator costs 1/16 ulp, and so does rounding z.
    guard = out_frac + 3 + math.ceil(math.log2(gain))
    if betas is not None:
        beta_frac = min(out_frac + 4, guard + (gamma.output.frac if gamma else 0))
        beta = _values("beta", betas, position, beta_frac, limit if written else 0.0, written)
        limit += _largest(beta) if written else max(map(abs, betas))
    affine = gamma is not None or beta is not None
    normal = _covering(reach, guard) if affine else output
    scaled = _covering(2 * reach, guard)
    if not affine:
        # Beyond twice the largest output it may saturate: 1/sqrt(m) is above 1/2.
        scaled = Format(True, min(scaled.bits, output.bits + 1 + guard - out_frac), guard)
    # The largest result, in ulp, that a relative error applies to.
    largest = max(1, math.ceil(math.log2(min(gain * reach, limit)) + out_frac))
    eps, eps_frac = _epsilon(request.eps * 4.0**frac, length, largest)
    # The relative error of the table costs 1/4 ulp at most, most of it in its arguments' steps.
    accuracy = largest + 3
    lines = tables.arch in LINE_ARCHS
    seen = min(accuracy + 2, LINES_BITS_MAX) if lines else min(accuracy, DIRECT_BITS_MAX)
    entries = request.entries or max(16, 1 << math.ceil(output.bits / 2))
    mantissa = tables.mantissa(max(seen, 2), 0.5, accuracy, entries, True)
    return NormSpec(
        inputs, output, length, centred, eps, eps_frac, mantissa, scaled, normal, gamma, beta,
        request.lanes,
    )  # fmt: skip


def _covering(reach: float, frac: int) -> Format:
    """Return the narrowest signed format with `frac` fraction bits that holds +-`reach`."""
    return Format(True, max(1, math.ceil(reach * 2.0**frac).bit_length()) + 1, frac)


def _largest(table: DirectTable) -> float:
    """Return the largest magnitude that a table can hold, whatever is written to it."""
    return -table.output.min * table.output.scale


def _values(
    name: str, values: Sequence[float], position: Format, frac: int, least: float, written: bool
) -> DirectTable:
    """Return the table of `values` by position, of a format that holds +-`least`, too.

    If it can be `written`, the format need not hold `least` itself: that would take one more bit,
    and all widths inside would have to be chosen for twice as large values.
    """
    form = format_for((*values, -least, least - written * 2.0**-frac), frac)
    real = np.zeros(1 << position.bits)  # what is beyond the row is never read
    real[: len(values)] = values
    form = Format(True, form.bits + (not form.signed), frac)
    meta = {"function": name, "method": "direct"}
    return DirectTable(position, form, tuple(form.quantize(real).tolist()), meta)


def _epsilon(eps: float, length: int, largest: int) -> tuple[int, int]:
    """Return epsilon, in squares of an input's ulp, as an integer, and its fraction bits.

    They are enough for one of two reasons: epsilon itself is precise, or W, which is at least n - 1
    where it matters, is precise even so. Either way the results differ by less than 1/64 ulp.
    """
    if eps <= 0.0:
        return 0, 0
    precise = largest + 4 - math.floor(math.log2(eps))
    enough = largest + 4 + math.ceil(math.log2(length + 3))
    frac = max(0, min(precise, enough))
    return round(eps * 2.0**frac), frac
