"""Every softmax method in one table: accuracy against float64, row sums, bytes of tables, area.

The protocol: 256 rows of 64 and of 128 logits from N(0, 2), numpy's default_rng(0), INT8 codes at
1/16 and at 1/8; "floor" is the error of correct rounding to the same output. Random rows: those of
`sim.accuracy`, of all lengths up to 128 and all spreads, seed 0, and the corner rows. With --area
also the gates of each unit for rows of up to 64, which takes a few minutes.

What is told of one method only is printed instead with --base2, --ibert or --rounding.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from unittest import mock

import numpy as np
from common import spec_of, table

from hw.report_accuracy import rounded_up
from hw.request import Request
from hw.synth import synthesize
from hw.verilog import to_verilog
from nnlut_train.functions import lookup
from sim.accuracy import (
    SoftmaxAccuracy,
    norm_accuracy,
    protocol_rows,
    softmax_accuracy,
    softmax_floor,
    unary_accuracy,
)
from sim.base2_bound import base2_bound
from sim.golden import Base2Spec, IbertNormSpec, RowSpec, SoftmaxRowSpec, UnarySpec

#: What is compared, by name.
CASES: list[tuple[str, Request]] = [
    ("nnlut, direct", Request("softmax", arch="direct")),
    ("nnlut, pwl", Request("softmax", arch="pwl")),
    ("base2", Request("softmax", method="base2")),
    ("kulisch", Request("softmax", method="kulisch")),
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
#: Random rows of what is told of one method: for the proofs more.
ROWS, BASE2_ROWS = 20_000, 100_000
IBERT_BITS = (8, 12, 16)
#: What `figures` are.
NAMES = ("max error", "MSE", "flips", "row sums")

#: Rows of a table, as they are measured.
Rows = Iterator[Sequence[object]]


def latency(spec: RowSpec) -> str:
    passes = spec.latency_of(2) - spec.latency_of(1)
    return f"{passes if passes > 1 else ''} n + {spec.latency_of(1) - passes}".strip()


def table_bytes(spec: RowSpec) -> int:
    """Return the bytes of a unit's tables: as the paper counts them, or all the bits they have."""
    counted = getattr(spec, "table_bytes", None)
    bits = sum(table.storage_bits for _, table in spec.tables())
    return math.ceil(bits / 8) if counted is None else counted


def figures(spec: SoftmaxRowSpec, a: SoftmaxAccuracy) -> tuple[str, ...]:
    """Return largest error, mean squared error, flips and row sums."""
    return (f"{a.max_ulp / spec.one:.4f}", f"{a.mse:.2e}", f"{a.flips:,}",
            f"{a.sum_min:.3f} to {a.sum_max:.3f}")  # fmt: skip


def protocol(frac: int) -> Rows:
    for name, request in CASES:
        if request.method == "kulisch" and frac < request.bits - 4:
            continue  # at 1/8, exponentials span more octaves than its sum may
        spec = spec_of(SoftmaxRowSpec, replace(request, input_frac=frac))
        for length in LENGTHS:
            rows = protocol_rows(spec, length)
            a = softmax_accuracy(spec, rows)
            yield name, length, *figures(spec, a), f"{softmax_floor(spec, rows):.2e}"


def everything(area: bool) -> Rows:
    for name, request in CASES:
        spec = spec_of(SoftmaxRowSpec, request)
        cells = [name, table_bytes(spec), *figures(spec, softmax_accuracy(spec))]
        cells.append(latency(spec))
        if area:
            short = replace(request, length=AREA_LENGTH)
            verilog = to_verilog(spec_of(SoftmaxRowSpec, short), "softmax", name)
            cells.append(f"{synthesize(verilog, 'softmax', 'generic').area:,.0f} GE")
        yield cells


def base2() -> None:
    """Print the measured and the proved error of base 2, by tables of several sizes."""
    requests = {"pwl, 16 segments": {}, "direct": {"arch": "direct"},
                "pwl, 8 segments": {"entries": 8}, "pwl, 4 segments": {"entries": 4}}  # fmt: skip
    specs = {name: spec_of(Base2Spec, Request("softmax", method="base2", **options))
             for name, options in requests.items()}  # fmt: skip
    default = specs["pwl, 16 segments"]
    # x + x/2 - x/16 is 23/16 x.
    specs["16 segments, SOLE's factor"] = replace(default, factor=23 << (default.factor_frac - 4))
    print()
    table(("tables", "rows", "max ulp", "proved at most", "RMS ulp", "flips", "latency"),
          _base2(specs))  # fmt: skip


