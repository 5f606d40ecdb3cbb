"""Area of shared units against units of their own: ``python bench/shared.py``, about two minutes.

Gate equivalents of the generic cells, 16 segments a function (64 at 12 bits). With ``--writable``,
some minutes more: the same with tables in registers.
"""

import sys
from collections.abc import Iterator

from common import table

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
    details: list[tuple[object, ...]] = []
    head = ("bits", "functions", "shared", "separate lines", "separate direct")
    table(head, areas(details))
    print()
    head = ("bits", "functions", "function", "slope", "intercept", "max ulp shared", "by itself")
    table(head, details)
    if "--writable" in sys.argv[1:]:
        print()
        table(("bits", "functions", "writable shared", "writable separate"), writable())


def areas(details: list[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
    """Yield the areas, and append the formats and errors of the functions to `details`."""
    for bits, ops in CASES:
        request = Request(ops, bits)
        spec = design(request, "pwl")
        units = separate_units(request)
        single = {(op, arch): area(unit) for op, arch, unit in units}
        lines, direct = (
            sum(value for (_, kind), value in single.items() if kind == arch)
            for arch in ("pwl", "direct")
        )
        yield (bits, ops.replace(",", ", "), f"{area(spec):,.0f}", f"{lines:,.0f}",
               f"{direct:,.0f}")  # fmt: skip
        for op, one in zip(request.ops, spec.functions, strict=True):
            (alone,) = (unit for name, arch, unit in units if (name, arch) == (op, "pwl"))
            errors = [unary_accuracy(unit, lookup(op)).max_ulp for unit in (PwlSpec(one), alone)]
            details.append((bits, len(request.ops), op, one.slope, one.intercept,
                            *(f"{error:.3f}" for error in errors)))  # fmt: skip


def writable() -> Iterator[tuple[object, ...]]:
    for bits, ops in CASES[:3]:
        whole, *single = (area(design(request, "pwl")) for request in _writable(bits, ops))
        yield bits, ops.replace(",", ", "), f"{whole:,.0f}", f"{sum(single):,.0f}"


def _writable(bits: int, ops: str) -> list[Request]:
    """Return the shared unit and the separate ones, of the same kind of tables."""
    folds = {op: "none" if lookup(op).symmetry is None else "auto" for op in ops.split(",")}
    return [
        Request(ops, bits, tables="writable"),
        *(Request(op, bits, fold=fold, tables="writable") for op, fold in folds.items()),
    ]


if __name__ == "__main__":
    main()
