"""The blocks of units whose results depend on a whole row, pass by pass; registers are left out."""

from functools import singledispatch

from sim.golden import (
    Base2Spec,
    DirectSpec,
    ExpSpec,
    IbertNormSpec,
    IbertSoftmaxSpec,
    LanesSpec,
    Lut2dSpec,
    NormSpec,
    PwlSpec,
    RexpSpec,
    RowSpec,
    SerialSpec,
    SoftmaxSpec,
    Spec,
    UnarySpec,
    WritableSpec,
)

from .blocks import emit
from .diagram import Diagram, Wire

__all__ = ["inner", "unit_diagram"]


def inner(spec: Spec) -> dict[str, UnarySpec]:
    """Return the unary units inside a row unit by their names."""
    values = vars(spec.bare) if isinstance(spec.bare, RowSpec) else {}
    return {name: value for name, value in values.items() if isinstance(value, UnarySpec)}


def unit_diagram(spec: Spec) -> Diagram:
    """Return the diagram of any unit, with what is around it."""
    d = Diagram()
    words = "code" if spec.lanes == 1 else f"{spec.lanes} codes a beat"
    x = d.block("s_axis", words, kind="port", out=f"x {_width(spec, spec.input.bits)}")
    if isinstance(spec, WritableSpec):
        # Both stand in the first row, side by side.
        bus = d.block("AXI4-Lite", "registers: shadow tables", kind="port", out="commit")
        x = d.block("gate", "closes while tables change", wires=[x],
                    out=f"x {_width(spec, spec.input.bits)}")  # fmt: skip
        d.registers = d.block("active tables", "taken over in one clock", wires=[bus],
                              kind="memory", out="contents")  # fmt: skip
        d.divide("the unit; its registers below")
    unit = spec.unit if isinstance(spec, WritableSpec) else spec
    if isinstance(unit, LanesSpec):
        d.divide(f"one of {unit.lanes} equal lanes")
        unit = unit.unit
    turns = unit.interval if isinstance(unit, SerialSpec) else 0
    if isinstance(unit, SerialSpec):
        x = d.block("lanes take turns", f"{unit.group} a clock, {turns} clocks a beat", wires=[x],
                    out=f"x {unit.group} \u00d7 {spec.input.bits}")  # fmt: skip
        d.divide(f"each of {unit.group} copies")
        unit = unit.unit
    y = emit(unit, d, x) if isinstance(unit, UnarySpec) else _passes(unit, d, x)
    if not y.label or isinstance(unit, RowSpec):
        y.label = f"y {_width(spec, spec.output.bits)}"
    if turns:
        y = d.block("collect", f"results of {turns} turns", wires=[y],
                    out=f"y {_width(spec, spec.output.bits)}")  # fmt: skip
    d.block("m_axis", words.replace("code", "result"), wires=[y], kind="port")
    return d


def _width(spec: Spec, bits: int) -> str:
    return f"{spec.lanes} \u00d7 {bits}" if spec.lanes > 1 else f"{bits}"


def _inside(spec: UnarySpec) -> str:
    """Return how a unary unit inside is made, and its clocks."""
    found = spec
    for name in ("mantissa", "fraction", "quarter"):
        found = getattr(found, name, found)
    how = spec.kind if found is spec else f"{spec.kind}, {found.kind}"
    if isinstance(found, PwlSpec):
        how = f"{found.table.entries} lines"
    elif isinstance(found, DirectSpec):
        how = f"{len(found.table.values):,} values"
    if found is not spec:
        reduced = "2^i 2^f" if isinstance(spec, ExpSpec) else "normalised"
        how = f"{reduced}, {how}"
    return f"{how}; {spec.latency} clock{'s' if spec.latency != 1 else ''}"


def _each(spec: Spec) -> str:
    return f"in each of {spec.lanes} lanes" if spec.lanes > 1 else ""


def _tree(spec: Spec) -> str:
    return f"tree of {spec.lanes} lanes, then over beats" if spec.lanes > 1 else "over the beats"


def _buffer(d: Diagram, spec: RowSpec, x: Wire, bits: int, name: str) -> Wire:
    """Add a row buffer."""
    return d.block("row buffer", f"a row: {spec.length} \u00d7 {bits} bits", wires=[x],
                   kind="memory", out=name)  # fmt: skip


@singledispatch
def _passes(spec: Spec, d: Diagram, x: Wire) -> Wire:
    """Add the blocks of a row unit; of one that has none of its own, a box."""
    d.plain.append(spec.kind)
    details = [f"{name}: {table.storage_bits:,} bits" for name, table in spec.tables()]
    longest = f"rows of up to {spec.longest}" if spec.longest else ""
    return d.block(spec.kind, longest, *details, wires=[x])