def _base2(specs: dict[str, Base2Spec]) -> Rows:
    for name, spec in specs.items():
        a = softmax_accuracy(spec, count=BASE2_ROWS)
        yield (name, f"{a.rows:,}", f"{a.max_ulp:.3f}", rounded_up(base2_bound(spec)),
               f"{a.rms_ulp:.4f}", a.flips, latency(spec))  # fmt: skip


def ibert() -> None:
    """Print the errors of I-BERT's units: of functions for every code, of rows measured."""
    print()
    table(("unit", *(f"{bits} bits" for bits in IBERT_BITS)), _ibert_functions())
    print()
    table(("unit", "bits in", "bits out", "length", "rows", "max ulp", "RMS ulp"), _ibert_rows())


def _ibert_functions() -> Rows:
    for op in ("exp", "gelu", "sqrt"):
        units = [spec_of(UnarySpec, Request(op, bits, method="ibert")) for bits in IBERT_BITS]
        yield op, *(f"{unary_accuracy(unit, lookup(op)).max_ulp:.3g} ulp" for unit in units)


def _ibert_rows() -> Rows:
    for op, sizes in (("softmax", (8, 10, 12)), ("layernorm", (8, 16))):
        for bits in sizes:
            for length in (128, 1024):
                spec = spec_of(RowSpec, Request(op, bits, method="ibert", length=length))
                norm = isinstance(spec, IbertNormSpec)
                a = (norm_accuracy if norm else softmax_accuracy)(spec, count=ROWS)
                yield (op, bits, spec.output.bits, f"{length:,}", f"{a.rows:,}",
                       f"{a.max_ulp:.2f}", f"{a.rms_ulp:.3f}")  # fmt: skip


def cut(value: np.ndarray, divisor: int) -> np.ndarray:
    """Return the quotient cut off, in place of `nnlut_train.formats.round_divide`."""
    return value // divisor


def rounding() -> None:
    """Print what rexp and lut2d would be, were indices of their second tables cut off."""
    print()
    table(("method", "length", "indices", *NAMES), _rounding())


def _rounding() -> Rows:
    # The product of rexp is rounded in either case.
    places: dict[str, tuple[str, ...]] = {
        "rexp": ("sim.golden.lut_softmax",),
        "lut2d": ("sim.golden.lut_softmax", "sim.golden.lut2d"),
    }
    for method, modules in places.items():
        spec = spec_of(SoftmaxRowSpec, Request("softmax", method=method))
        for length in LENGTHS:
            rows = protocol_rows(spec, length)
            yield method, length, "rounded", *figures(spec, softmax_accuracy(spec, rows))
            with mock.patch.multiple(modules[0], round_divide=cut), \
                 mock.patch.multiple(modules[-1], round_divide=cut):  # fmt: skip
                a = softmax_accuracy(spec, rows)
            yield method, length, "cut off", *figures(spec, a)


#: What is told of one method, by its option.
DETAILS: dict[str, Callable[[], None]] = {"base2": base2, "ibert": ibert, "rounding": rounding}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--area", action="store_true",
                        help=f"also synthesise every unit, for rows of {AREA_LENGTH}")  # fmt: skip
    for name, what in DETAILS.items():
        text = (what.__doc__ or "").rstrip(".")
        parser.add_argument(f"--{name}", action="store_true", help=text[:1].lower() + text[1:])
    arguments = parser.parse_args()
    wanted = [what for name, what in DETAILS.items() if getattr(arguments, name)]
    for what in wanted:
        what()
    if wanted and not arguments.area:
        return
    for frac in FRACS:
        print()
        table((f"scale 1/{1 << frac}", "length", *NAMES, "floor"), protocol(frac))
    print()
    head = ("method", "bytes of tables", *NAMES, "latency", *["area"] * arguments.area)
    table(head, everything(arguments.area))


if __name__ == "__main__":
    main()
