"""The folder ``cocotb`` of a build: a bench that runs without this project."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np

from hw.axi import data_bytes, ports
from sim.golden import (
    IbertSoftmaxSpec,
    KulischSpec,
    Lut2dSpec,
    RexpSpec,
    SoftmaxSpec,
    Spec,
    UnarySpec,
    WritableSpec,
)

from .beats import flags
from .random_tables import random_tables
from .sampling import boundaries
from .stimuli import EVERY_CODE_BITS, Stimulus, stimuli
from .vectors import Vectors, hex_fields, standard_parts, vectors_of

__all__ = ["cocotb_files", "run_modules"]

#: Beats that are sent again and again, more or less, while tables are loaded.
LOAD_BEATS = 200
#: How many tables are drawn, to find some that give other results.
ATTEMPTS = 20
#: Beats of the shorter runs.
SOME_BEATS = 128

MAKEFILE = """\
# Simulates {name} against its test vectors: `make -C {folder}`.
# It needs make, Icarus Verilog, and: pip install 'cocotb>=2.1,<2.2' 'cocotbext-axi>=0.1.28'
#   SIM=verilator   Verilator, 5.036 or later, in place of Icarus Verilog
#   SEED=1          other random stalls
#   PYTHON=...      the Python that has cocotb
# What it writes is in work/: coverage.json, results.xml. `make clean` removes it.
SIM ?= icarus
SEED ?= 0
PYTHON ?= python3

COCOTB_MAKEFILES := $(shell $(PYTHON) -m cocotb_tools.config --makefiles 2>/dev/null)
ifeq ($(COCOTB_MAKEFILES),)
$(error cocotb was not found by $(PYTHON): pip install 'cocotb>=2.1,<2.2' 'cocotbext-axi>=0.1.28')
endif

TOPLEVEL_LANG := verilog
COCOTB_TOPLEVEL := {name}
COCOTB_TEST_MODULES := {modules}
VERILOG_SOURCES := ../{name}.v
SIM_BUILD := work/$(SIM)
COCOTB_RESULTS_FILE := work/results.xml
# Without a timescale the clock's period cannot be told.
COCOTB_HDL_TIMEUNIT := 1ns
COCOTB_HDL_TIMEPRECISION := 1ps
# Not the one of the first cocotb-config on the path.
override PYTHON_BIN := $(PYTHON)
export COCOTB_RANDOM_SEED := $(SEED)
export COVERAGE_JSON := work/coverage.json
# Nothing is written beside the bench's own files.
export PYTHONDONTWRITEBYTECODE := 1
export PYTHONPATH := $(CURDIR):$(PYTHONPATH)

include $(COCOTB_MAKEFILES)/Makefile.sim

clean::
\t$(RM) -r work
"""


def run_modules(spec: Spec) -> list[str]:
    """Return the modules of a unit's bench that have tests, in the order in which they are run."""
    return ["cocotb_bench", *["cocotb_tables"] * isinstance(spec, WritableSpec)]


def _starts(numbers: np.ndarray, low: int) -> list[int]:
    """Return the values from `low` on at which another segment begins, from the first's begin."""
    return [low, *(np.flatnonzero(np.diff(numbers)) + low + 1).tolist()]


def _values(spec: Spec) -> dict[str, Any]:
    """Return the bins of what the ports show of the values that tables see."""
    bare, form = spec.bare, spec.input
    every = form.bits <= EVERY_CODE_BITS
    bins = {"name": "input code", "of": "code", "low": int(form.min), "high": int(form.max),
            "starts": [int(form.min)], "every": every}  # fmt: skip
    if isinstance(bare, UnarySpec):
        starts = boundaries(bare)
        return bins | {"starts": [int(form.min), *starts[starts > form.min].tolist()]}
    if isinstance(bare, KulischSpec):
        return bins | {"starts": _starts(bare.exp.segment(form.codes()), int(form.min))}
    if isinstance(bare, SoftmaxSpec | IbertSoftmaxSpec | RexpSpec | Lut2dSpec):
        # The distance from the row's maximum.
        distances = np.arange(form.max - form.min + 1)
        if isinstance(bare, SoftmaxSpec):
            numbers = bare.exp.segment(bare.narrowed(distances))
        elif isinstance(bare, IbertSoftmaxSpec):
            numbers = bare.exp.segment(distances)
        else:
            numbers = bare.exp_index(distances)
        return {"name": "distance from the row's maximum", "of": "distance", "low": 0,
                "high": int(distances[-1]), "starts": _starts(numbers, 0),
                "every": every and bare.longest > 1}  # fmt: skip
    # What the tables of others see is not on the ports, and many codes are not in a row.
    return bins | {"every": False}


def _inside(spec: Spec) -> list[str]:
    """Return the names of the tables whose argument cannot be seen on the ports."""
    if isinstance(spec.bare, UnarySpec):
        return []
    seen = isinstance(spec.bare, SoftmaxSpec | KulischSpec | RexpSpec | Lut2dSpec)
    return [name for name, _ in spec.bare.tables() if not (seen and name.startswith("exp"))]


