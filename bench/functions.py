"""Every unary function: error and area of both architectures, side by side.

``python bench/functions.py [BITS]``; 8 bits by default, 4 to 12.
"""

import sys
import tempfile
from pathlib import Path

from hw.build import build
from hw.choices import OPS
from hw.request import Request


def main() -> None:
    bits = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    print("| op | input | output | direct: GE | max ulp | pwl: GE | segments | max ulp |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for op in OPS[1:]:
            result = build(Request(op, bits, arch="direct"), Path(folder) / op)
            direct, pwl = result.chosen, result.others[0]
            (table,) = [table for _, table in pwl.spec.tables()]
            print(
                f"| {op} | {direct.spec.input} | {direct.spec.output} | {direct.cost.area:,.0f} | "
                f"{direct.accuracy.max_ulp:.3f} | {pwl.cost.area:,.0f} | {table.entries} | "
                f"{pwl.accuracy.max_ulp:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
