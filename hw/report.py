"""What a build says of itself: the header of the Verilog, the latency, the printed summary."""

from typing import Any

from nnlut_train.formats import Format
from sim.golden import (
    DirectSpec,
    ExpSpec,
    FloatPwlSpec,
    LogSpec,
    LutSoftmaxSpec,
    ReciprocalSpec,
    SharedSpec,
    SineSpec,
    SoftmaxSpec,
    Spec,
)

from .choices import FLOAT_BITS, ROW_OPS
from .report_accuracy import accuracy_lines
from .request import Request
from .result import Candidate, Result
from .shared_report import shared_rows

__all__ = ["description", "latency", "latency_text", "summary"]


#: What the kinds of folds mean; see `nnlut_train.folding`.
_FOLDED = {
    "even": "even", "odd": "odd", "complement": "f(-x) = 1 - f(x)", "relu": "relu + even residual",
}  # fmt: skip


def description(request: Request) -> str:
    """Return one line that says what is built."""
    words = [request.precision.upper() if request.precision in FLOAT_BITS else f"INT{request.bits}"]
    if request.op in ROW_OPS:
        words.append(f"{request.op} of rows of up to {request.length} elements")
    elif len(request.ops) > 1:
        words.append(f"{', '.join(request.ops)}: one unit")
    else:
        formula = request.function.formula
        words.append(request.op if formula == request.op else f"{request.op}, {formula}")
    if request.method != "nnlut":
        words.append(f"by {request.method}")
    more = [f"{request.distance_bits}-bit distances"] * (request.distance_bits is not None)
    more += [f"{request.lanes} lanes"] * (request.lanes > 1)
    more += ["masks"] * request.mask + ["writable tables"] * (request.tables == "writable")
    return ", ".join([" ".join(words), *more])


def latency(spec: Spec) -> dict[str, Any]:
    """Return the stated latency: clocks = per_beat * beats of the row + constant."""
    one = spec.latency_of(1)
    per_beat = spec.latency_of(spec.lanes + 1) - one
    return {"per_beat": per_beat, "constant": one - per_beat}


def _format(spec: Spec, form: Format, scale: float) -> str:
    if isinstance(spec.bare, SharedSpec):
        return f"{form.bits} bits, in the format of the function"
    if isinstance(spec.bare, FloatPwlSpec):
        return f"{spec.bare.table.float_format.name}: bit patterns of IEEE 754 binary{form.bits}"
    step = f"2^{-form.frac}" if scale == form.scale else f"1/{1 / scale:.0f}"
    return f"{form} ({'signed' if form.signed else 'unsigned'}, 1 ulp = {step})"


def _distance(spec: Spec) -> list[tuple[str, list[str]]]:
    """Return the row on what exp sees of a softmax's distances, if that is not all of them."""
    bare = spec.bare
    if not isinstance(bare, SoftmaxSpec) or bare.exp.input == bare.distance:
        return []
    form = bare.exp.input
    return [("distance", [f"{_format(spec, form, form.scale)}: max - x, which is {bare.distance}, "
                          "rounded half up and saturated"])]  # fmt: skip


def _tables(spec: Spec) -> list[str]:
    lines = []
    for name, table in spec.tables():
        if table.kind == "direct":
            shape = f"{len(table.values)} values of {table.value.bits} bits"
        elif table.kind == "delta":
            shape = f"{len(table.residuals)} differences of {table.residual.bits} bits"
        elif table.kind == "minimised":
            shape = (
                f"{len(table.values)} values of {table.output.bits} bits as "
                f"{len(table.network)} nodes of logic"
            )
        elif table.kind == "multipartite":
            sizes = " and ".join(str(len(offsets)) for offsets in table.tables)
            shape = f"{len(table.initial)} initial values, {sizes} offsets"
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
    if isinstance(spec, LutSoftmaxSpec):
        used = " + ".join(map(str, spec.entries.values()))
        lines.append(f"{spec.table_bytes} bytes: {used} values, padding left out")
    return lines


