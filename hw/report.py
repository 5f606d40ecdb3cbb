"""What a build says of itself: the header of the Verilog, the latency, the printed summary."""

import math
from typing import Any

from nnlut_train.formats import Format
from sim.accuracy import SoftmaxAccuracy
from sim.golden import DirectSpec, ExpSpec, LogSpec, ReciprocalSpec, SoftmaxSpec, Spec

from .request import Request
from .result import ERROR_BOUND_ULP, Candidate, Result

__all__ = ["description", "latency", "rounded_up", "summary"]


#: What the kinds of folds mean; see `nnlut_train.folding`.
_FOLDED = {
    "even": "even", "odd": "odd", "complement": "f(-x) = 1 - f(x)", "relu": "relu + even residual",
}  # fmt: skip


def description(request: Request) -> str:
    """Return one line that says what is built."""
    if request.op == "softmax":
        return f"INT{request.bits} softmax of rows of up to {request.length} elements"
    formula = request.function.formula
    named = request.op if formula == request.op else f"{request.op}, {formula}"
    return f"INT{request.bits} {named}"


def latency(spec: Spec) -> dict[str, Any]:
    """Return the stated latency: clocks = per_element * length of the row + constant."""
    one = spec.latency_of(1)
    per_element = spec.latency_of(2) - one if isinstance(spec, SoftmaxSpec) else 0
    return {"per_element": per_element, "constant": one - per_element}


def _format(form: Format) -> str:
    return f"{form} ({'signed' if form.signed else 'unsigned'}, 1 ulp = 2^{-form.frac})"


def rounded_up(bound: float) -> str:
    """Return a bound with three decimals that is one, too."""
    return f"{math.ceil(bound * 1000) / 1000:.3f}" if math.isfinite(bound) else "inf"


def _tables(spec: Spec) -> list[str]:
    lines = []
    for name, table in spec.tables():
        if table.kind == "direct":
            shape = f"{len(table.values)} values of {table.value.bits} bits"
        else:
            fitted = f", fitted by {table.meta['method']}" if "method" in table.meta else ""
            plural = "s" if table.entries > 1 else ""
            shape = (
                f"{table.entries} segment{plural}, slope {table.slope}, "
                f"intercept {table.intercept}{fitted}"
            )
        folded = ""
        if table.fold is not None:
            folded = f", folded ({table.fold.kind}) to abs(x) as {table.fold.magnitude}"
        lines.append(f"{name}: {table.meta.get('function', '?')}{folded}, {shape}, "
                     f"{table.storage_bits} bits")  # fmt: skip
    return lines


def _arch(candidate: Candidate) -> str:
    spec = candidate.spec.exp if isinstance(candidate.spec, SoftmaxSpec) else candidate.spec
    if isinstance(spec, ExpSpec | LogSpec | ReciprocalSpec):
        return f"{candidate.arch} after range reduction"
    fold = spec.table.fold
    return candidate.arch if fold is None else f"{candidate.arch}, folded ({_FOLDED[fold.kind]})"


def _accuracy(candidate: Candidate) -> list[str]:
    accuracy = candidate.accuracy
    lines = [f"max {accuracy.max_ulp:.3f} ulp, RMS {accuracy.rms_ulp:.3f} ulp, against float64"]
    if isinstance(accuracy, SoftmaxAccuracy):
        lines[0] += f", over {accuracy.rows:,} rows ({accuracy.elements:,} elements)"
        if math.isfinite(candidate.bound_ulp):
            lines.append(f"proved for every row: max at most {rounded_up(candidate.bound_ulp)} ulp")
        else:
            lines.append("no bound holds: exp(0) of the table is 0, and so may a sum be")
        lines.append(
            f"arg-max flips {accuracy.flips}, row sums {accuracy.sum_min:.4f} to "
            f"{accuracy.sum_max:.4f}"
        )
        if candidate.spec.length > 2 ** (candidate.spec.output.frac + 1):
            lines.append(
                f"rows of more than {2 ** (candidate.spec.output.frac + 1)} equal logits are all "
                f"0: the output has too few bits for them"
            )
    else:
        lines[0] += f", over all {accuracy.codes:,} input codes"
        if accuracy.max_ulp >= ERROR_BOUND_ULP:
            lines.append("above 1 ulp: more --entries would lower it")
        if accuracy.clipped:
            lines.append(
                f"{accuracy.clipped:,} codes have results beyond the output format and saturate"
            )
    return lines


def _latency(spec: Spec) -> str:
    stated = latency(spec)
    if not stated["per_element"]:
        return f"{stated['constant']} clock{'s' if stated['constant'] > 1 else ''}"
    return f"{stated['per_element']} n + {stated['constant']} clocks for a row of n"


def _others(result: Result) -> list[str]:
    lines = []
    for other in result.others:
        lines += [
            f"{_arch(other)}: max {other.accuracy.max_ulp:.3f} ulp, latency {_latency(other.spec)}",
            f"{other.cost.target:<8} {other.cost.summary()}",
        ]
    if not lines:
        lines.append("none")
        if isinstance(result.chosen.spec, DirectSpec) or result.request.table:
            lines = ["none: the table was given"]
        elif result.request.op != "softmax":
            codes, bits = 1 << result.request.bits, result.chosen.spec.output.bits
            lines = [f"none: a direct table would hold {codes:,} values of {bits} bits"]
    return lines


def summary(result: Result) -> str:
    """Return what a build prints."""
    chosen, bench, request = result.chosen, result.bench, result.request
    spec = chosen.spec
    why = ""
    if len(request.wanted) > 1:
        good = chosen.bound_ulp < ERROR_BOUND_ULP
        why = f"the smallest below 1 ulp on {chosen.cost.target}" if good else "the most accurate"
        why = f" (auto: {why})"
    measured = "measured"
    if isinstance(spec, SoftmaxSpec):
        measured += " " + ", ".join(f"{clocks} for n = {n}" for n, clocks in bench.latency.items())
    rows: list[tuple[str, list[str]]] = [
        ("architecture", [f"{_arch(chosen)}{why}"]),
        ("input", [_format(spec.input)]),
        ("output", [_format(spec.output)]),
        ("tables", _tables(spec)),
        ("accuracy", _accuracy(chosen)),
        ("simulation", [
            f"{bench.beats:,} results equal to the golden model's, in {len(bench.runs)} runs:",
            *(f"  {run.name} ({run.beats:,})" for run in bench.runs),
        ]),
        ("latency", [f"{_latency(spec)}; {measured}"]),
        ("throughput", [f"{bench.throughput:g} element a clock, sustained; measured"]),
        ("cost", [f"{cost.target:<8} {cost.summary()}" for cost in result.costs]),
        ("other --arch", _others(result)),
        ("written", [f"{result.folder}/", *(f"  {name}" for name in result.files)]),
    ]  # fmt: skip
    if result.replaced:
        rows.append(("replaced", [result.replaced]))
    lines = [f"{request.name}: {description(request)}", ""]
    for label, texts in rows:
        for position, text in enumerate(texts):
            lines.append(f"  {label if position == 0 else '':<13} {text}".rstrip())
    lines += ["", f"  done in {result.seconds:.1f} s"]
    return "\n".join(lines)
