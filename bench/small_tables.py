"""The smallest 8-bit functions, beside those of others: ``python bench/small_tables.py``.

Correctly rounded, and faithful (either neighbour of the exact value), minimised for each target:
LUTs of Xilinx 7 (joined by its wide multiplexers) and iCE40 without block RAM, and gates in gate
equivalents (GE). The others' circuits are combinational, without a handshake: ``core`` is the same
of ours, ``unit`` has the AXI4-Stream handshake and the registers. The second table (``--quarter``)
is the whole unit beside that of lines with 16 entries, in GE; what is minimised may have as large
an error as these, and all others are correctly rounded.
"""

import argparse
import functools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import table

from hw.core import core_verilog
from hw.design import design
from hw.request import Request
from hw.synth import synthesize
from hw.verilog import to_verilog
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from nnlut_train.logic import TARGETS
from nnlut_train.minimised import minimised_table
from sim.golden import MinimisedSpec, Spec

CODE = Format(True, 8, 4)
#: Synthesis target to what is minimised for it.
LOGIC = {"xilinx": "lut6", "ice40": "lut4", "generic": "gates"}
ROUNDING = {"correct": 0.5, "faithful": 1.0}
QUARTER = ("exp", "gelu", "silu", "sigmoid", "tanh", "reciprocal", "rsqrt")


class Case(NamedTuple):
    """A function with the LUTs of others (FloPoCo ALPHA; of da4ml, with its registers)."""

    function: Callable[[np.ndarray], np.ndarray]
    inputs: Format
    output: Format
    peer: dict[str, str]
    most: dict[str, int]


CASES = {
    "gelu": Case(FUNCTIONS["gelu"], CODE, CODE, {"xilinx": "23 (21)", "ice40": "29"},
                 {"xilinx": 22, "ice40": 29}),
    "silu": Case(FUNCTIONS["silu"], CODE, CODE, {"xilinx": "42 (33)", "ice40": "56"},
                 {"xilinx": 30, "ice40": 55}),
    "sigmoid": Case(FUNCTIONS["sigmoid"], CODE, Format(False, 8, 8),
                    {"xilinx": "126 (38)", "ice40": "189"}, {"xilinx": 35, "ice40": 105}),
    "exp(-x)": Case(lambda x: np.exp(-x), Format(False, 8, 5), Format(False, 8, 8),
                    {"xilinx": "113", "ice40": "184"}, {"xilinx": 29, "ice40": 100}),
}  # fmt: skip


def area(verilog: str, target: str) -> float:
    """Return LUTs, or gate equivalents."""
    cost = synthesize(verilog, "f", target, bram="auto" if target == "generic" else "off")
    return round(cost.area, 1) if target == "generic" else cost.luts


def small(case: Case, name: str, target: str, error: float, steps: int | None) -> dict[str, Any]:
    """Return what a minimised function takes."""
    logic = LOGIC[target]
    real = case.function(case.inputs.real(case.inputs.codes()))
    found = minimised_table(
        name, real, case.inputs, case.output, logic=logic, max_error=error, steps=steps
    )
    assert found.meta["errors"]["max_ulp"] <= error
    spec = MinimisedSpec(found, TARGETS[logic].lut)
    return {
        "function": name, "target": target, "max_ulp": found.meta["errors"]["max_ulp"],
        "peer": case.peer.get(target), "most": case.most.get(target),
        "core": area(core_verilog(spec, "f"), target),
        "unit": area(to_verilog(spec, "f", name), target),
    }  # fmt: skip


def peers(
    names: list[str], targets: list[str], steps: int | None, results: list[Any]
) -> Iterator[tuple[object, ...]]:
    """Yield the rows of the first table."""
    for name in names:
        for target in targets:
            found = {}
            for rounding, error in ROUNDING.items():
                found[rounding] = small(CASES[name], name, target, error, steps)
                results.append({"table": "peers", "rounding": rounding, **found[rounding]})
            correct, faithful = found["correct"], found["faithful"]
            yield (name, target, correct["peer"] or "", correct["most"] or "", correct["core"],
                   correct["unit"], faithful["core"], faithful["unit"],
                   f"{1 - faithful['core'] / correct['core']:.0%}")  # fmt: skip


def unit_area(spec: Spec) -> float:
    """Return the area of a whole unit in GE."""
    return area(to_verilog(spec, "f", "f"), "generic")


def quarters(
    names: list[str], steps: int | None, results: list[Any]
) -> Iterator[tuple[object, ...]]:
    """Yield the rows of the second table; what is minimised may have the error of the lines."""
    for name in names:
        request = Request(name, entries=16)
        lines, exact = design(request, "pwl"), design(Request(name, arch="direct"), "direct")
        function, inputs, output = request.function, exact.input, exact.output
        with np.errstate(divide="ignore"):
            real = function(inputs.real(inputs.codes()))
        wrong = lines.compute(inputs.codes()) - output.clip(real) * 2.0**output.frac
        error = max(0.5, float(np.abs(wrong).max()))
        found = minimised_table(name, real, inputs, output, max_error=error, steps=steps)
        areas = {"pwl 16": unit_area(lines), "direct": unit_area(exact)}
        for arch in ("delta", "indexed"):
            areas[arch] = unit_area(design(Request(name, arch=arch, max_error=0.5), arch))
        areas["minimised"] = unit_area(MinimisedSpec(found))
        best = min(area for key, area in areas.items() if key != "pwl 16") / areas["pwl 16"]
        results.append({"table": "quarter", "function": name, "max_ulp": error, **areas})
        yield name, f"{error:.3f}", *areas.values(), f"{best:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    every = (*CASES, *QUARTER)
    parser.add_argument("functions", nargs="*", help=f"of {', '.join(dict.fromkeys(every))}")
    parser.add_argument("--quarter", action="store_true", help="the second table")
    parser.add_argument("--target", nargs="+", choices=tuple(LOGIC), default=list(LOGIC),
                        help="of the first table; default: all")  # fmt: skip
    parser.add_argument("--steps", type=int, help="steps of each search")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, too")
    options = parser.parse_args()
    known = QUARTER if options.quarter else tuple(CASES)
    names = options.functions or list(known)
    if unknown := set(names) - set(known):
        parser.error(f"a function must be one of {', '.join(known)}, not {min(unknown)}")
    results: list[Any] = []
    head: tuple[str, ...]
    if options.quarter:
        head = ("function", "error of the lines, ulp", "pwl 16, GE", "direct, GE", "delta, GE",
                "indexed, GE", "minimised, GE", "the smallest, of pwl 16")  # fmt: skip
        rows = functools.partial(quarters, names, options.steps, results)
    else:
        head = ("function", "target", "peer (with registers)", "at most", "core", "unit",
                "faithful core", "faithful unit", "less")  # fmt: skip
        rows = functools.partial(peers, names, options.target, options.steps, results)
    table(head, rows())
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
