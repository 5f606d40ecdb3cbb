"""Accuracy of the INT8 softmax: random and corner rows, the protocol, the proved bound.

The protocol: 256 rows of 64 and of 128 logits from N(0, 2), numpy's default_rng(0), scale 1/16;
"floor" is the error of correct rounding to the same output.
"""

from collections.abc import Iterator

from common import spec_of, table

from hw.report_accuracy import rounded_up
from hw.request import Request
from sim.accuracy import protocol_rows, softmax_accuracy, softmax_floor
from sim.bound import softmax_bound
from sim.golden import SoftmaxSpec


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


def main() -> None:
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
