"""The proved bound of every kind of unit beside the worst that random rows and a search find.

``python bench/bounds.py [STEPS]``: a search changes its worst rows so often, 200 times by default;
takes some minutes. Functions of up to 16 bits are tried in full: the bound is the error itself.
Fails if an error is larger than what is proved.
"""

import sys
import time
from collections.abc import Iterator
from typing import Any

from common import table

from hw.catalogue import KINDS
from hw.design import design
from hw.report_accuracy import rounded_up
from hw.request import Request
from sim.golden import RowSpec
from sim.measure import how_proved, measure
from sim.worst import worst_row

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 200
#: Beyond the kinds: what has other proofs, or other sizes.
MORE: dict[str, dict[str, Any]] = {
    "pwl, 32 bits": {"op": "gelu", "bits": 32, "fit": "linear"},
    "fp16": {"op": "gelu", "precision": "fp16", "fit": "linear"},
    "fp32": {"op": "gelu", "precision": "fp32", "fit": "linear"},
    "softmax, 8 bits, rows of 128": {"op": "softmax"},
    "narrow distance, rows of 256": {"op": "softmax", "bits": 12, "distance_bits": 8,
                                     "output_bits": 8, "length": 256, "arch": "direct"},
    "layernorm, 16 bits, rows of 768": {"op": "layernorm", "length": 768},
    "i-layernorm, 16 bits, rows of 64": {"op": "layernorm", "length": 64, "method": "ibert"},
}  # fmt: skip
HEAD = ("unit", "proof", "proved at most", "measured", "search", "gap", "proof, s", "search, s")


def rows() -> Iterator[tuple[str, ...]]:
    for name, options in (KINDS | MORE).items():
        request = Request(**options)
        spec = design(request, request.wanted[0])
        start = time.perf_counter()
        accuracy, bound = measure(spec, request.ops, rows=2000 if spec.longest else None)
        proved, found, start = time.perf_counter() - start, accuracy.max_ulp, time.perf_counter()
        if isinstance(spec.bare, RowSpec):
            found = max(found, worst_row(spec.bare, STEPS).ulp)
        taken = f"{time.perf_counter() - start:.1f}" if spec.longest else "-"
        assert bound is not None, f"{name}: nothing is proved"
        yield (name, how_proved(spec), rounded_up(bound), f"{accuracy.max_ulp:.3f}",
               f"{found:.3f}" if spec.longest else "-", f"{1 - found / bound:.1%}",
               f"{proved:.1f}", taken)  # fmt: skip
        if found > bound:
            raise SystemExit(f"{name}: an error of {found} ulp is above the bound of {bound}")


def main() -> None:
    table(HEAD, rows())


if __name__ == "__main__":
    main()
