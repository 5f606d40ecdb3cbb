"""`python -m sim.run`: what it simulates, what it refuses, and what it leaves behind."""

import re
import shutil

import numpy as np
import pytest
from building import around, one_error

from hw.manifest import load_build
from hw.request import Request
from sim import run as sim_run

pytestmark = pytest.mark.usefixtures("own_folder")


def simulate(*words):
    return sim_run.main([str(word) for word in words])


def test_the_verilog_passes_in_another_simulator(gelu, capsys):
    beats = load_build(gelu[0]).manifest["vectors"]["beats"]
    assert sim_run.main(["--build", str(gelu[0])]) == 0
    # Twice: at full rate and with stalls.
    assert (
        f"gelu_int8.v: {2 * beats:,} results equal to the test vectors" in capsys.readouterr().out
    )


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
    tried = [line.rpartition(" ")[2] for line in out.splitlines() if "--arch" in line]
    assert tried == list(Request("exp", 4).wanted)
    assert {"pwl", "direct", "indexed", "multipartite"} <= set(tried)
    assert simulate("--op", "exp", "--bits", 4, "--entries", 2, "--fold", "none") == 0
    assert "--arch direct" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "either --op or --build must be given, and not both"),
        (["--op", "gelu", "--build", "."], "either --op or --build must be given, and not both"),
        (["--op", "gelu", "--bits", "3"], "--bits must be 4 to 16, or 32 for gelu, not 3"),
        (["--op", "gelu", "--vcd", "old.vcd", "--arch", "pwl"],
         "--vcd must name a new file in a folder that exists, not old.vcd"),
        (["--op", "gelu", "--vcd", "old.vcd", "--bits", "4"],
         "--vcd must name a new file in a folder that exists, not old.direct.vcd"),
        (["--op", "gelu", "--vcd", "nowhere/new.vcd", "--arch", "pwl"],
         "--vcd must name a new file in a folder that exists, not nowhere/new.vcd"),
        (["--build", ".", "--vcd", "new.vcd"], "--vcd goes with --op, not with --build"),
        (["--build", "."], "BUILD_DIR must be"),
        (["--build", "nowhere"], "BUILD_DIR must be"),
        (["--build", ".", "--lanes", "4"], "--lanes goes with --op, not with --build"),
        (["--build", ".", "--seed", "-3"], "--seed must be 0 to 4294967295, not -3"),
        (["--op", "gelu", "--beats", "9"], "--beats goes with --build, not with --op"),
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
    assert around(tmp_path / "any") == sorted(
        f"wave.{arch}.vcd" for arch in Request("gelu", 4).wanted
    )


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
