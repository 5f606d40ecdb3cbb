"""What tables that are written at run time cost: ``python bench/writable.py``, some minutes.

Gate equivalents of the generic cells, and the resources of ``--target xilinx``, of units with constant tables of lines and of the same ones with writable tables; INT8, the norm
INT16 in. Row units of up to 128 elements. The writable norm has gamma and beta, which the constant
one gets here as numbers drawn from N(1, 0.3) and N(0, 0.5), numpy's default_rng(0).
"""

from dataclasses import replace
from typing import Any

import numpy as np

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
    parts = {"LUT": fpga.luts, "FF": fpga.flip_flops, "LUT of memory": fpga.lutram,
             "DSP": fpga.dsp, "BRAM": fpga.bram}  # fmt: skip
    used = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
    return f"{gates.area:,.0f} GE", used


def main() -> None:
    print("| unit | entries | constant | writable | xilinx, constant | xilinx, writable |")
    print("|---|---|---|---|---|---|")
    for name, request in CASES:
        constant, writable = (figures(replace(request, tables=kind)) for kind in ("rom", "writable"))
        cells = (cell for pair in zip(constant, writable, strict=True) for cell in pair)
        print(f"| {name} | {request.entries} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
