"""Area of shared units against units of their own: ``python bench/shared.py``, about two minutes.

Gate equivalents of the generic cells, 16 segments a function (64 at 12 bits). With ``--writable``,
some minutes more: the same with tables in registers.
"""

import sys

from hw.design import design
from hw.request import Request
from hw.shared_report import separate_units
from hw.synth import synthesize
from hw.verilog import to_verilog
from nnlut_train.functions import lookup
from sim.accuracy import unary_accuracy
from sim.golden import PwlSpec, Spec

#: Bits and functions.
CASES = (
    (8, "gelu,silu"), (8, "gelu,exp,tanh"), (8, "gelu,exp,tanh,sigmoid,silu"),
    (8, "gelu,exp,reciprocal,rsqrt"), (8, "gelu,exp,tanh,sigmoid,silu,reciprocal,rsqrt,log"),
    (12, "gelu,exp,tanh,sigmoid,silu"),
)  # fmt: skip


def area(spec: Spec) -> float:
    return synthesize(to_verilog(spec, "unit", "unit"), "unit", "generic").size


def main() -> None:
    print("| bits | functions | shared | separate lines | separate direct |")
    print("|---|---|---|---|---|")
    details = []
    for bits, ops in CASES:
        request = Request(ops, bits)
        spec = design(request, "pwl")
        units = separate_units(request)
        single = {(op, arch): area(unit) for op, arch, unit in units}
        lines, direct = (
            sum(value for (_, kind), value in single.items() if kind == arch)
            for arch in ("pwl", "direct")
        )
        print(f"| {bits} | {ops.replace(',', ', ')} | {area(spec):,.0f} | {lines:,.0f} | "
              f"{direct:,.0f} |", flush=True)  # fmt: skip
        for op, table in zip(request.ops, spec.functions, strict=True):
            (alone,) = (unit for name, arch, unit in units if (name, arch) == (op, "pwl"))
            errors = [unary_accuracy(unit, lookup(op)).max_ulp for unit in (PwlSpec(table), alone)]
            details.append(f"| {bits} | {len(request.ops)} | {op} | {table.slope} | "
                           f"{table.intercept} | {errors[0]:.3f} | {errors[1]:.3f} |")  # fmt: skip
    print("\n| bits | functions | function | slope | intercept | max ulp shared | by itself |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(details))
    if "--writable" in sys.argv[1:]:
        print("\n| bits | functions | writable shared | writable separate |\n|---|---|---|---|")
        for bits, ops in CASES[:3]:
            whole, *single = (area(design(request, "pwl")) for request in _writable(bits, ops))
            print(f"| {bits} | {ops.replace(',', ', ')} | {whole:,.0f} | {sum(single):,.0f} |",
                  flush=True)  # fmt: skip


def _writable(bits: int, ops: str) -> list[Request]:
    """Return the shared unit and the separate ones, of the same kind of tables."""
    folds = {op: "none" if lookup(op).symmetry is None else "auto" for op in ops.split(",")}
    return [
        Request(ops, bits, tables="writable"),
        *(Request(op, bits, fold=fold, tables="writable") for op, fold in folds.items()),
    ]


if __name__ == "__main__":
    main()
