"""The blocks of tables that are cut into parts: by leading bits, into sums, into logic."""

from nnlut_train.folding import Fold
from sim.golden import IndexedSpec, MinimisedSpec, MultipartiteSpec, ShiftAddSpec

from .blocks import UNFOLDED, bits, blocks, magnitude, stepwise
from .diagram import Diagram, Wire

__all__: list[str] = []


def _finished(fold: Fold | None, size: int) -> tuple[str, ...]:
    """Return what is said of a sum that is unfolded, if it is folded, and limited."""
    unfolded = UNFOLDED.get(fold.kind, "") if fold else ""
    return *([unfolded] if unfolded else []), f"round, saturate to {size} bits"


@blocks.register(IndexedSpec)
@blocks.register(ShiftAddSpec)
def _(spec: IndexedSpec, d: Diagram, x: Wire) -> Wire:
    if spec.stages > 1:
        return stepwise(spec, d, x)
    table = spec.table
    argument, rest = magnitude(d, x, table.fold, table.input)
    low, group, _ = table.layout
    slope = d.block(
        "slope", f"{len(table.slopes)} groups, {table.argument.bits - group} leading bits",
        wires=[argument], kind="memory", out=bits("slope", table.slope),
    )  # fmt: skip
    intercept = d.block(
        "intercept", f"{len(table.intercepts)} segments, {table.argument.bits - low} leading bits",
        wires=[argument], kind="memory", out=bits("intercept", table.intercept),
    )  # fmt: skip
    product = "shift, add" if isinstance(spec, ShiftAddSpec) else "multiply, add"
    y = d.block(
        product, f"slope times the lowest {f'{low} bits' if low > 1 else 'bit'}",
        *_finished(table.fold, table.output.bits),
        wires=[slope, argument, intercept, *([rest] if rest else [])],
        out=bits("y", table.output),
    )  # fmt: skip
    d.cut()
    return y


@blocks.register
def _(spec: MultipartiteSpec, d: Diagram, x: Wire) -> Wire:
    if spec.stages > 1:
        return stepwise(spec, d, x)
    table = spec.table
    argument, rest = magnitude(d, x, table.fold, table.input)
    initial = d.block("initial values", f"{len(table.initial)} \u00d7 {table.value.bits} bits",
                      wires=[argument], kind="memory", out=bits("value", table.value))  # fmt: skip
    parts = [
        d.block(f"offsets {number}" if len(table.pieces) > 1 else "offsets",
                f"{1 << (head + piece - 1)} of the upper half", wires=[argument], kind="memory",
                out="offset")
        for number, (head, piece) in enumerate(zip(table.heads, table.pieces, strict=True), 1)
    ]  # fmt: skip
    y = d.block("complement, add", *_finished(table.fold, table.output.bits),
                wires=[initial, argument, *parts, *([rest] if rest else [])],
                out=bits("y", table.output))  # fmt: skip
    d.cut()
    return y


@blocks.register
def _(spec: MinimisedSpec, d: Diagram, x: Wire) -> Wire:
    table = spec.table
    kind = f"LUTs of {spec.lut} inputs" if spec.lut else "nodes"
    y = d.block("minimised logic", f"{len(table.network)} {kind}", wires=[x], kind="memory",
                out=bits("y", table.output))  # fmt: skip
    d.cut()
    return y
