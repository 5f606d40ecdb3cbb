"""Compare optimal tables with GQA-LUT's on its own grid: ``python bench/optimal.py``.

GELU, HSWISH and exp at steps of 0.01 with slopes and intercepts of 8 bits, 6 of them fraction
bits: the storage of GQA-LUT (Dong et al., DAC 2024, arXiv 2403.19591). Its figures are those of
the tables in its repository (PingchengDong/GQA-LUT), measured on this grid. "Published DP" is an
earlier dynamic programme over the same breakpoints; it tries four slopes a segment, which costs it
a little in the last row.
"""

import math
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nnlut_train.fit import optimal
from nnlut_train.formats import Format

Q1_6 = Format(signed=True, bits=8, frac=6)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])


def hswish(x: np.ndarray) -> np.ndarray:
    return x * np.clip(x + 3, 0, 6) / 6


# Name, function, range, entries, published mean squared errors: dynamic programme, GQA-LUT.
CASES = [
    ("GELU", gelu, -4, 4, 8, 2.77e-5, 7.22e-5),
    ("GELU", gelu, -4, 4, 16, 3.20e-6, 1.61e-5),
    ("HSWISH", hswish, -4, 4, 8, 1.11e-4, 3.33e-4),
    ("HSWISH", hswish, -4, 4, 16, 8.0e-6, 1.84e-5),
    ("exp", np.exp, -8, 0, 8, 1.12e-5, 1.93e-5),
    ("exp", np.exp, -8, 0, 16, 5.02e-6, 2.21e-5),
]


def main() -> None:
    print("function  entries  MSE         earlier DP  GQA-LUT   gain  seconds")
    total = 0.0
    for name, function, low, high, entries, programme, gqa in CASES:
        x = np.arange(low, high, 0.01)
        begin = time.perf_counter()
        cost = optimal.search(x, function(x), None, Q1_6, Q1_6, entries, "mse")[3]
        seconds = time.perf_counter() - begin
        total += seconds
        print(
            f"{name:8}  {entries:7}  {cost:.4e}  {programme:.2e}      {gqa:.2e}  "
            f"{gqa / cost:3.1f}x  {seconds:7.2f}"
        )
    print(f"total {total:.2f} s")


if __name__ == "__main__":
    main()
