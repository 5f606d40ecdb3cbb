"""Every unary function: error and area of both architectures, side by side.

``python bench/functions.py [BITS]``; 8 bits by default, 4 to 16, or 32. Wide inputs have no direct
table: their columns are empty.
"""

import sys
from collections.abc import Iterator

from common import table

from hw.choices import DIRECT_BITS_MAX
from hw.design import design
from hw.request import Request
from hw.synth import synthesize
from hw.verilog import to_verilog
from nnlut_train.functions import FUNCTIONS
from sim.accuracy import unary_accuracy
from sim.golden import UnarySpec


def figures(spec: UnarySpec, op: str) -> tuple[str, str]:
    """Return area in gate equivalents, and the largest error in ulp."""
    cost = synthesize(to_verilog(spec, op, op), op, "generic")
    return f"{cost.area:,.0f}", f"{unary_accuracy(spec, FUNCTIONS[op]).max_ulp:,.3f}"


def rows(bits: int) -> Iterator[tuple[object, ...]]:
    for op in FUNCTIONS:
        request, direct = Request(op, bits), ("", "")
        if bits <= DIRECT_BITS_MAX:
            direct = figures(design(request, "direct"), op)
        spec = design(request, "pwl")
        area, error = figures(spec, op)
        ((_, lines),) = spec.tables()
        yield op, spec.input, spec.output, *direct, area, lines.entries, error


def main() -> None:
    head = ("op", "input", "output", "direct: GE", "max ulp", "pwl: GE", "segments", "max ulp")
    table(head, rows(int(sys.argv[1]) if len(sys.argv) > 1 else 8))


if __name__ == "__main__":
    main()
