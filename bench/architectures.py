"""Every architecture of a table: error and cost, against lines of 16 entries.

``python bench/architectures.py [--op OP ...] [--bits N ...] [--arch ARCH ...] [--json FILE]``

For each function and width the unit of 16 learned lines in ROM, range-reduced or plain, whichever
has fewer gates, and every architecture at an error of no more than that: the largest error, and the
RMS one. Where a unit has the first but not the second, it is built again with a smaller bound. An
architecture that reduces ranges is tried with and without, and the smaller unit is shown. Costs are
of the whole unit with its AXI4-Stream shell, without block RAM. The cheapest of a function and
width, in gates, has a star.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from hw.choices import ARCH_BITS_MAX
from hw.cost import AsicCost, FpgaCost
from hw.design import design
from hw.request import Request
from hw.synth import synthesize, synthesize_all
from hw.verilog import to_verilog
from nnlut_train.errors import InfeasibleError, UsageError
from nnlut_train.functions import FUNCTIONS
from sim.accuracy import unary_accuracy
from sim.golden import UnarySpec

OPS = ("exp", "gelu", "silu", "sigmoid", "tanh", "reciprocal", "rsqrt")
BITS = (8, 12, 16)
ENTRIES = 16
#: The bounds that are tried, as fractions of the largest error that is allowed.
FRACTIONS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
#: `Request.max_error` is at least this: correct rounding.
LEAST_ULP = 0.5
HEAD = ("", "op", "bits", "arch", "fold", "segments", "max ulp", "RMS ulp", "GE", "xc7 LUT", "DSP",
        "iCE40 LUT4", "clocks", "GE ratio")  # fmt: skip
WIDTHS = (1, 10, 4, 12, 4, 8, 8, 8, 8, 7, 3, 10, 6, 8)


@dataclasses.dataclass(frozen=True)
class Row:
    """One unit: what it is, how far it is off, and what it costs."""

    op: str
    bits: int
    arch: str
    fold: str
    segments: int
    max_ulp: float
    rms_ulp: float
    gates: float
    luts: int
    dsp: int
    lut4s: int
    clocks: int
    ratio: float

    def cells(self, best: bool) -> tuple[str, ...]:
        """Return the row of the table."""
        return (
            "*" if best else "", self.op, str(self.bits), self.arch, self.fold, str(self.segments),
            f"{self.max_ulp:.3f}", f"{self.rms_ulp:.3f}", f"{self.gates:.1f}", str(self.luts),
            str(self.dsp), str(self.lut4s), str(self.clocks), f"{self.ratio:.3f}",
        )  # fmt: skip


def gates(spec: UnarySpec) -> float:
    """Return the gate equivalents of a unit."""
    cost = synthesize(to_verilog(spec, "unit", ""), "unit", "generic")
    assert isinstance(cost, AsicCost)
    return cost.area


def _segments(spec: UnarySpec) -> int:
    sizes = [getattr(table, "entries", 1 << table.argument.bits) for _, table in spec.tables()]
    return max(sizes)


def row(request: Request, spec: UnarySpec, area: float, base: float) -> Row:
    """Return the figures of a unit; `base` is the area that it is compared with."""
    error = unary_accuracy(spec, FUNCTIONS[request.op])
    costs = synthesize_all(to_verilog(spec, "unit", ""), "unit", ["xilinx", "ice40"], bram="off")
    seven, four = costs
    assert isinstance(seven, FpgaCost)
    assert isinstance(four, FpgaCost)
    return Row(
        request.op, request.bits, request.arch, request.fold, _segments(spec), error.max_ulp,
        error.rms_ulp, area, seven.luts, seven.dsp, four.luts, spec.latency, area / base,
    )  # fmt: skip


def lines(op: str, bits: int) -> Row:
    """Return the smaller of the units of 16 learned lines."""
    found = []
    for fold in ("auto", "none"):
        request = Request(op, bits, arch="pwl", entries=ENTRIES, fold=fold)
        spec = design(request, "pwl")
        found.append((gates(spec), request, spec))
    area, request, spec = min(found, key=lambda item: item[0])
    return row(request, spec, area, area)


def within(request: Request, most: float, rms: float) -> UnarySpec | None:
    """Return the unit of `request` with at most these errors, or None if it has none."""
    for fraction in FRACTIONS:
        bound = max(LEAST_ULP, most * fraction)
        try:
            asked = dataclasses.replace(request, max_error=bound)
            spec = design(asked, asked.arch)
        except (InfeasibleError, UsageError):
            return None
        error = unary_accuracy(spec, FUNCTIONS[request.op])
        if error.max_ulp <= most and error.rms_ulp <= rms:
            return spec
        if bound == LEAST_ULP:
            return None
    return None


def _single(arch: str, op: str) -> bool:
    """Return whether `arch` tabulates `op` as it is, whatever `fold` says."""
    return arch not in ("indexed", "shiftadd") or FUNCTIONS[op].symmetry is not None


def rows(op: str, bits: int, archs: tuple[str, ...]) -> Iterator[Row]:
    """Yield the learned lines, and every architecture that is as near."""
    base = lines(op, bits)
    yield base
    for arch in archs:
        if bits > ARCH_BITS_MAX[arch]:
            continue
        found = []
        for fold in ("auto",) if _single(arch, op) else ("auto", "none"):
            request = Request(op, bits, arch=arch, fold=fold)
            spec = within(request, base.max_ulp, base.rms_ulp)
            if spec is not None:
                found.append((gates(spec), request, spec))
        if found:
            area, request, spec = min(found, key=lambda item: item[0])
            yield row(request, spec, area, base.gates)


def main() -> None:
    others = tuple(arch for arch in ARCH_BITS_MAX if arch != "pwl")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--op", nargs="+", choices=OPS, default=OPS)
    parser.add_argument("--bits", nargs="+", type=int, choices=BITS, default=BITS)
    parser.add_argument("--arch", nargs="+", choices=others, default=others)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here, too")
    options = parser.parse_args()
    every: list[Row] = []
    print(_line(HEAD), flush=True)
    for bits in options.bits:
        for op in options.op:
            found = list(rows(op, bits, tuple(options.arch)))
            least = min(item.gates for item in found)
            for item in found:
                print(_line(item.cells(item.gates == least)), flush=True)
            every += found
            if options.json is not None:
                data = [dataclasses.asdict(item) for item in every]
                options.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _line(cells: tuple[str, ...]) -> str:
    return "  ".join(c.ljust(w) for c, w in zip(cells, WIDTHS, strict=True)).rstrip()


if __name__ == "__main__":
    sys.exit(main())
