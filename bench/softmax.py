"""Accuracy of the INT8 softmax: random and corner rows, the protocol, the proved bound.

The protocol: 256 rows of 64 and of 128 logits from N(0, 2), numpy's default_rng(0), scale 1/16;
"floor" is the error of correct rounding to the same output.
"""

import numpy as np

from hw.design import design
from hw.report import rounded_up
from hw.request import Request
from sim.accuracy import protocol_rows, softmax_accuracy, softmax_reference
from sim.bound import softmax_bound
from sim.golden import SoftmaxSpec


def floor_mse(spec: SoftmaxSpec, length: int) -> float:
    codes = np.stack(protocol_rows(spec, length))
    exact = softmax_reference(spec, codes)
    return float(np.mean((spec.output.real(spec.output.quantize(exact)) - exact) ** 2))


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
            a = softmax_accuracy(spec, protocol_rows(spec, length))
            print(
                f"| {name} | {length} | {a.mse:.3e} | {floor_mse(spec, length):.3e} | "
                f"{a.max_ulp * spec.output.scale:.5f} |"
            )


if __name__ == "__main__":
    main()