def _first_pass(spec: RowSpec, d: Diagram, x: Wire, *after: str, out: str) -> Wire:
    """Add the pass that makes distances from the row's maximum."""
    stored = _buffer(d, spec, x, spec.input.bits, "x")
    masked = "masked elements left out" if spec.mask else ""
    largest = d.block("maximum", _tree(spec), masked, wires=[x], out=f"max {spec.input.bits}")
    distance = d.block("max \u2212 x", *after, _each(spec), wires=[stored, largest], out=out)
    d.divide("second pass, on the row before")
    return distance


@_passes.register
def _(spec: SoftmaxSpec, d: Diagram, x: Wire) -> Wire:
    seen, e, r = spec.exp.input, spec.exp.output.bits, spec.reciprocal.output.bits
    narrow = f"rounded, saturated to {seen.bits}" if seen != spec.distance else ""
    distance = _first_pass(spec, d, x, narrow, out=f"d {seen.bits}")
    stored = _buffer(d, spec, distance, seen.bits, "d")
    first = _exp(d, spec, spec.exp, distance, e)
    total = d.block("sum", _tree(spec), wires=[first], out=f"{spec.reciprocal.input.bits}")
    share = d.block("1 / sum", _inside(spec.reciprocal), wires=[total], kind="memory",
                    out=f"r {r}")  # fmt: skip
    again = _exp(d, spec, spec.exp, stored, e)
    product = d.block("multiply", f"{e} \u00d7 {r} bits", _each(spec), wires=[again, share],
                      out=f"{e + r}")  # fmt: skip
    return d.block("round, saturate", f"drop {spec.shift} bits, to {spec.output.bits}",
                   wires=[product])  # fmt: skip


def _exp(d: Diagram, spec: RowSpec, exp: UnarySpec, x: Wire, bits: int) -> Wire:
    return d.block("exp(\u2212d)", _inside(exp), _each(spec), wires=[x], kind="memory",
                   out=f"e {bits}")  # fmt: skip


@_passes.register
def _(spec: IbertSoftmaxSpec, d: Diagram, x: Wire) -> Wire:
    e = spec.exp.output.bits
    distance = _first_pass(spec, d, x, out=f"d {spec.input.bits}")
    stored = _buffer(d, spec, distance, spec.input.bits, "d")
    first = d.block("i-exp(\u2212d)", f"polynomial; {spec.exp.latency} clocks", wires=[distance],
                    out=f"e {e}")  # fmt: skip
    total = d.block("sum", _tree(spec), wires=[first], out=f"{spec.sum_bits}")
    factor = d.block(f"2^{spec.precision} / sum", f"divider, {spec.per_stage} bits a clock",
                     wires=[total], out=f"{spec.factor_bits}")  # fmt: skip
    again = d.block("i-exp(\u2212d)", _each(spec), wires=[stored], out=f"e {e}")
    product = d.block("multiply", _each(spec), wires=[again, factor], out=f"{e + spec.factor_bits}")
    return d.block("cut off, saturate", f"to {spec.output.bits}", wires=[product])


@_passes.register(RexpSpec)
@_passes.register(Lut2dSpec)
def _(spec: RexpSpec | Lut2dSpec, d: Diagram, x: Wire) -> Wire:
    rexp, address = isinstance(spec, RexpSpec), spec.addresses
    step = "integer part" if rexp else "in tenths, rounded"
    index = _first_pass(spec, d, x, step, out=f"index {address['exp']}")
    stored = _buffer(d, spec, index, address["exp"], "index")
    bits, size = spec.output.bits, f"{spec.exp_entries} \u00d7 {spec.output.bits} bits"
    first = d.block("LUT_exp", size, wires=[index], kind="memory", out=f"e {bits}")
    total = d.block("sum", _tree(spec), "in units of 1.0", wires=[first], out="sum")
    again = d.block("LUT_exp", _each(spec), wires=[stored], kind="memory", out=f"e {bits}")
    if rexp:
        alpha = d.block("LUT_alpha", f"{spec.sums} \u00d7 {bits} bits", wires=[total],
                        kind="memory", out=f"{bits}")  # fmt: skip
        return d.block("multiply, round", "in units of 1.0", _each(spec), wires=[again, alpha])
    column = d.block("in tenths", "rounded", wires=[again], out=f"{spec.COLUMN_BITS}")
    return d.block("LUT_sigma", f"{spec.columns} \u00d7 {spec.sums} \u00d7 {bits} bits",
                   _each(spec), wires=[column, total], kind="memory")  # fmt: skip


