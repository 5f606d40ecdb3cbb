"""The blocks of I-BERT's units, which compute polynomials and roots in integers."""

from sim.golden import IExpSpec, IGeluSpec, ISqrtSpec
from sim.golden.isqrt import quotient_bits

from .blocks import bits, blocks, rounded
from .diagram import Diagram, Wire

__all__: list[str] = []


@blocks.register
def _(spec: IGeluSpec, d: Diagram, x: Wire) -> Wire:
    base = d.block("min(|x|, \u2212b) + b", f"{spec.guard} zero bits below x", wires=[x],
                   out=f"{(-spec.b).bit_length()}")  # fmt: skip
    d.cut()
    square = d.block("square", wires=[base], out=f"{2 * (-spec.b).bit_length()}")
    d.cut()
    bracket = d.block("add c, sign of x, add 1", f"floor off {spec.shift} bits", wires=[square, x],
                      out="L + 1")  # fmt: skip
    d.cut()
    product = d.block("multiply by x", wires=[bracket, x], out="x (L + 1)")
    d.cut()
    y = d.block("multiply by a", f"constant of {(-spec.factor).bit_length()} bits",
                *rounded(spec.right, spec.output), wires=[product],
                out=bits("y", spec.output))  # fmt: skip
    d.cut()
    return y


@blocks.register
def _(spec: IExpSpec, d: Diagram, x: Wire) -> Wire:
    count = d.block("divide by ln 2", "constant: by a multiplication", wires=[x], out="z")
    n = d.more(count, f"n {spec.dividend_bits}")
    d.cut()
    base = d.block("p + b", "p = rest of the division", wires=[count, n],
                   out=f"p + b {spec.b.bit_length()}")  # fmt: skip
    right = d.more(base, f"shift {spec.right_max.bit_length()}")
    d.cut()
    poly = d.block("square, add c", wires=[base], out=f"{(spec.b**2 + spec.c).bit_length()}")
    d.cut()
    product = d.block("multiply by a", f"constant of {spec.factor.bit_length()} bits",
                      wires=[poly], out=f"{spec.product_bits}")  # fmt: skip
    d.cut()
    y = d.block("shift right by z", "round", f"saturate to {spec.output.bits} bits",
                wires=[product, right], out=bits("y", spec.output))  # fmt: skip
    d.cut()
    return y


@blocks.register
def _(spec: ISqrtSpec, d: Diagram, x: Wire) -> Wire:
    root = d.block("start", "power of two above the root", wires=[x], out=f"n {spec.bits}")
    n = root
    d.cut()
    root = d.block("first step", "division by a shift", wires=[n], out="x1")
    d.cut()
    for step in range(2, spec.iterations + 1):
        size = quotient_bits(spec.bits)
        quotient = d.block(f"divide n by x{step - 1}", f"{size} bits, {spec.per_stage} a clock",
                           wires=[n, root], out=f"{size}")  # fmt: skip
        d.cut(-(-size // spec.per_stage))
        root = d.block(f"Newton step {step}", "smaller of x and (x + n/x) / 2",
                       wires=[quotient, root], out=f"x{step}")  # fmt: skip
        d.cut()
    y = d.block("round", *rounded(spec.guard, spec.output), wires=[root],
                out=bits("y", spec.output))  # fmt: skip
    d.cut()
    return y
