"""The blocks of units with one result a beat, as `hw.units` has them, stage by stage."""

from functools import singledispatch

from nnlut_train.folding import Fold
from nnlut_train.formats import Format
from sim.golden import (
    DirectSpec,
    ExpSpec,
    LogSpec,
    PwlSpec,
    ReciprocalSpec,
    SharedSpec,
    SineSpec,
    UnarySpec,
)
from sim.golden.staged import StagedSpec

from .diagram import Diagram, Wire

__all__ = ["UNFOLDED", "bits", "blocks", "emit", "magnitude", "rounded", "stepwise"]


@singledispatch
def blocks(spec: UnarySpec, d: Diagram, x: Wire) -> Wire:
    """Add the blocks of `spec` to `d` and return its result; any unit that has none of its own."""
    d.plain.append(spec.kind)
    details = [f"{name}: {table.storage_bits:,} bits" for name, table in spec.tables()]
    y = d.block(spec.kind, *details, wires=[x], out=bits("y", spec.output),
                kind="memory" if details else "block")  # fmt: skip
    d.cut(spec.latency)
    return y


def emit(spec: UnarySpec, d: Diagram, x: Wire) -> Wire:
    """Add the blocks of `spec` to `d`: its own, if they have as many stages as it states."""
    mark = d.mark()
    y = blocks(spec, d, x)
    if d.stage - mark.stage == spec.latency:
        return y
    # Its registers are elsewhere than here: say how many there are, and not where.
    d.back(mark)
    return blocks.dispatch(object)(spec, d, x)


def bits(name: str, form: Format) -> str:
    """Return the label of a wire: its name and its bits."""
    return f"{name} {form.bits}"


def magnitude(d: Diagram, x: Wire, fold: Fold | None, form: Format) -> tuple[Wire, Wire | None]:
    """Return what is looked up, and what unfolding needs."""
    if fold is None:
        return x, None
    detail = "limited" if fold.magnitude.bits < form.bits else ""
    argument = d.block("magnitude |x|", detail, wires=[x], out=bits("|x|", fold.magnitude))
    if fold.kind == "even":
        return argument, None
    name = f"max(x, 0) {form.bits - 1}" if fold.kind == "relu" else "sign 1"
    return argument, d.more(argument, name)


#: What unfolding does; see `nnlut_train.folding`.
UNFOLDED = {
    "odd": "negate if x < 0", "complement": "1 \u2212 y if x < 0", "relu": "max(x, 0) \u2212 y",
}  # fmt: skip


def rounded(shift: int, output: Format) -> tuple[str, str]:
    """Return what is said of a result that is rounded by so many bits, and saturated."""
    plural = "s" if shift > 1 else ""
    return f"round {shift} bit{plural} off" if shift else "", f"saturate to {output.bits} bits"


#: What steps are called; see `sim.golden.pwl_steps` and `sim.golden.indexed_steps`.
_STEPS = {
    "magnitude": "magnitude |x|", "level": "search", "select": "slope, intercept",
    "chunk": "multiply", "table": "tables", "product": "multiply", "sum": "sum", "add": "add",
    "unfold": "unfold", "round": "round", "saturate": "saturate",
}  # fmt: skip
#: The steps that read a table.
_READING = {"level", "select", "table"}


def stepwise(spec: StagedSpec, d: Diagram, x: Wire) -> Wire:
    """Draw a unit whose registers stand between any of its steps: a block a stage."""
    steps, begin = spec.steps, 0
    for end in steps.ends(spec.stages):
        within = steps.names[begin:end]
        parts = []
        for kind in dict.fromkeys(kind for kind, _ in within):
            numbers = [number + 1 for each, number in within if each == kind]
            all_of = sum(each == kind for each, _ in steps.names)
            span = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
            parts.append(_STEPS[kind] + (f" ({span} of {all_of})" if all_of > 1 else ""))
        last = end == len(steps.names)
        read = _READING & {kind for kind, _ in within}
        written = [d.registers] if d.registers and read else []
        x = d.block(
            parts[0], *parts[1:], wires=[x, *written],
            out=bits("y", spec.table.output) if last else f"{steps.width(end)} bits",
            kind="memory" if (read - {"level"}) else "block",
        )  # fmt: skip
        d.cut()
        begin = end
    return x


@blocks.register
def _(spec: PwlSpec, d: Diagram, x: Wire) -> Wire:
    if spec.stages is not None:
        return stepwise(spec, d, x)
    table = spec.table
    argument, rest = magnitude(d, x, table.fold, table.input)
    written = [d.registers] if d.registers else []
    number = d.block(
        "comparator tree", f"{table.entries - 1} breakpoints", wires=[argument, *written],
        out=f"segment {max(table.entries - 1, 1).bit_length()}",
    )  # fmt: skip
    slope = d.block(
        "slope, intercept" if not written else "active slope, intercept",
        f"{table.entries} \u00d7 ({table.slope.bits} + {table.intercept.bits}) bits",
        wires=[number, *written], kind="memory", out=bits("slope", table.slope),
    )  # fmt: skip
    intercept = d.more(slope, bits("intercept", table.intercept))
    d.cut()
    product = d.block(
        "multiply", f"{table.slope.bits} \u00d7 {table.argument.bits} bits",
        wires=[slope, argument], out=f"product {table.slope.bits + table.argument.bits}",
    )  # fmt: skip
    d.cut()
    unfolded = UNFOLDED.get(table.fold.kind, "") if table.fold else ""
    y = d.block(
        "add, unfold" if unfolded else "add", unfolded, *rounded(table.shift, table.output),
        wires=[product, intercept, *([rest] if rest else [])], out=bits("y", table.output),
    )  # fmt: skip
    d.cut()
    return y


