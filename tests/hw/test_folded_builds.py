"""Builds of folded units, end to end."""

import json
import shutil
from pathlib import Path

import pytest
from building import build, one_error, small

from hw.design import design
from hw.manifest import load_build
from hw.request import Request
from nnlut_train import files, tables
from nnlut_train.folding import Fold
from nnlut_train.formats import Format
from sim import run as sim_run

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.mark.parametrize(
    ("words", "architecture", "table", "latency"),
    [
        (["gelu", 6, "--arch", "pwl", "--entries", 4], "pwl, folded (relu + even residual)",
         "gelu, folded (relu) to abs(x) as u4.2, 4 segments, ", 3),
        (["sigmoid", 5, "--arch", "pwl", "--entries", 3], "pwl, folded (f(-x) = 1 - f(x))",
         "sigmoid, folded (complement) to abs(x) as u4.1, 3 segments, ", 3),
        (["tanh", 11, "--arch", "direct"], "direct, folded (odd)",
         "tanh, folded (odd) to abs(x) as u10.8, 1024 values of 10 bits, 10240 bits", 2),
    ],
)  # fmt: skip
def test_folded_units(tmp_path, capsys, words, architecture, table, latency):
    op, bits, *rest = words
    small("--op", op, "--bits", bits, *rest, "--out", "out")
    printed = capsys.readouterr().out
    assert f"  architecture  {architecture}\n" in printed
    assert f"  tables        table: {table}" in printed
    assert f"  latency       {latency} clocks; measured\n" in printed
    built = load_build(tmp_path / "out")
    manifest = built.manifest
    assert manifest["latency"] == {
        "per_beat": 0, "constant": latency, "measured": {"1": latency}
    }  # fmt: skip
    entries = rest[3] if len(rest) > 2 else None
    spec = design(Request(op, bits, arch=rest[1], entries=entries), rest[1])
    assert built.spec() == spec
    assert built.spec().table.fold == spec.table.fold
    file = json.loads((tmp_path / "out" / "tables" / "table.json").read_text())
    assert manifest["folds"] == {"table": file["fold"]} == {"table": spec.table.fold.to_json()}


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog (iverilog)")
@pytest.mark.parametrize(
    "words", [["silu", 6, "--arch", "pwl", "--entries", 4], ["sigmoid", 11, "--arch", "direct"]]
)
def test_exported_verilog_of_folded_units(capsys, words):
    small("--op", words[0], "--bits", *words[1:], "--out", "out")
    assert load_build(Path("out")).spec().table.fold is not None
    assert sim_run.main(["--build", "out"]) == 0
    assert "results equal to the test vectors in Icarus Verilog" in capsys.readouterr().out


def test_units_without_a_fold_say_nothing_of_it(tmp_path, capsys):
    small("--op", "gelu", "--bits", 4, "--arch", "pwl", "--fold", "none", "--out", "out")
    printed = capsys.readouterr().out
    assert "  architecture  pwl\n" in printed
    assert "folded" not in printed.split("other --arch")[0]
    assert load_build(tmp_path / "out").manifest["folds"] == {}


def test_a_given_folded_table(tmp_path, capsys):
    form, magnitude = Format(True, 4, 1), Format(False, 3, 1)
    table = tables.PwlTable(
        form, form, form, form, (3,), (-2, 0), (2, 0), fold=Fold("relu", magnitude)
    )
    files.save(table, tmp_path / "mine.json")
    words = ["--op", "gelu", "--bits", 4, "--table", "mine.json", "--out", "out"]
    assert build(*words, "--fold", "none") == 2
    assert one_error(capsys) == (
        "--fold must be auto with a --table that is folded (relu), not none"
    )
    assert not (tmp_path / "out").exists()
    small(*words)
    assert "pwl, folded (relu + even residual)" in capsys.readouterr().out
    assert load_build(tmp_path / "out").spec().table == table
