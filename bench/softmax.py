"""Accuracy of the INT8 softmax: random and corner rows, the protocol, the proved bound.

The protocol: 256 rows of 64 and of 128 logits from N(0, 2), numpy's default_rng(0), scale 1/16;
"floor" is the error of correct rounding to the same output.

With --distance instead: logits of 12 bits, an 8-bit output, and exp tables that see less and less
of the distance; what each is in gates, for rows of up to 64. That takes a few minutes.
"""

import argparse
from collections.abc import Iterator

from common import spec_of, table

from hw.report_accuracy import rounded_up
from hw.request import Request
from hw.synth import synthesize
from hw.verilog import to_verilog
from sim.accuracy import protocol_rows, softmax_accuracy, softmax_floor
from sim.bound import softmax_bound
from sim.golden import SoftmaxSpec

#: Elements of the longest row of what is synthesised.
AREA_LENGTH = 64


def random(specs: dict[str, SoftmaxSpec]) -> Iterator[tuple[object, ...]]:
    for name, spec in specs.items():
        a = softmax_accuracy(spec, count=100_000)
        yield (name, f"{a.rows:,}", f"{a.max_ulp:.3f}", rounded_up(softmax_bound(spec)),
               f"{a.rms_ulp:.4f}", a.flips, f"{a.sum_min:.4f} to {a.sum_max:.4f}")  # fmt: skip


def protocol(specs: dict[str, SoftmaxSpec]) -> Iterator[tuple[object, ...]]:
    for name, spec in specs.items():
        for length in (64, 128):
            rows = protocol_rows(spec, length)
            a = softmax_accuracy(spec, rows)
            yield (name, length, f"{a.mse:.3e}", f"{softmax_floor(spec, rows):.3e}",
                   f"{a.max_ulp * spec.output.scale:.5f}")  # fmt: skip


def distance() -> Iterator[tuple[object, ...]]:
    usual = ("usual, --bits 8", Request("softmax", arch="direct", length=AREA_LENGTH))
    wide = {"arch": "direct", "output_bits": 8, "length": AREA_LENGTH}
    cases = [("usual, --bits 12", Request("softmax", 12, **wide))]
    cases += [(f"--distance-bits {bits}", Request("softmax", 12, distance_bits=bits, **wide))
              for bits in range(11, 5, -1)]  # fmt: skip
    for name, request in [*cases, usual]:
        spec = spec_of(SoftmaxSpec, request)
        a = softmax_accuracy(spec)
        cost = synthesize(to_verilog(spec, "top", name), "top", "generic")
        yield (name, str(spec.input), str(spec.exp.input), f"{a.max_ulp:.3f}",
               rounded_up(softmax_bound(spec)), f"{a.rms_ulp:.3f}",
               f"{cost.size:,.0f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--distance", action="store_true", help="narrow distances")
    if parser.parse_args().distance:
        table(("unit", "logits", "distance", "max ulp", "proved at most", "RMS ulp", "GE"),
              distance())  # fmt: skip
        return
    cases = {
        "direct": Request("softmax", arch="direct"),
        "pwl, base 2": Request("softmax", arch="pwl"),
        "pwl, --fold none": Request("softmax", arch="pwl", fold="none"),
    }
    specs = {name: spec_of(SoftmaxSpec, request) for name, request in cases.items()}
    head = ("tables", "rows", "max ulp", "proved at most", "RMS ulp", "flips", "row sums")
    table(head, random(specs))
    print()
    table(("protocol", "length", "MSE", "floor", "max error"), protocol(specs))


if __name__ == "__main__":
    main()