@blocks.register
def _(spec: DirectSpec, d: Diagram, x: Wire) -> Wire:
    table = spec.table
    argument, rest = magnitude(d, x, table.fold, table.input)
    value = d.block(
        "table of values", f"{len(table.values):,} \u00d7 {table.value.bits} bits",
        wires=[argument], kind="memory", out=bits("value", table.value),
    )  # fmt: skip
    d.cut()
    if table.fold is None:
        return value
    y = d.block(
        "unfold", UNFOLDED.get(table.fold.kind, ""), *rounded(table.shift, table.output),
        wires=[value, *([rest] if rest else [])], out=bits("y", table.output),
    )  # fmt: skip
    d.cut()
    return y


@blocks.register
def _(spec: ExpSpec, d: Diagram, x: Wire) -> Wire:
    base = "1" if abs(spec.factor).bit_count() == 1 else "log2 e"
    base = f"\u2212{base}" if spec.factor < 0 else base
    power = d.block(
        f"multiply by {base}",
        f"constant of {abs(spec.factor).bit_length()} bits: i + f", wires=[x],
        out=bits("f", spec.fraction.input),
    )  # fmt: skip
    shift = d.more(power, f"shift {spec.right_max.bit_length()}")
    d.cut(spec.before or 1)
    mantissa = emit(spec.fraction, d, power)
    mantissa.label = bits("2^f", spec.fraction.output)
    y = d.block("shift right by i", "round", f"saturate to {spec.output.bits} bits",
                wires=[mantissa, shift], out=bits("y", spec.output))  # fmt: skip
    d.cut(spec.after or 1)
    return y


def _normalised(d: Diagram, x: Wire, width: int, step: int, seen: Format) -> tuple[Wire, Wire]:
    """Return the mantissa after two stages, and by how many steps it was shifted."""
    pairs = " in pairs" if step == 2 else ""
    counted = d.block("count leading zeros", f"of {width} bits{pairs}", wires=[x], out=f"x {width}")
    steps = d.more(counted, "zeros")
    d.cut()
    mantissa = d.block("shift left", "by the zeros", wires=[counted, steps], out=bits("m", seen))
    d.cut()
    return mantissa, steps


@blocks.register
def _(spec: ReciprocalSpec, d: Diagram, x: Wire) -> Wire:
    mantissa, steps = _normalised(d, x, spec.width, spec.step, spec.mantissa.input)
    value = emit(spec.mantissa, d, mantissa)
    value.label = bits("g(m)", spec.mantissa.output)
    y = d.block("shift right", "round", f"saturate to {spec.output.bits} bits",
                wires=[value, steps], out=bits("y", spec.output))  # fmt: skip
    d.cut(spec.after or 1)
    return y


@blocks.register
def _(spec: LogSpec, d: Diagram, x: Wire) -> Wire:
    mantissa, zeros = _normalised(d, x, spec.input.bits, 1, spec.mantissa.input)
    value = emit(spec.mantissa, d, mantissa)
    value.label = bits("ln m", spec.mantissa.output)
    term = d.block("k ln 2", f"{spec.shifts + 1} constants", wires=[zeros], kind="memory",
                   out="k ln 2")  # fmt: skip
    y = d.block("add", *rounded(spec.right, spec.output), wires=[value, term],
                out=bits("y", spec.output))  # fmt: skip
    d.cut()
    return y


@blocks.register
def _(spec: SineSpec, d: Diagram, x: Wire) -> Wire:
    turn = d.block(
        "multiply by 2/\u03c0", f"constant of {spec.factor.bit_length()} bits",
        "invert f in odd quarters", wires=[x], out=bits("f", spec.quarter.input),
    )  # fmt: skip
    sign = d.more(turn, "sign 1")
    d.cut()
    value = emit(spec.quarter, d, turn)
    value.label = bits("sin", spec.quarter.output)
    y = d.block("sign", *rounded(spec.shift, spec.output), wires=[value, sign],
                out=bits("y", spec.output))  # fmt: skip
    d.cut()
    return y


@blocks.register
def _(spec: SharedSpec, d: Diagram, x: Wire) -> Wire:
    written = [d.registers] if d.registers else []
    lines = [
        d.block(
            str(table.meta.get("function", f"function {number}")),
            f"{table.entries - 1} comparators",
            f"{table.entries} \u00d7 ({table.slope.bits} + {table.intercept.bits}) bits",
            wires=[x, *written], kind="memory", out="",
        )
        for number, table in enumerate(spec.functions)
    ]  # fmt: skip
    slope = d.block("select by tuser", f"{len(lines)} functions, sign of x", wires=lines,
                    out="slope")  # fmt: skip
    intercept = d.more(slope, "intercept")
    d.cut()
    total = d.block("multiply, add", f"round off {spec.shift} bits", wires=[slope, x, intercept],
                    out="sum")  # fmt: skip
    d.cut()
    y = d.block("saturate", f"to {spec.output.bits} bits", wires=[total],
                out=bits("y", spec.output))  # fmt: skip
    d.cut()
    return y
