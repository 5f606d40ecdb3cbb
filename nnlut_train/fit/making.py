"""Formats for a problem's coefficients, and real tables rounded to them."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..folding import Fold, answering
from ..formats import ENUMERATED_BITS, Format
from .problem import Problem

__all__ = ["coefficient_formats", "format_for", "make_problem", "quantize"]

#: Widest coefficient of an input of more than `ENUMERATED_BITS` bits: the papers' INT32.
WIDE_BITS = 32


def quantize(
    problem: Problem, breakpoints: np.ndarray, slopes: np.ndarray, intercepts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Round a real table to the integers of `problem`'s formats.

    Takes K ascending real breakpoints, and K + 1 real slopes and intercepts; returns int64 arrays
    of at most these lengths. A breakpoint becomes the first code not below it. Segments without a
    code vanish, so the breakpoints ascend strictly and lie above the smallest code.
    """
    form = problem.argument
    inside = np.clip(breakpoints, form.min * form.scale, (form.max + 1) * form.scale)
    first = np.ceil(inside / form.scale).astype(np.int64)
    starts = np.concatenate(([form.min], first))
    keep = starts < np.append(first, form.max + 1)
    slopes, intercepts = np.asarray(slopes)[keep], np.asarray(intercepts)[keep]
    return starts[keep][1:], problem.slope.quantize(slopes), problem.intercept.quantize(intercepts)


def make_problem(
    name: str, target: np.ndarray, inputs: Format, output: Format, entries: int,
    reference: Callable[[np.ndarray], np.ndarray] | None = None, *, fold: Fold | None = None,
    weights: np.ndarray | None = None, slope: Format | None = None,
    intercept: Format | None = None, **others: Any,
) -> Problem:  # fmt: skip
    """Return a problem with the formats of its coefficients chosen where they are not given.

    Parameters
    ----------
    name : str
        The function's.
    target : float64 array, shape (2**inputs.bits,)
        Its values at every code of ``inputs.grid()``, ascending, not limited to the output's range.
    inputs, output, entries, reference, fold, weights
        See `Problem`. There are no more segments than the argument has codes.
    slope, intercept : Format, optional
        Formats of the coefficients; see `coefficient_formats`.
    **others
        Other fields of `Problem`.
    """
    if fold is None:
        argument = inputs
        at = np.arange(target.size) if weights is None else np.flatnonzero(weights)
        codes, used = inputs.grid()[at], output.clip(target)[at]
    else:
        argument = fold.magnitude
        # Every magnitude is also the code of a positive argument: x in [0, max].
        values = fold.refold(inputs.codes(), np.clip(target, -1e300, 1e300), 1.0, inputs.scale)
        codes = argument.codes()
        used = values[np.minimum(codes, inputs.max) - inputs.min]
        answer = answering(target, output)
        if not answer.all():
            weights = answer * (1.0 if weights is None else weights)
    entries = min(entries, 1 << argument.bits)
    chosen = coefficient_formats(used, argument, output, entries, codes)
    if slope is None:
        slope = chosen[0]
        lack = fold.lacks(slope.frac + inputs.frac) if fold else 0
        slope = Format(slope.signed, slope.bits + lack, slope.frac + lack)
    return Problem(
        name, target, inputs, output, slope, intercept or chosen[1], entries, reference=reference,
        fold=fold, weights=weights, **others,
    )  # fmt: skip


def coefficient_formats(
    target: np.ndarray, inputs: Format, output: Format, entries: int,
    codes: np.ndarray | None = None,
) -> tuple[Format, Format]:  # fmt: skip
    """Return formats for slope and intercept: their rounding costs at most 1/16 ulp each.

    A slope's rounding error grows along its segment, which is as long as all codes over
    `entries`; the ranges are those of the lines through neighbouring codes. Of inputs of more than
    `nnlut_train.formats.ENUMERATED_BITS` bits, the coefficients have `WIDE_BITS` bits at most, the
    slope fewer where product and sum would not fit 63 bits.

    Parameters
    ----------
    target : float64 array, shape (n,)
        What the lines approximate: finite values.
    inputs, output : Format
        Formats of the lines' argument and of the result.
    entries : int
        Number of segments.
    codes : int64 array, shape (n,), optional
        Codes of `inputs` that `target` is at, ascending; ``inputs.grid()`` by default.
    """
    x = inputs.real(inputs.grid() if codes is None else codes)
    slopes = np.diff(target) / np.diff(x) if len(target) > 1 else np.zeros(1)
    intercepts = target[: len(slopes)] - slopes * x[: len(slopes)]
    segment_bits = max(0, inputs.bits - math.floor(math.log2(entries)))
    slope_frac = max(output.frac + 2 + segment_bits - inputs.frac, output.frac + 3 - inputs.frac)
    slope = format_for(slopes, slope_frac)
    intercept = format_for(np.append(intercepts, target), output.frac + 3)
    if inputs.bits <= ENUMERATED_BITS:
        return slope, intercept
    intercept = _coarser(intercept, max(0, intercept.bits - WIDE_BITS))
    slope = _coarser(slope, max(0, slope.bits - WIDE_BITS))
    while slope.bits > 1 and _reach(slope, intercept, inputs) >> 62:
        slope = _coarser(slope, 1)
    return slope, _coarser(intercept, max(0, intercept.frac - slope.frac - inputs.frac))


def _coarser(form: Format, bits: int) -> Format:
    """Return `form` without its lowest `bits` bits, but with one at least."""
    return Format(form.signed, max(1, form.bits - bits), form.frac - bits)


def _reach(slope: Format, intercept: Format, inputs: Format) -> int:
    """Return what product and sum may reach; see `nnlut_train.tables.PwlTable`."""
    largest, argument, added = (max(-f.min, f.max) for f in (slope, inputs, intercept))
    return largest * argument + (added << max(0, slope.frac + inputs.frac - intercept.frac))


def format_for(values: Iterable[float], frac: int) -> Format:
    """Return the narrowest format with `frac` fraction bits that holds `values`."""
    values = np.asarray(values)
    codes = np.floor(values * 2.0**frac + 0.5)
    low, high = int(codes.min()), int(codes.max())
    signed = low < 0
    bits = max(high.bit_length(), (-low - 1).bit_length() if signed else 0) + signed
    return Format(signed, max(bits, 1), frac)
