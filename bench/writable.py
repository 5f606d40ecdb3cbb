"""What tables that are written at run time cost: ``python bench/writable.py``, some minutes.

Gate equivalents of the generic cells, and the resources of ``--target xilinx``, of units with
constant tables of lines and of the same ones with writable tables; INT8, the norm INT16 in; rows of
up to 128. The writable norm has gamma and beta, which the constant one gets here as numbers drawn
from N(1, 0.3) and N(0, 0.5), numpy's default_rng(0).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from common import table

from hw.cost import AsicCost, FpgaCost
from hw.design import design
from hw.request import Request
from hw.synth import synthesize_all
from hw.verilog import to_verilog

LENGTH = 128


def _norm() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"length": LENGTH, "gamma": tuple(rng.normal(1.0, 0.3, LENGTH).tolist()),
            "beta": tuple(rng.normal(0.0, 0.5, LENGTH).tolist())}  # fmt: skip


#: Name, and the unit with constant tables.
CASES = (
    ("gelu, folded", Request("gelu", entries=8, arch="pwl")),
    ("gelu, `--fold none`", Request("gelu", entries=8, fold="none")),
    ("gelu, folded", Request("gelu", entries=16, arch="pwl")),
    ("exp", Request("exp", entries=16, arch="pwl")),
    ("softmax", Request("softmax", entries=16, length=LENGTH, arch="pwl")),
    ("layernorm", Request("layernorm", entries=16, arch="pwl", **_norm())),
)


def figures(request: Request) -> tuple[str, str]:
    """Return the area of a unit's gates, and what it takes of an FPGA."""
    verilog = to_verilog(design(request, "pwl"), "unit", "unit")
    gates, fpga = synthesize_all(verilog, "unit", ["generic", "xilinx"])
    assert isinstance(gates, AsicCost)
    assert isinstance(fpga, FpgaCost)
    # LUTs are those of memories, too.
    parts = {"LUT": int(fpga.size), "FF": fpga.flip_flops, "DSP": fpga.dsp, "BRAM": fpga.bram}
    used = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
    return f"{gates.area:,.0f} GE", used


def rows() -> Iterator[tuple[object, ...]]:
    """Yield the rows of the table, one a unit."""
    for name, request in CASES:
        constant, writable = (
            figures(replace(request, tables=kind)) for kind in ("rom", "writable")
        )
        cells = (cell for pair in zip(constant, writable, strict=True) for cell in pair)
        yield name, request.entries, *cells


def main() -> None:
    table(
        ("unit", "entries", "constant", "writable", "xilinx, constant", "xilinx, writable"), rows()
    )


if __name__ == "__main__":
    main()