def _arch(candidate: Candidate) -> str:
    spec = candidate.spec.bare
    spec = next((getattr(spec, name) for name in ("exp", "mantissa", "fraction")
                 if spec.longest and hasattr(spec, name)), spec)  # fmt: skip
    if isinstance(spec, ExpSpec | LogSpec | ReciprocalSpec | SineSpec):
        return f"{candidate.arch} after range reduction"
    fold = getattr(getattr(spec, "table", None), "fold", None)
    return candidate.arch if fold is None else f"{candidate.arch}, folded ({_FOLDED[fold.kind]})"


def latency_text(spec: Spec) -> str:
    """Return the stated latency for people."""
    stated = latency(spec)
    if not stated["per_beat"]:
        return f"{stated['constant']} clock{'s' if stated['constant'] > 1 else ''}"
    beats = "n" if spec.lanes == 1 else f"ceil(n / {spec.lanes})"
    times = f"{stated['per_beat']} " if stated["per_beat"] > 1 else ""
    return f"{times}{beats} + {stated['constant']} clocks for a row of n"


def _others(result: Result) -> list[str]:
    lines = []
    for other in result.others:
        lines += [
            f"{_arch(other)}: max {other.accuracy.max_ulp:.3f} ulp, "
            f"latency {latency_text(other.spec)}",
            f"{other.cost.target:<8} {other.cost.summary()}",
        ]
    lines += [f"{arch} refused: {why}" for arch, why in result.refused.items()]
    if not lines:
        lines.append("none")
        if result.planned:
            lines = ["none: the plan has the specification"]
        elif isinstance(result.chosen.spec, DirectSpec) or result.request.table:
            lines = ["none: the table was given"]
        elif result.request.by_formula:
            lines = ["none: the method has no other"]
        elif result.request.tables == "writable":
            lines = ["none: what can be written is lines"]
        elif result.request.precision in FLOAT_BITS:
            lines = ["none: floating point is of lines"]
        elif result.request.op not in ROW_OPS and len(result.request.ops) == 1:
            codes, bits = 1 << result.request.bits, result.chosen.spec.output.bits
            lines = [f"none: a direct table would hold {codes:,} values of {bits} bits"]
    return lines


def summary(result: Result) -> str:
    """Return what a build prints."""
    chosen, bench, request = result.chosen, result.bench, result.request
    spec = chosen.spec
    why = ""
    if len(request.wanted) > 1 and not result.planned:
        good = request.allows(chosen.error_ulp)
        within = "below 1 ulp" if request.max_error is None else f"of {request.max_error:g} ulp"
        why = f"the smallest {within} on {chosen.cost.target}" if good else "the most accurate"
        why = f" (auto: {why})"
    measured = "measured"
    if spec.longest:
        measured += " " + ", ".join(f"{clocks} for n = {n}" for n, clocks in bench.latency.items())
    elements = f"{bench.throughput:g} element{'s' if spec.lanes > 1 else ''}"
    rows: list[tuple[str, list[str]]] = [
        ("architecture", [f"{_arch(chosen)}{why}"]),
        ("input", [_format(spec, spec.input, spec.input.scale)]),
        *_distance(spec),
        ("output", [_format(spec, spec.output, spec.bare.output_scale)]),
        ("tables", _tables(spec)),
        ("accuracy", accuracy_lines(chosen)),
        ("simulation", [
            f"{bench.results:,} results equal to the golden model's, in {len(bench.runs)} runs:",
            *(f"  {run.name} ({run.results:,})" for run in bench.runs),
        ]),
        ("latency", [f"{latency_text(spec)}; {measured}"]),
        ("throughput", [f"{elements} a clock, sustained; measured"]),
        ("cost", [f"{cost.target:<8} {cost.summary()}" for cost in result.costs]),
        ("other --arch", _others(result)),
        ("written", [f"{result.folder}/", *(f"  {name}" for name in result.files)]),
    ]  # fmt: skip
    if result.separate:
        said = shared_rows(spec.bare, chosen.accuracy, chosen.cost, result.separate)
        at = [label for label, _ in rows].index("cost") + 1
        rows[at:at] = said.items()
    if result.replaced:
        rows.append(("replaced", [result.replaced]))
    lines = [f"{request.name}: {description(request)}", ""]
    for label, texts in rows:
        for position, text in enumerate(texts):
            lines.append(f"  {label if position == 0 else '':<13} {text}".rstrip())
    lines += ["", f"  done in {result.seconds:.1f} s"]
    return "\n".join(lines)
