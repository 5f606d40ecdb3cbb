"""Accuracy of LayerNorm and RMSNorm: heavy tails, corner rows, the protocol, the proved bound.

Random rows: Student's t distribution with 3 degrees of freedom, lengths 3 to 1024 (short ones as
frequent as long ones), scales over all powers of two that the input has, seed 0. The protocol: 256
rows of 64 and of 128 elements from N(0, 2), numpy's default_rng(0), INT8 in at 1/16, INT8 out at
1/32, gamma 1, beta 0; "floor" is the error of correct rounding to the same output. With --area also
the size of each unit, which takes some minutes.
"""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from common import spec_of, table

from hw.cost import Cost, FpgaCost
from hw.report_accuracy import rounded_up
from hw.request import Request
from hw.synth import synthesize
from hw.verilog import to_verilog
from sim.accuracy.norm import (
    norm_accuracy,
    norm_corner_rows,
    norm_floor,
    norm_protocol_rows,
    norm_random_rows,
)
from sim.golden import NormSpec
from sim.norm_bound import norm_bound

OPS = ("layernorm", "rmsnorm")
ARCHS = ("direct", "pwl")
LENGTH = 1024
ROWS = 20_000
AREA_TARGETS = ("generic", "ecp5", "xilinx")

#: Rows of a table, as they are measured.
Rows = Iterator[tuple[object, ...]]


def heavy_tails() -> None:
    print()
    table(("op", "formats", "tables", "rows", "max ulp", "proved at most", "RMS ulp", "saturated"),
          _heavy_tails())  # fmt: skip


def _heavy_tails() -> Rows:
    rng = np.random.default_rng(0)
    trained = {"gamma": tuple(rng.normal(1.0, 0.3, LENGTH).tolist()),
               "beta": tuple(rng.normal(0.0, 0.5, LENGTH).tolist())}  # fmt: skip
    cases: list[tuple[str, dict[str, Any]]] = [
        ("INT16 to INT8", {}), ("INT16 to INT8, gamma and beta", trained),
        # Measured with these, proved for all that can be written in their place.
        ("INT16 to INT8, writable", trained | {"tables": "writable"}),
        ("INT8 to INT8", {"bits": 8}), ("INT16 to 10 bits", {"output_bits": 10}),
        ("INT16 to INT16", {"output_bits": 16}),
    ]  # fmt: skip
    for op in OPS:
        for name, options in cases:
            written = "tables" in options
            for arch in ARCHS[written:]:
                spec = spec_of(NormSpec, Request(op, arch=arch, length=LENGTH, **options))
                rng = np.random.default_rng(0)
                rows = [each for group in norm_random_rows(spec, ROWS, rng, heavy=True)
                        for each in group]  # fmt: skip
                a = norm_accuracy(spec, rows + list(norm_corner_rows(spec)))
                yield (op, name, arch, f"{a.rows:,}", f"{a.max_ulp:.3f}",
                       rounded_up(norm_bound(spec, written=written)), f"{a.rms_ulp:.3f}",
                       f"{a.clipped / a.elements:.2%}")  # fmt: skip


def protocol() -> None:
    print()
    table(("op", "tables", "length", "MSE", "floor", "above the floor", "max error"), _protocol())


def _protocol() -> Rows:
    for op in OPS:
        for arch in ARCHS:
            for length in (64, 128):
                spec = spec_of(NormSpec, Request(op, 8, arch=arch, length=length))
                rows = norm_protocol_rows(spec, length)
                a, floor = norm_accuracy(spec, rows), norm_floor(spec, rows)
                yield (op, arch, length, f"{a.mse:.3e}", f"{floor:.3e}",
                       f"{a.mse / floor - 1:.1%}",
                       f"{a.max_ulp * spec.output.scale:.5f}")  # fmt: skip


def size(cost: Cost) -> str:
    """Return what matters of a cost."""
    if isinstance(cost, FpgaCost):
        return (f"{cost.luts + cost.lutram:,} LUT, {cost.flip_flops:,} FF, {cost.dsp} DSP, "
                f"{cost.bram} BRAM")  # fmt: skip
    return f"{cost.size:,.0f} GE"


def area() -> None:
    print()
    table(("unit, length 128", *AREA_TARGETS), _area())


def _area() -> Rows:
    for op, options in (
        *((op, {"arch": arch}) for op in OPS for arch in ARCHS),
        ("layernorm", {"arch": "direct", "bits": 8}),
        ("layernorm", {"arch": "direct", "lanes": 4}),
    ):
        spec = spec_of(NormSpec, Request(op, length=128, **options))
        verilog = to_verilog(spec, "norm", op)
        said = [str(value) if name == "arch" else f"{name} {value}"
                for name, value in options.items()]  # fmt: skip
        costs = [synthesize(verilog, "norm", target) for target in AREA_TARGETS]
        yield ", ".join((op, *said)), *map(size, costs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--area", action="store_true", help="synthesise the units, too")
    heavy_tails()
    protocol()
    if parser.parse_args().area:
        area()


if __name__ == "__main__":
    main()
