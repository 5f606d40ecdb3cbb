"""The bench in a build's folder ``cocotb``: a user runs it without this project."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from hw.design import design
from hw.manifest import check_folder, write_folder
from hw.request import Request
from hw.verilog import to_verilog
from nnlut_train.errors import UsageError
from sim.cocotb_files import cocotb_files
from sim.golden import LanesSpec, WritableSpec
from sim.unit_coverage import Coverage
from sim.vectors import make_vectors
from sim.verilog import write_bench

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None or shutil.which("make") is None,
    reason="Icarus Verilog (iverilog) or make is not installed",
)
needs_cocotb = pytest.mark.skipif(
    importlib.util.find_spec("cocotb") is None or importlib.util.find_spec("cocotbext") is None,
    reason="cocotb and cocotbext-axi are not installed",
)

UNITS = {
    "tanh": {"op": "tanh", "bits": 5, "arch": "pwl", "entries": 4},
    "softmax": {"op": "softmax", "bits": 5, "length": 6, "lanes": 2, "mask": True},
}


@pytest.fixture(scope="module")
def specs():
    made = {}
    for name, options in UNITS.items():
        request = Request(**options)
        made[name] = design(request, request.wanted[0])
    return made


def build(spec, folder, verilog=None):
    """Write what of a build its bench reads."""
    write_bench(spec, make_vectors(spec), "unit", folder)
    (folder / "unit.v").write_text(verilog or to_verilog(spec, "unit", "a test"))


def make(folder, **environment):
    # In an own environment: nothing of this project can be imported.
    return subprocess.run(
        ["make", "-C", folder / "cocotb", f"PYTHON={sys.executable}"], capture_output=True,
        text=True, cwd=folder, env={**os.environ, **environment}, check=False,
    )  # fmt: skip


@needs_icarus
@needs_cocotb
@pytest.mark.parametrize("name", UNITS)
def test_make_passes_and_tells_the_coverage(specs, tmp_path, name):
    build(specs[name], tmp_path)
    before = {path.name for path in (tmp_path / "cocotb").iterdir()}
    done = make(tmp_path, SEED="3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "coverage of unit: " in done.stdout
    assert {path.name for path in (tmp_path / "cocotb").iterdir()} == before | {"work"}
    found = json.loads((tmp_path / "cocotb/work/coverage.json").read_text())
    place = "input code" if name == "tanh" else "distance from the row's maximum"
    assert found["bins"][f"{place}: every value"] == {"hit": 32, "of": 32, "missed": []}
    assert not any(group["missed"] for group in found["bins"].values())
    assert all(each["clocks"] for each in found["stalls"].values())


@needs_icarus
@needs_cocotb
def test_a_planted_fault_fails(specs, tmp_path):
    text = to_verilog(specs["tanh"], "unit", "a test")
    # One bit of one result, which one code has.
    bad = re.sub(r"(assign m_axis_tdata = )(.*);", r"\1\2 ^ (\2 == 8'hf9);", text)
    assert bad != text
    build(specs["tanh"], tmp_path, bad)
    done = make(tmp_path, COCOTB_TEST_FILTER="full_rate")
    assert done.returncode != 0
    assert re.search(r"row \d+ must be \w+, not \w+", done.stdout)


def test_the_files_are_the_same_twice_and_need_nothing_of_the_project(specs):
    spec = WritableSpec(LanesSpec(design(Request("gelu", 6, fold="none", entries=4), "pwl"), 2))
    for each in (spec, specs["softmax"]):
        first, second = (dict(cocotb_files(each, "unit", 5)) for _ in range(2))
        assert first == second
        for name in first:
            if name.endswith(".py"):
                used = re.findall(r"^(?:from|import) (\w+)", first[name].decode(), re.MULTILINE)
                assert not {"hw", "sim", "nnlut_train", "numpy"} & {*used}
    assert "cocotb_tables" in dict(cocotb_files(spec, "unit"))["Makefile"].decode()


def test_values_that_did_not_pass_are_told(specs):
    unit = json.loads(dict(cocotb_files(specs["tanh"], "unit"))["bench.json"])
    coverage = Coverage(unit)
    for code in range(-16, 15):
        coverage.beat([code], 0, True)
    bins = {name: missed for name, _, missed in coverage.bins()}
    assert bins["input code: every value"] == bins["input code: ends and zero"] == ["15"]
    assert coverage.missed() == ["input code: ends and zero", "input code: every value"]
    assert "missed: 15" in coverage.table()


def test_what_the_bench_wrote_is_no_part_of_a_build(tmp_path):
    folder = tmp_path / "b"
    files = {"unit.v": b"module unit; endmodule\n", "cocotb/Makefile": b"all:\n"}
    write_folder(folder, "unit", {"verilog": "unit.v", "command": "x"}, files)
    (folder / "cocotb/work").mkdir()
    (folder / "cocotb/work/results.xml").write_text("<x/>")
    assert check_folder(folder) == "x"
    (folder / "cocotb/mine.py").write_text("")
    with pytest.raises(UsageError, match=r"holds something else: cocotb/mine\.py$"):
        check_folder(folder)
