"""Inputs that once broke the tools: a wrong result, a traceback, or a misleading message."""

import json
import shutil
import sys

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.sim import Simulator

from hw import build as hw_build
from hw import choosing, fixed
from hw.manifest import load_build
from nnlut_train import files, tables
from nnlut_train.errors import UsageError
from nnlut_train.fit import Problem
from nnlut_train.formats import Format
from nnlut_train.functions import lookup
from sim import run as sim_run

GATES = ["--target", "generic", "--out", "o"]


@pytest.fixture(autouse=True)
def _own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNLUT_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("source", [unsigned(3), unsigned(8), signed(3)])
@pytest.mark.parametrize("text", ["s8.0", "s9.0", "u12.0"])
def test_saturate_grows(source, text):
    form = Format.parse(text)
    m, s = Module(), Signal(source)
    value = fixed.saturate(s, form)
    assert value.shape() == fixed.shape_of(form)
    o = Signal(value.shape())
    m.d.comb += o.eq(value)
    got = []

    async def tb(ctx):
        low = -(1 << source.width - 1) if source.signed else 0
        for code in range(low, 1 << source.width - source.signed):
            ctx.set(s, code)
            got.append((ctx.get(o), int(form.saturate(np.int64(code)))))

    sim = Simulator(m)
    sim.add_testbench(tb)
    sim.run()
    assert [a for a, _ in got] == [b for _, b in got]


def test_table_with_wide_signed_output_builds(tmp_path):
    formats = [Format.parse(text) for text in ("u4.0", "s12.0", "u4.0", "u7.-1")]
    t = tables.PwlTable(*formats, (), (15,), (127,))
    files.save(t, "grow.json")
    assert sim_run.main(["--op", "gelu", "--bits", "4", "--table", "grow.json"]) == 0


def test_direct_table_with_fold_none():
    form = Format(True, 4, 1)
    files.save(tables.DirectTable(form, form, tuple(range(-8, 8))), "d.json")
    words = ["--table", "d.json", "--fold", "none"]
    assert hw_build.main(["--op", "exp", "--bits", "4", *words, *GATES]) == 0


@pytest.mark.parametrize("text", ["x = 1 / 0", "def f(:"])
def test_module_that_fails_on_import(tmp_path, monkeypatch, text):
    (tmp_path / "bad_user_module.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("bad_user_module", None)
    with pytest.raises(UsageError, match="cannot be imported"):
        lookup("bad_user_module:f", (0, 1))


def test_vcd_without_name():
    assert sim_run.main(["--op", "gelu", "--bits", "4", "--vcd", "."]) == 2


def test_cache_that_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NNLUT_CACHE", str(tmp_path / "file"))
    assert hw_build.main(["--op", "gelu", "--bits", "4", "--arch", "pwl", *GATES]) == 0


PWL = tables.PwlTable(*[Format(True, 4, 0)] * 4, (), (1,), (0,)).to_json()


@pytest.mark.parametrize(
    "change",
    [{"slopes": 5}, {"slopes": None}, {"kind": []}, {"input": "s" + "9" * 5000 + ".4"}],
)
def test_damaged_table_fields(change):
    with pytest.raises(UsageError):
        files.from_json(PWL | change)


def test_huge_integer_in_table_file(tmp_path):
    text = json.dumps(PWL | {"meta": {}})
    huge = text.replace('"slopes": [1]', '"slopes": [' + "9" * 5000 + "]")
    assert huge != text
    (tmp_path / "t.json").write_text(huge)
    with pytest.raises(UsageError):
        files.load("t.json")


@pytest.mark.parametrize("frac", [-1100, 1100])
def test_absurd_fraction_bits(frac):
    with pytest.raises(UsageError):
        Format.parse(f"s8.{frac}")


def test_tiny_domain():
    assert hw_build.main(["--op", "gelu", "--bits", "4", "--domain=0,5e-324", *GATES]) == 2


def test_quantize_just_below_a_tie():
    assert Format(True, 8, 0).quantize(np.array([0.49999999999999994])).tolist() == [0]


def test_infinite_weight():
    f = Format(True, 4, 0)
    with pytest.raises(UsageError):
        Problem("f", np.zeros(16), f, f, f, f, 2, weights=np.full(16, np.inf))


def test_out_symlink_to_empty_folder(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    words = ["--op", "gelu", "--bits", "4", "--target", "generic", "--out", "link"]
    assert hw_build.main(words) == 0
    assert (tmp_path / "real" / "gelu_int4.v").is_file()


def test_dangling_link_in_earlier_build(tmp_path):
    words = ["--op", "gelu", "--bits", "4", *GATES]
    assert hw_build.main(words) == 0
    path = tmp_path / "o" / "vectors" / "input.hex"
    path.unlink()
    path.symlink_to("nowhere")
    assert hw_build.main(words) == 2


def test_files_of_manifest_not_strings(tmp_path):
    words = ["--op", "gelu", "--bits", "4", *GATES]
    assert hw_build.main(words) == 0
    b = load_build(tmp_path / "o")
    b.manifest["spec"]["table"]["file"] = 5
    with pytest.raises(UsageError):
        b.spec()


def test_edited_manifest_counts_as_changed(tmp_path):
    words = ["--op", "gelu", "--bits", "4", *GATES]
    assert hw_build.main(words) == 0
    path = tmp_path / "o" / "gelu_int4.json"
    path.write_text(path.read_text().replace("INT4 gelu", "my notes"))
    assert hw_build.main(words) == 2


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog (iverilog)")
def test_failing_verilog_names_the_cause(tmp_path, capsys):
    words = ["--op", "gelu", "--bits", "4", *GATES]
    assert hw_build.main(words) == 0
    with np.load("o/vectors/vectors.npz") as archive:
        vectors = dict(archive)
    vectors["output"][100] ^= 1
    np.savez("o/vectors/vectors.npz", **vectors)
    assert sim_run.main(["--build", "o"]) == 1
    assert "the Verilog differs from its vectors" in capsys.readouterr().err


def test_out_below_a_file_is_told_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")

    def work(*_, **__):
        raise AssertionError("it began to work")

    monkeypatch.setattr(choosing, "design", work)
    assert hw_build.main(["--op", "gelu", "--bits", "4", "--out", "file/sub"]) == 2