def _patterns(spec: Spec, parts: list[Stimulus]) -> list[str]:
    """Return what must be seen of rows."""
    found = ["tlast on a row's first beat", "reset in mid-row"]
    if spec.lanes > 1:
        found.append("last beat of a row not full")
        found += ["lanes without an element in mid-row"] * any(p.keeps is not None for p in parts)
    if spec.mask:
        found += [f"{share} elements of a row masked" for share in ("no", "some", "all")]
    elif spec.user_bits:
        found += [f"tuser = {user}" for user in range(1 << spec.user_bits)]
    return found


def _lengths(spec: Spec) -> list[int]:
    """Return the lengths of rows that must be seen: the corners, and each remainder of lanes."""
    if not spec.longest:
        return [1]
    return sorted({1, spec.longest, spec.longest + 1,
                   *(min(spec.longest, spec.lanes + k) for k in range(1, spec.lanes))})  # fmt: skip


def _unit(spec: Spec, name: str, seed: int) -> dict[str, Any]:
    """Return ``bench.json``, without the tables that are loaded."""
    widths = {port.name: port.width for port in ports(spec)}
    parts = standard_parts(spec, seed)
    told = dict.fromkeys(("overlong", "holes"), False)
    for part in parts:
        for flag, here in zip(told, flags(spec, part.rows, part.keeps), strict=True):
            told[flag] |= here
    keep, size = "s_axis_tkeep" in widths, spec.longest or 1
    return {
        "top": name,
        "lanes": spec.lanes, "longest": spec.longest, "mask": spec.mask,
        "user_bits": spec.user_bits,
        "input": {"signed": spec.input.signed, "bits": spec.input.bits,
                  "bytes": data_bytes(spec.input)},
        "output": {"bytes": data_bytes(spec.output)},
        "fields": {
            "input": hex_fields(widths["s_axis_tdata"], keep=keep, user_bits=spec.user_bits),
            "output": hex_fields(widths["m_axis_tdata"], keep=keep, user_bits=0),
        },
        "flags": {flag: int(here) for flag, here in told.items() if flag in widths},
        "drain": 32 + spec.latency_of(size),
        "patience": 1000 + 16 * spec.longest + spec.latency_of(size),
        "some": SOME_BEATS,
        "reset_after": spec.latency_of(size) + spec.beats(size) // 2 + 1,
        "coverage": {
            "values": [_values(spec)], "lengths": _lengths(spec),
            "patterns": _patterns(spec, parts), "inside": _inside(spec),
        },
    }  # fmt: skip


def _load_rows(spec: WritableSpec, seed: int) -> Stimulus:
    """Return rows of all kinds, for some beats."""
    everything = stimuli(spec, seed)[2]
    ends = np.cumsum([spec.beats(len(row)) for row in everything.rows])
    count = max(1, int((ends <= LOAD_BEATS).sum()))
    users = everything.users and everything.users[:count]
    return replace(everything, rows=everything.rows[:count], users=users)


def _loading(spec: WritableSpec, seed: int) -> tuple[dict[str, Any], list[Vectors]]:
    """Return the tables that are loaded, and the vectors of some rows by the old and by them."""
    rows = _load_rows(spec, seed)
    old = vectors_of(spec, [rows])
    # Of tables of few codes, some give the same results: others are drawn then.
    for attempt in range(ATTEMPTS):
        tables = random_tables(spec, random.Random(seed + attempt))
        new = vectors_of(spec.with_tables(tables), [rows])
        if (old.output != new.output).any():
            break
    return {name: table.to_json() for name, table in tables.items()}, [old, new]


def cocotb_files(spec: Spec, name: str, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file of a build's folder ``cocotb``.

    Parameters
    ----------
    spec : Spec
        The unit.
    name : str
        Of the Verilog module.
    seed : int
        Of the vectors; the one of the tables that are loaded into a writable unit, too.
    """
    unit = _unit(spec, name, seed)
    if isinstance(spec, WritableSpec):
        tables, (old, new) = _loading(spec, seed)
        unit["load"] = {"driver": f"{name}_driver", "tables": tables}
        widths = tuple(8 * spec.lanes * data_bytes(form) for form in (spec.input, spec.output))
        files = old.files(widths, spec.user_bits)
        yield "load_input.hex", files["input.hex"]
        yield "load_old.hex", files["output.hex"]
        yield "load_new.hex", new.files(widths, spec.user_bits)["output.hex"]
    modules = run_modules(spec)
    for module in (*modules, "unit_coverage", "unit_rows"):
        yield f"{module}.py", resources.files("sim").joinpath(f"{module}.py").read_bytes()
    text = MAKEFILE.replace("{name}", name).replace("{modules}", ",".join(modules))
    yield "Makefile", text.replace("{folder}", f"build/{name}/cocotb").encode()
    yield "bench.json", (json.dumps(unit, indent=1) + "\n").encode()