@_passes.register
def _(spec: Base2Spec, d: Diagram, x: Wire) -> Wire:
    stored = _buffer(d, spec, x, spec.input.bits, "x")
    u, r = spec.fraction.output.bits, spec.reciprocal.output.bits

    def power(x: Wire) -> Wire:
        return d.block("x log2 e = k + f, table of 2^f", _inside(spec.fraction), _each(spec),
                       wires=[x], kind="memory", out=f"u {u}, k")  # fmt: skip

    state = d.block("running maximum K and sums", f"2 \u00d7 {spec.sum_bits} bits", _tree(spec),
                    wires=[power(x)], out="sum, K")  # fmt: skip
    share = d.block("1 / sum", _inside(spec.reciprocal), wires=[state], kind="memory",
                    out=f"r {r}, K")  # fmt: skip
    product = d.block("multiply", f"{u} \u00d7 {r} bits", _each(spec), wires=[power(stored), share],
                      out=f"{u + r}")  # fmt: skip
    return d.block("shift right by K \u2212 k", f"round, saturate to {spec.output.bits}",
                   wires=[product])  # fmt: skip


@_passes.register
def _(spec: NormSpec, d: Diagram, x: Wire) -> Wire:
    stored = _buffer(d, spec, x, spec.input.bits, "q")
    form = spec.mantissa.output
    sums = d.block("square, accumulate", "n, \u03a3q, \u03a3q\u00b2: exact", _tree(spec), wires=[x],
                   out="sums")  # fmt: skip
    middle = d.more(sums, "n, \u03a3q" if spec.centred else "n")
    centred = " \u2212 (\u03a3q)\u00b2" if spec.centred else ""
    epsilon = " + n\u00b2\u03b5" if spec.eps else ""
    width = spec.integer_bits + spec.eps_frac
    wide = d.block(f"W = n \u03a3q\u00b2{centred}{epsilon}", wires=[sums], out=f"W {width}")
    normal = d.block("count zeros, shift", "W = m 4^k", wires=[wide],
                     out=f"m {spec.mantissa.input.bits}")  # fmt: skip
    exponent = d.more(normal, "k")
    root = d.block("1 / sqrt(m)", _inside(spec.mantissa), wires=[normal], kind="memory",
                   out=f"{form.bits}")  # fmt: skip
    numerator = d.block(
        "n q \u2212 \u03a3q" if spec.centred else "n q", _each(spec), wires=[stored, middle],
        out=f"{spec.input.bits + spec.length.bit_length() + spec.centred}",
    )  # fmt: skip
    scaled = d.block("shift by k", f"round, saturate to {spec.scaled.bits}",
                     wires=[numerator, exponent], out=f"{spec.scaled.bits}")  # fmt: skip
    y = d.block("multiply", f"{spec.scaled.bits} \u00d7 {form.bits} bits",
                f"round to {spec.normal.bits}", _each(spec), wires=[scaled, root],
                out=f"z {spec.normal.bits}")  # fmt: skip
    written = [d.registers] if d.registers else []
    for name, title in (("gamma", "multiply by gamma"), ("beta", "add beta")):
        table = getattr(spec, name)
        if table is not None:
            y = d.block(title, f"{spec.length} \u00d7 {table.output.bits} bits, by position",
                        wires=[y, *written], kind="memory")  # fmt: skip
    if spec.gamma is not None or spec.beta is not None:
        y = d.block("round, saturate", f"to {spec.output.bits}", wires=[y])
    return y


@_passes.register
def _(spec: IbertNormSpec, d: Diagram, x: Wire) -> Wire:
    stored = _buffer(d, spec, x, spec.input.bits, "q")
    total = d.block("sum", _tree(spec), wires=[x], out=f"{spec.sum_bits}")
    mean = d.block("sum / n", f"divider, {spec.per_stage} bits a clock", wires=[total],
                   out=f"mean {spec.bits}")  # fmt: skip
    y = d.block("q \u2212 mean", _each(spec), wires=[stored, mean], out=f"y {spec.bits + 1}")
    d.divide("second pass, on the row before")
    again = _buffer(d, spec, y, spec.bits + 1, "y")
    squares = d.block("square, sum", _tree(spec), wires=[y], out=f"{spec.variance_bits}")
    count = d.more(squares, "n")
    root = d.block("i-sqrt", f"{spec.iterations} Newton steps", wires=[squares], out="std")
    factor = d.block(f"2^{spec.precision} / std", f"divider, {spec.per_stage} bits a clock",
                     wires=[root], out=f"{spec.factor_bits}")  # fmt: skip
    length = d.block("sqrt(n)", _inside(spec.roots), wires=[count], kind="memory",
                     out=f"{spec.roots.output.bits}")  # fmt: skip
    z = d.block("multiply", _each(spec), wires=[again, factor], out=f"z {spec.z_bits}")
    return d.block("multiply by sqrt(n)", f"round, saturate to {spec.output.bits}", _each(spec),
                   wires=[z, length])  # fmt: skip
