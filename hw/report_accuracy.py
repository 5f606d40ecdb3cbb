"""What a build says of its accuracy: the lines of the printed summary."""

import math
from bisect import bisect_left
from functools import singledispatch
from typing import Any

import numpy as np

from sim.accuracy import FloatAccuracy, NormAccuracy, SharedAccuracy, SoftmaxAccuracy, UnaryAccuracy
from sim.golden import (
    Base2Spec,
    LutSoftmaxSpec,
    NormSpec,
    SoftmaxRowSpec,
    SoftmaxSpec,
    WritableSpec,
)

from .request import ERROR_BOUND_ULP
from .result import Candidate

__all__ = ["accuracy_lines", "rounded_up"]


def rounded_up(bound: float) -> str:
    """Return a bound with three decimals that is one, too."""
    return f"{math.ceil(bound * 1000) / 1000:.3f}" if math.isfinite(bound) else "inf"


@singledispatch
def _measured(accuracy: Any, candidate: Candidate) -> tuple[str, list[str]]:
    """Return over what was measured, and what else there is to say."""
    raise TypeError(f"no report of a {type(accuracy).__name__}")


@_measured.register
def _(accuracy: UnaryAccuracy, candidate: Candidate) -> tuple[str, list[str]]:
    lines = [_proved(candidate, "every input code")]
    # A direct table is right but for rounding, or it was given.
    lines += _above(candidate, accuracy.max_ulp) if candidate.arch in ("pwl", "integer") else []
    if accuracy.clipped:
        lines.append(
            f"{accuracy.clipped:,} codes have results beyond the output format and saturate"
        )
    every = f"a sample of {accuracy.codes:,}" if accuracy.sampled else f"all {accuracy.codes:,}"
    return f"{every} input codes", lines


@_measured.register
def _(accuracy: FloatAccuracy, candidate: Candidate) -> tuple[str, list[str]]:
    every = f"a sample of {accuracy.codes:,}" if accuracy.sampled else f"all {accuracy.codes:,}"
    low, high = accuracy.domain
    numbers = f"numbers from {low:g} to {high:g}"
    return f"{every} {numbers}", [_proved(candidate, f"all {numbers}", accuracy.epsilon)]


@_measured.register
def _(accuracy: SharedAccuracy, candidate: Candidate) -> tuple[str, list[str]]:
    over = f"{accuracy.codes:,} pairs of function and input code"
    said = [_proved(candidate, "every function and input code")]
    for name, one in accuracy.functions.items():
        said += [f"{name}: {text}" for text in _measured(one, candidate)[1][1:]]
    return over, said


#: Why nothing bounds the error, by the kind of unit.
_UNBOUNDED = {
    SoftmaxSpec.kind: "exp(0) of the table is 0, and so may a sum be",
    Base2Spec.kind: "2^f of the table is 0 somewhere, and so may a sum be, or a sum may be lost "
                    "below its maximum",
    NormSpec.kind: "a format inside is too narrow for some row, or epsilon has too few fraction "
                   "bits",
}  # fmt: skip


def _proved(candidate: Candidate, over: str, epsilon: float | None = None) -> str:
    """Return what is proved of all inputs; of floating point in real numbers of that `epsilon`."""
    bound = candidate.bound_ulp
    if bound is None:
        return "no proof: nothing is known of the function between the arguments that were tried"
    if not math.isfinite(bound):
        return f"no bound holds: {_UNBOUNDED[candidate.spec.bare.kind]}"
    if isinstance(candidate.spec, WritableSpec):
        norm = isinstance(candidate.spec.bare, NormSpec)
        over += ", any gamma and beta, and the lines" if norm else " and the tables"
        over += " of the build"
    most = f"{rounded_up(bound)} ulp" if epsilon is None else _above_four_digits(bound * epsilon)
    return f"proved for {over}: max at most {most}"


def _above_four_digits(value: float) -> str:
    """Return a number of four digits that is not below `value`."""
    step = 10.0 ** (math.floor(math.log10(value)) - 3) if value > 0 else 1.0
    return f"{math.ceil(value / step) * step:.3e}"


def _above(candidate: Candidate, measured: float) -> list[str]:
    """Return a line that says what to do, if the error is or may be 1 ulp or more."""
    bound = candidate.bound_ulp
    if max(measured, bound if bound is not None and math.isfinite(bound) else 0) < ERROR_BOUND_ULP:
        return []
    spec = candidate.spec.bare
    if candidate.arch == "integer" or isinstance(spec, LutSoftmaxSpec):
        remedy = "--method nnlut"
    elif isinstance(spec, SoftmaxSpec) and spec.exp.input != spec.distance:
        remedy = "a larger --distance-frac"
        if spec.exp.input.bits < spec.distance.bits:
            remedy = "more --distance-bits"
    else:
        remedy = "more --entries" if candidate.arch == "pwl" else "--arch pwl"
    above = "above 1 ulp" if measured >= ERROR_BOUND_ULP else "may be above 1 ulp"
    return [f"{above}: {remedy} would lower it"]


def _rows(accuracy: SoftmaxAccuracy | NormAccuracy, candidate: Candidate) -> tuple[str, list[str]]:
    lines = [_proved(candidate, "every row")]
    lines += _above(candidate, accuracy.max_ulp)
    return f"{accuracy.rows:,} rows ({accuracy.elements:,} elements)", lines


@_measured.register
def _(accuracy: SoftmaxAccuracy, candidate: Candidate) -> tuple[str, list[str]]:
    over, lines = _rows(accuracy, candidate)
    lines.append(
        f"arg-max flips {accuracy.flips}, row sums {accuracy.sum_min:.4f} to {accuracy.sum_max:.4f}"
    )
    spec = candidate.spec.bare
    if isinstance(spec, LutSoftmaxSpec) and spec.sums < spec.length:
        lines.append(
            f"sums above {spec.sums} are taken for it: --entries {spec.length} tells all apart"
        )
    if (longest := _longest_of_equal(spec)) < spec.length:
        lines.append(
            f"rows of more than {longest} equal logits are all 0: the output has too few bits for "
            "them"
        )
    return over, lines


def _longest_of_equal(spec: SoftmaxRowSpec) -> int:
    """Return the elements of the longest row of equal logits that are not all 0."""
    # The more there are, the less each has.
    return bisect_left(
        range(1, spec.length + 1), True,
        key=lambda count: not spec.compute(np.zeros(count, np.int64)).any(),
    )  # fmt: skip


@_measured.register
def _(accuracy: NormAccuracy, candidate: Candidate) -> tuple[str, list[str]]:
    over, lines = _rows(accuracy, candidate)
    if accuracy.clipped:
        lines.append(f"{accuracy.clipped:,} results are beyond the output format and saturate")
    return over, lines


def accuracy_lines(candidate: Candidate) -> list[str]:
    """Return what a build prints of the accuracy, a line each, the figures first."""
    accuracy = candidate.accuracy
    over, lines = _measured(accuracy, candidate)
    if isinstance(candidate.spec, WritableSpec):
        over += ", with the tables of the build"
    figures = f"max {accuracy.max_ulp:.3f} ulp, RMS {accuracy.rms_ulp:.3f} ulp"
    if isinstance(accuracy, FloatAccuracy):  # an ulp is another at every result
        figures = f"max {accuracy.max_abs:.3e}, RMS {accuracy.rms_abs:.3e}"
    return [f"{figures}, against float64, over {over}", *lines]
