"""Tools that are killed leave what was there, and nothing else; bench/interrupt.py has more."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest
from killing import ROOT, content, kill, litter, start

from hw.manifest import load_build, write_folder
from nnlut_train import cli, interrupt, scratch
from nnlut_train.errors import StepError

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
#: Writes one of two builds into a folder, again and again.
WRITER = """
import sys, itertools
from pathlib import Path
from hw.manifest import write_folder
for turn in itertools.count(int(sys.argv[2])):
    files = {f"{name}.v": str(turn % 2).encode() * 5000 for name in "abcdefgh"}
    write_folder(Path(sys.argv[1]), "a", {"verilog": "a.v"}, files)
    print(turn, flush=True)
"""


def written(folder, files=None):
    write_folder(folder, "a", {"verilog": "a.v", "command": "x"}, files or {"a.v": b"module a;\n"})
    return content(folder)


def aged(folder):
    """Make what is in a folder older than what a sweep leaves alone."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - 3600,) * 2, follow_symlinks=False)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
def test_a_killed_build_leaves_the_earlier_one(number, tmp_path):
    place, temporary = tmp_path / "place", tmp_path / "temporary"
    temporary.mkdir()
    before = written(place / "a")
    words = ["hw.build", "--op", "gelu", "--bits", "4", "--arch", "direct", "--target", "generic",
             "--out", str(place / "a")]  # fmt: skip

    def synthesising():
        return any(temporary.glob("nnlut-run-*/nnlut-yosys-*/script.ys"))

    process = start(words, temporary, tmp_path / "cache")
    killed = kill(process, number, synthesising, random.Random(number).random() / 4)
    assert killed is not None, "it ended before it was killed"
    assert killed.status == (-number if number == signal.SIGKILL else 128 + number)
    assert content(place / "a") == before
    assert load_build(place / "a").name == "a"
    assert litter(place) == []
    if number != signal.SIGKILL:
        assert litter(temporary) == []
        return
    # Nothing can be done about SIGKILL at once: the next command sweeps.
    (left,) = litter(temporary)
    aged(temporary)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(temporary))
        assert cli.run_main("tool", lambda _: None) == 0
    assert left not in litter(temporary)


def test_a_write_that_is_killed_at_any_moment_is_whole_or_not_there(tmp_path):
    rng, seen = random.Random(0), set()
    for _ in range(6):
        # Two at once: they take turns.
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(tmp_path / "a"), str(turn)], cwd=ROOT,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for turn in (0, 1)
        ]  # fmt: skip
        for writer in writers:
            assert writer.stdout.readline(), writer.stderr.read()
        time.sleep(rng.random() / 10)
        for writer in writers:
            writer.kill()
            assert "Error" not in writer.communicate()[1]
        files = content(tmp_path / "a")
        build = load_build(tmp_path / "a")
        assert set(files) == {"a.json", *build.manifest["files"]}
        assert {files[name] for name in build.manifest["files"]} == {files["a.v"]}
        seen.add(files["a.v"])
    aged(tmp_path)
    before = written(tmp_path / "a")
    assert content(tmp_path / "a") == before
    assert litter(tmp_path) == []


def test_where_folders_cannot_be_exchanged_the_earlier_one_is_set_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "exchange", lambda one, other: False)
    first = written(tmp_path / "a")
    second = written(tmp_path / "a", {"a.v": b"module other;\n"})
    assert first != second == content(tmp_path / "a")
    assert litter(tmp_path) == []


def test_a_fit_that_is_ended_writes_nothing(tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    out = tmp_path / "out" / "table.json"
    out.parent.mkdir()
    out.write_text("earlier")
    words = ["nnlut_train", "fit", "--function", "gelu", "--bits", "12", "--entries", "64",
             "--method", "genetic", "--out", str(out), "--force"]  # fmt: skip
    process = start(words, temporary, tmp_path / "cache")
    killed = kill(process, signal.SIGTERM, lambda: any(temporary.iterdir()), 0.3)
    assert killed is not None, "it ended before it was killed"
    assert killed.status == 143
    assert content(out.parent).keys() == {"table.json"}
    assert out.read_text() == "earlier"
    assert litter(temporary) == litter(out.parent) == []


def ended(main):
    """Run a command in-process, which a signal ends; return its exit status."""
    return cli.run_main("tool", lambda _: main())


def test_a_signal_ends_the_programs_that_threads_run(tmp_path, monkeypatch, capsys):
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sleep, errors = shutil.which("sleep"), []

    def work():
        try:
            interrupt.run([sleep, "100"])
        except StepError as error:
            errors.append(str(error))

    def main():
        with ThreadPoolExecutor(2) as pool:
            for _ in range(4):
                pool.submit(work)
            time.sleep(0.1)
            (tmp_path / "inside").write_text(tempfile.gettempdir())
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(100)

    began = time.monotonic()
    assert ended(main) == 143
    assert time.monotonic() - began < 50
    assert errors == ["interrupted"] * 4
    assert capsys.readouterr().err == "tool: error: interrupted\n"
    assert not os.path.exists((tmp_path / "inside").read_text())
    assert tempfile.gettempdir() == str(tmp_path)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_signal_waits_for_a_step_that_is_not_to_be_divided():
    done = []

    def main():
        with interrupt.held():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            done.append("step")
        done.append("never")

    assert ended(main) == 143
    assert done == ["step"]


def test_what_a_living_process_uses_is_not_swept(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def main():
        aged(tmp_path)
        assert cli.run_main("inner", lambda _: None) == 0
        (mine,) = litter(tmp_path)
        assert mine in tempfile.gettempdir()
        assert os.path.isdir(tempfile.gettempdir())

    assert ended(main) == 0
    assert litter(tmp_path) == []
