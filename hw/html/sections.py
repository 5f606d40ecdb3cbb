"""What the report tells of a build: what it is, its diagram, its errors, its waveform."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nnlut_train.formats import Format
from sim.golden import NormRowSpec, SharedSpec, Spec, WritableSpec

from ..choices import ROW_OPS
from ..report import latency_text
from ..request import Request
from . import plots
from .blocks import emit
from .diagram import Diagram
from .elements import Markup, figure, number, scroll, tag
from .row_blocks import inner, unit_diagram
from .samples import curves, row_sample
from .waveform import LANES, waveform
from .words import ARCHITECTURES, METHODS, cost_size, format_words, step_words, target_name

__all__ = ["architecture", "errors", "facts", "facts_list", "recorded", "section", "tiles"]


def facts_list(pairs: list[tuple[str, object]]) -> Markup:
    """Return names and what they are, in two columns."""
    parts = [part for name, text in pairs for part in (tag("dt", name), tag("dd", text))]
    return tag("dl", *parts, class_="facts")


def facts(request: Request, spec: Spec, manifest: dict[str, Any]) -> Markup:
    """Return what the unit is."""
    arch = manifest["architecture"]
    pairs: list[tuple[str, object]] = [("operation", ", ".join(request.ops))]
    if request.op not in ROW_OPS and len(request.ops) == 1:
        pairs[0] = ("operation", f"{request.op}: {request.function.formula}")
    pairs += [
        ("method", METHODS.get(request.method, request.method)),
        ("architecture", ARCHITECTURES.get(arch, arch)),
    ]
    bare = spec.bare
    if isinstance(bare, SharedSpec):
        for op, table in zip(request.ops, bare.functions, strict=True):
            both = f"{format_words(table.input)} to {format_words(table.output)}"
            pairs.append((f"formats of {op}", both))
    else:
        scale = bare.output_scale if isinstance(spec.output, Format) else None
        pairs += [("input", format_words(spec.input)),
                  ("output", format_words(spec.output, scale))]  # fmt: skip
    if spec.longest:
        pairs.append(("rows", f"of any length from 1 to {spec.longest:,} elements"))
    if spec.lanes > 1:
        pairs.append(("lanes", f"{spec.lanes} elements a beat"))
    if spec.mask:
        pairs.append(("masks", "a bit an element leaves it out of its row"))
    if isinstance(spec, WritableSpec):
        pairs.append(("tables", "can be written while the unit works, over AXI4-Lite"))
    if "plan" in manifest:
        pairs.append(("serves", ", ".join(manifest["plan"]["sites"]) or "no site of its plan"))
    return facts_list(pairs)


def tiles(spec: Spec, manifest: dict[str, Any]) -> Markup:
    """Return the key figures."""
    accuracy, latency = manifest["accuracy"], manifest["latency"]["measured"]
    clocks = ", ".join(f"{n} at n = {length}" for length, n in latency.items())
    rate = manifest["throughput"]["elements_per_clock"]
    bound = accuracy.get("bound_ulp")
    if "codes" in accuracy and (bound is None or not accuracy["sampled"]):
        said = f"over {'a sample of' if accuracy['sampled'] else 'all'} {accuracy['codes']:,} codes"
    else:
        said = "measured" if bound is None else f"proved: at most {_up(bound)}"
    shown: list[tuple[str, str, str]] = [
        ("latency", latency_text(spec), f"measured: {clocks}" if spec.longest else "measured"),
        ("throughput", f"{rate:g} element{'s' if rate > 1 else ''} a clock", "sustained, measured"),
        ("largest error", f"{accuracy['max_ulp']:.3f} ulp", said),
        ("RMS error", f"{accuracy['rms_ulp']:.3f} ulp", "against float64"),
    ]
    for cost in manifest["cost"]:
        size, unit = cost_size(cost)
        more = ", ".join(f"{number(cost[key])} {name}" for key, name in
                         (("flip_flops", "flip-flops"), ("dsp", "DSP"), ("bram", "block RAM"))
                         if cost.get(key))  # fmt: skip
        shown.append((target_name(cost["target"]), f"{number(size, 1)} {unit}", more))
    return tag("ul", *(
        tag("li", tag("span", name, class_="name"), tag("span", value, class_="value"),
            tag("span", more, class_="more"))
        for name, value, more in shown
    ), class_="tiles")  # fmt: skip


def _up(bound: float) -> str:
    return f"{np.ceil(bound * 1000) / 1000:.3f} ulp"


def architecture(spec: Spec) -> Iterator[Markup]:
    """Yield the block diagram, and those of the tables inside a row unit."""
    d = unit_diagram(spec)
    if spec.longest:
        text = (f"Latency {latency_text(spec)}. Single registers are not drawn; tables and row "
                "buffers are tinted. All passes are at work at the same time, each on a row of "
                "its own.")  # fmt: skip
    else:
        stages = f"{d.stage} stage{'s' if d.stage != 1 else ''}"
        text = (f"{stages}: each dashed line is a register of all wires that cross it. Tables are "
                "tinted; numbers at wires are bits.")  # fmt: skip
    main = figure(
        d.render("diagram", "Block diagram of the unit",
                 f"From the input at the top to the output at the bottom. {text}"), text,
    )  # fmt: skip
    parts = [] if spec.longest else _steps(d)
    for name, unit in inner(spec).items():
        part = Diagram()
        x = part.block("argument", kind="port", out=f"x {unit.input.bits}")
        y = emit(unit, part, x)
        y.label = y.label or f"y {unit.output.bits}"
        part.block("result", wires=[y], kind="port")
        parts += [
            tag("h3", f"Inside: {name}"),
            figure(
                part.render(f"diagram-{name}", f"Block diagram of {name}",
                            f"The stages of {name}, from its argument to its result."),
                f"{unit.input} to {unit.output}, {unit.latency} "
                f"clock{'s' if unit.latency != 1 else ''}.",
            ),
        ]  # fmt: skip
    yield tag("div", tag("div", main), tag("div", *parts), class_="pair") if parts else main


def _steps(d: Diagram) -> list[Markup]:
    """Return what each stage of a diagram does, in words."""
    steps: list[tuple[str, object]] = [
        (f"clock {first}" if first == last else f"clocks {first} to {last}",
         "; ".join(texts) or "what enters is kept")
        for first, last, texts in d.steps
    ]  # fmt: skip
    return [facts_list(steps)] if steps else []


def _lead(request: Request, spec: Spec) -> str:
    if isinstance(spec.bare, NormRowSpec):
        return "elements, results"
    return "logits, probabilities"


def errors(request: Request, spec: Spec, manifest: dict[str, Any]) -> Iterator[Markup]:
    """Yield the sections on the function and its error, and on its distribution."""
    accuracy = manifest["accuracy"]
    found, sample = curves(spec, request.ops, request.domain), row_sample(spec)
    parts: list[Markup] = []
    spread: list[Markup] = []
    for at, curve in enumerate(found):
        own = accuracy.get("functions", {}).get(curve.name, accuracy)
        about = f"{len(curve.x):,} input codes"
        parts.append(figure(
            plots.curve_plot(f"curve{at}", curve, own["max_ulp"]),
            f"{curve.name} over {'a sample of ' * own.get('sampled', False)}{about}, the exact "
            f"value limited to the output's range; 1 ulp = {step_words(curve.output.scale)}.",
        ))  # fmt: skip
        spread.append(figure(
            plots.histogram(f"spread{at}", np.abs(curve.error), own["rms_ulp"], own["max_ulp"],
                            "input codes"),
            f"{curve.name}: {about}. A result below 0.5 ulp is correctly rounded.",
        ))  # fmt: skip
    if sample is not None:
        entering, leaving = _lead(request, spec).split(", ")
        scale = spec.bare.output_scale
        parts = [
            figure(plots.row_plot("row", sample, entering, leaving),
                   f"{len(sample.x)} {entering} drawn from N(0, 2) with seed 0; "
                   f"1 ulp = {step_words(scale)}."),
            figure(plots.row_errors_plot("rows", sample),
                   f"{len(sample.peaks):,} rows: random ones of all lengths and spreads, and "
                   "corner rows (all equal, one outlier, extremes in turn)."),
        ]  # fmt: skip
        spread = [figure(
            plots.histogram("spread", sample.errors, accuracy["rms_ulp"], accuracy["max_ulp"],
                            "results"),
            f"{len(sample.errors):,} results of the rows above. RMS and max are those of the "
            f"build's measurement over {accuracy['rows']:,} rows "
            f"({accuracy['elements']:,} results).",
        )]  # fmt: skip
    if not parts:
        parts = [tag("p", "There is no plot of this kind of unit.")]
    function = section("The function and its error", _grid(parts))
    distribution = section("Distribution of the error", _accuracy(accuracy), _grid(spread))
    # Of one function, both fit side by side.
    yield from [_grid([function, distribution])] if len(found) == 1 else [function, distribution]


def _grid(parts: list[Markup]) -> Markup:
    return tag("div", *parts, class_="pair") if len(parts) > 1 else tag("div", *parts)


def _accuracy(accuracy: dict[str, Any]) -> Markup:
    bound = accuracy.get("bound_ulp")
    text = f"Max {accuracy['max_ulp']:.3f} ulp, RMS {accuracy['rms_ulp']:.3f} ulp against float64"
    if "codes" in accuracy:
        every = "a sample of " if accuracy.get("sampled") else "all "
        text += f", over {every}{accuracy['codes']:,} input codes"
    else:
        text += f", over {accuracy['rows']:,} rows ({accuracy['elements']:,} results)"
    if bound is not None:
        every = "row" if "rows" in accuracy else "input code"
        every = "number of the domain" if "domain" in accuracy else every
        text += f"; proved for every {every}: at most {_up(bound)} ({accuracy['proved']})"
    text += "."
    if accuracy.get("clipped"):
        text += f" {accuracy['clipped']:,} results are beyond the output's range and saturate."
    if "flips" in accuracy:
        text += (f" Arg-max flips: {accuracy['flips']}; sums of rows: {accuracy['sum_min']:.4f} to "
                 f"{accuracy['sum_max']:.4f}.")  # fmt: skip
    if accuracy["max_ulp"] >= 1:
        text += " The largest error is 1 ulp or more."
    return tag("p", text)


def recorded(spec: Spec, trace: list[Any]) -> Markup:
    """Return the waveform of the first rows."""
    first = next((n for n, clock in enumerate(trace) if clock.i_valid and clock.i_ready), 0)
    offer = next((n for n, clock in enumerate(trace) if clock.o_valid), 0)
    late = f"{offer - first} clock{'s' if offer - first != 1 else ''}"
    inside = f" Of the lanes, the first {LANES} are shown." if spec.lanes > LANES else ""
    if spec.lanes > 1:
        inside += " A dash is a lane without an element."
    return section(
        "The first rows",
        tag("p", f"Recorded in the simulation of this build: the first beats of the test vectors, "
            f"at full rate. The first beat is accepted in clock {first}, its result offered in "
            f"clock {offer}: {late} later. Codes are decimal.{inside}"),
        scroll(waveform("waveform", spec, trace), "waveform of the first rows"),
    )  # fmt: skip


def section(title: str, *content: object) -> Markup:
    """Return a section with its heading."""
    return tag("section", tag("h2", title), *content)
