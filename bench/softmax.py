"""Accuracy of the INT8 softmax: random and corner rows, the protocol, the proved bound.

The protocol: 256 rows of 64 and of 128 logits from N(0, 2), numpy's default_rng(0), scale 1/16;
"floor" is the error of correct rounding to the same output.
"""

from hw.design import design
from hw.report_accuracy import rounded_up
from hw.request import Request
from sim.accuracy import protocol_rows, softmax_accuracy, softmax_floor
from sim.bound import softmax_bound


def main() -> None:
    cases = {
        "direct": (Request("softmax"), "direct"),
        "pwl, base 2": (Request("softmax"), "pwl"),
        "pwl, --fold none": (Request("softmax", fold="none"), "pwl"),
    }
    print("| tables | rows | max ulp | proved at most | RMS ulp | flips | row sums |")
    print("|---|---|---|---|---|---|---|")
    specs = {name: design(request, arch) for name, (request, arch) in cases.items()}
    for name, spec in specs.items():
        a = softmax_accuracy(spec, count=100_000)
        print(
            f"| {name} | {a.rows:,} | {a.max_ulp:.3f} | {rounded_up(softmax_bound(spec))} | "
            f"{a.rms_ulp:.4f} | {a.flips} | {a.sum_min:.4f} to {a.sum_max:.4f} |"
        )
    print("\n| protocol | length | MSE | floor | max error |")
    print("|---|---|---|---|---|")
    for name, spec in specs.items():
        for length in (64, 128):
            rows = protocol_rows(spec, length)
            a = softmax_accuracy(spec, rows)
            print(
                f"| {name} | {length} | {a.mse:.3e} | {softmax_floor(spec, rows):.3e} | "
                f"{a.max_ulp * spec.output.scale:.5f} |"
            )


if __name__ == "__main__":
    main()
