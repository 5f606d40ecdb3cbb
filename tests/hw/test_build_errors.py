"""What hw.build refuses or fails at: its message, its exit code, and that it leaves no trace."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from building import around, build, content, one_error

from hw import build as hw_build
from hw import choosing
from nnlut_train import files, tables
from nnlut_train.errors import StepError
from nnlut_train.formats import Format

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def no_work(monkeypatch):
    """Fail as soon as something is fitted: what is wrong must be told before."""

    def work(*_, **__):
        raise AssertionError("it began to work")

    monkeypatch.setattr(choosing, "design", work)


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
    path.write_text(path.read_text().replace('"schema": 2', '"schema": 9'))
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
        ([], "either --op or --plan must be given, and not both"),
        (["--op", "gleu"], "--op must be one of softmax, layernorm, rmsnorm, exp, "),
        (["--op", "a b:c"], "a function must be one of exp, "),
        (["--op", ""], "--op must be one name, or several with one comma between, not ''"),
        (["--op", ","], "--op must be one name, or several with one comma between, not ','"),
        (["--op", "gelu,"], "--op must be one name, or several with one comma between, not "),
        (["--op", "no_such_module:f", "--domain", "0,1"], "no_such_module:f cannot be imported: "),
        (["--op", "math:sqrt"], "math:sqrt must be given a domain: --domain LO,HI"),
        ([*gelu, "--bits", "3"], "--bits must be 4 to 16, or 32 for gelu, not 3"),
        ([*gelu, "--bits", "17"], "--bits must be 4 to 16, or 32 for gelu, not 17"),
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
        (["--op", "softmax", "--table", "good.json"], "--table goes with one unary function"),
        (["--op", "softmax", "--domain", "0,1"], "--domain goes with one unary function"),
        ([*gelu, "--length", "8"], "--length goes with softmax, layernorm and rmsnorm, not"),
        ([*gelu, "--mask"], "--mask goes with softmax, not with gelu"),
        ([*gelu, "--lanes", "3"], "argument --lanes: invalid choice: 3 (choose from 1, 2, "),
        (["--op", "softmax", "--length", "100", "--lanes", "16"],
         "--length must be a multiple of --lanes 16, such as 112, not 100"),
        ([*gelu, "--method", "rexp"], "--method must be one of nnlut, ibert for gelu, not 'rexp'"),
        ([*gelu, "--method", "best"], "argument --method: invalid choice: 'best'"),
        (["--op", "rmsnorm", "--method", "ibert"],
         "--method must be nnlut for rmsnorm, not 'ibert'"),
        (["--op", "softmax", "--precision", "uint4"],
         "--precision needs --method rexp or lut2d, not nnlut"),
        (["--op", "softmax", "--method", "rexp", "--arch", "pwl"], "--arch must be auto for "),
        (["--op", "softmax", "--method", "rexp", "--fit", "nn"], "--fit goes with tables of lines"),
        (["--op", "softmax", "--method", "ibert", "--tables", "writable"],
         "--tables writable goes with tables of lines, not with softmax by ibert"),
        ([*gelu, "--tables", "writable", "--arch", "direct"],
         "--tables writable goes with --arch pwl, not with --arch direct"),
        (["--op", "gelu,gelu"], "--op must name each function once, not gelu,gelu"),
        (["--op", "gelu,softmax"], "--op must be softmax alone, or unary functions, not "),
        (["--op", "gelu,gleu"], "--op must be one of softmax, layernorm, rmsnorm, exp, "),
        (["--op", "gelu,exp", "--bits", "32"], "--bits must be 4 to 16 for gelu,exp, not 32"),
        (["--op", "gelu,exp", "--output-frac", "4"], "--output-frac goes with one function, not"),
        (["--op", "gelu,exp", "--domain", "0,1"], "--domain goes with one unary function, not"),
        (["--op", "layernorm", "--bits", "7"], "--bits must be 8 to 16 for layernorm, not 7"),
        (["--op", "layernorm", "--eps", "-1"], "--eps must be 0 to 1e+06, not -1.0"),
        (["--op", "layernorm", "--eps", "nan"], "--eps must be 0 to 1e+06, not nan"),
        ([*gelu, "--eps", "1"], "--eps goes with layernorm and rmsnorm, not with gelu"),
        (["--op", "layernorm", "--output-bits", "7"], "--output-bits must be 8 to 16 for "),
        (["--op", "rmsnorm", "--gamma", "none.txt"],
         "argument --gamma: none.txt must be a file of numbers: "),
        (["--op", "rmsnorm", "--beta", "wrong.lib"],
         "argument --beta: wrong.lib must be a file of numbers: "),
        (["--op", "rmsnorm", "--gamma", "two.txt"],
         "--gamma must have --length = 128 numbers, not 2"),
        (["--op", "layernorm", "--eps", "1e30"], "--eps must be 0 to 1e+06, not 1e+30"),
        (["--op", "rmsnorm", "--length", "2", "--gamma", "huge.npy"],
         "--gamma must have numbers of at most 1024 either way"),
        (["--op", "rmsnorm", "--gamma", "complex.npy"],
         "argument --gamma: complex.npy must have real numbers in one dimension, not complex128"),
        (["--op", "rmsnorm", "--beta", "empty.txt"],
         "--beta must have --length = 128 numbers, not 0"),
        ([*gelu, "--name", "module"], "--name must be a Verilog identifier, not 'module'"),
        ([*gelu, "--table", "good.json", "--bits", "4", "--output-bits", "8"],
         "--output-bits must be the table's 4, not 8"),
        ([*gelu, "--out", "wrong.lib"], "--out must be a new folder or an earlier build"),
        ([*gelu, "--nonsense"], "unrecognized arguments: --nonsense"),
    ]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), bad_inputs(), ids=lambda v: str(v)[:40])
@pytest.mark.usefixtures("no_work")
def test_bad_input(tmp_path, capsys, words, message):
    (tmp_path / "wrong.lib").write_text("this is no library\n")
    (tmp_path / "two.txt").write_text("1.0 2.0\n")
    (tmp_path / "empty.txt").write_text("")
    np.save(tmp_path / "huge.npy", np.full(2, 1e308))
    np.save(tmp_path / "complex.npy", np.full(128, 1j))
    form = Format(True, 4, 1)
    files.save(tables.DirectTable(form, form, tuple(range(-8, 8))), tmp_path / "good.json")
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
