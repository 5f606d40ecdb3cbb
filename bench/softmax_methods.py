"""Every softmax method in one table: accuracy against float64, row sums, bytes of tables, area.

The protocol: 256 rows of 64 and of 128 logits from N(0, 2), numpy's default_rng(0), INT8 codes at
1/16 and at 1/8; "floor" is the error of correct rounding to the same output. Random rows: those of
`sim.accuracy`, of all lengths up to 128 and all spreads, and the corner rows. With --area also the
gates of each unit for rows of up to 64, which takes a few minutes.
"""

import argparse
import math
from dataclasses import replace

from hw.design import design
from hw.request import Request
from hw.synth import synthesize
from hw.verilog import to_verilog
from sim.accuracy import SoftmaxAccuracy, protocol_rows, softmax_accuracy, softmax_floor
from sim.golden import RowSpec

#: What is compared, by name.
CASES: list[tuple[str, Request]] = [
    ("nnlut, direct", Request("softmax", arch="direct")),
    ("nnlut, pwl", Request("softmax", arch="pwl")),
    ("base2", Request("softmax", method="base2")),
    ("ibert", Request("softmax", method="ibert")),
    *((f"rexp, {precision}", Request("softmax", method="rexp", precision=precision))
      for precision in ("int16", "uint8", "uint4", "uint2")),
    ("rexp, uint8, 128 sums", Request("softmax", method="rexp", entries=128)),
    *((f"lut2d, {precision}", Request("softmax", method="lut2d", precision=precision))
      for precision in ("int16", "uint8", "uint4", "uint2")),
    ("lut2d, uint8, 128 sums", Request("softmax", method="lut2d", entries=128)),
]  # fmt: skip
LENGTHS = (64, 128)
FRACS = (4, 3)
AREA_LENGTH = 64


def spec_of(request: Request) -> RowSpec:
    spec = design(request, request.wanted[0])
    assert isinstance(spec, RowSpec)
    return spec


def table_bytes(spec: RowSpec) -> int:
    """Return the bytes of a unit's tables: as the paper counts them, or all the bits they have."""
    counted = getattr(spec, "table_bytes", None)
    bits = sum(table.storage_bits for _, table in spec.tables())
    return math.ceil(bits / 8) if counted is None else counted


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |")


def head(*cells: str) -> None:
    print()
    row(*cells)
    print("|" + "---|" * len(cells))


def figures(spec: RowSpec, a: SoftmaxAccuracy) -> tuple[str, ...]:
    """Return largest error, mean squared error, flips and row sums."""
    return (f"{a.max_ulp / spec.one:.4f}", f"{a.mse:.2e}", f"{a.flips:,}",
            f"{a.sum_min:.3f} to {a.sum_max:.3f}")  # fmt: skip


def protocol(frac: int) -> None:
    names = ("max error", "MSE", "flips", "row sums")
    head(f"scale 1/{1 << frac}", "length", *names, "floor")
    for name, request in CASES:
        spec = spec_of(replace(request, input_frac=frac))
        for length in LENGTHS:
            rows = protocol_rows(spec, length)
            a = softmax_accuracy(spec, rows)
            row(name, length, *figures(spec, a), f"{softmax_floor(spec, rows):.2e}")


def everything(area: bool) -> None:
    gates = ("area",) if area else ()
    head("method", "bytes of tables", "max error", "MSE", "flips", "row sums", "latency", *gates)
    for name, request in CASES:
        spec = spec_of(request)
        cells = [name, table_bytes(spec), *figures(spec, softmax_accuracy(spec))]
        passes = spec.latency_of(2) - spec.latency_of(1)
        cells.append(f"{passes if passes > 1 else ''} n + {spec.latency_of(1) - passes}".strip())
        if area:
            short = replace(request, length=AREA_LENGTH)
            cost = synthesize(to_verilog(spec_of(short), "softmax", name), "softmax", "generic")
            cells.append(f"{cost.area:,.0f} GE")
        row(*cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--area", action="store_true",
                        help=f"also synthesise every unit, for rows of {AREA_LENGTH}")  # fmt: skip
    arguments = parser.parse_args()
    for frac in FRACS:
        protocol(frac)
    everything(arguments.area)


if __name__ == "__main__":
    main()
