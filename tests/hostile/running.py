"""Runs a tool on hostile input, and says what is wrong with how it took it."""

import contextlib
import hashlib
import io
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from mutators import PLANTED

__all__ = ["Call", "Outcome", "judge"]

#: Seconds that a case may take; most take some milliseconds.
SECONDS = 30


class _TooSlowError(BaseException):
    """No error that a tool may handle."""


@dataclass(frozen=True)
class Call:
    """A tool and its arguments: ``main(argv)`` returns the exit status."""

    prog: str
    main: Callable[[Sequence[str]], int]
    argv: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """How a tool took its input: its exit status, and what is wrong with that, if anything."""

    status: int | None
    wrong: str
    seconds: float


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def late(*_: object) -> None:
        raise _TooSlowError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# What the function of a user's module warns of is shown as Python shows it.
_WARNING = re.compile(r"^\S*/user_\w+\.py:\d+: \w*Warning: .*\n(?:  .*\n)?", re.MULTILINE)


def _content(folder: Path) -> dict[str, str]:
    """Return what is in a folder; of a file a hash."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 24 else "other"
        for path in folder.rglob("*")
    }  # fmt: skip


def judge(prepare: Callable[[Random, Path], Call], seed: object, folder: Path) -> Outcome:
    """Run one case.

    Parameters
    ----------
    prepare : callable
        Writes hostile files into the folder, and returns what is to be run on them.
    seed : object
        Of the case.
    folder : Path
        An empty one is made there, and deleted.

    Returns
    -------
    Outcome
        What is wrong: a traceback, another exit status than 0, 1 and 2, a message of more than one
        line, code of the user's that was run because of data, files that were left or changed by a
        run that failed, too much time or memory.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    call = prepare(Random(str(seed)), folder)
    before = _content(folder)
    out, err, status, wrong = io.StringIO(), io.StringIO(), None, ""
    began = time.perf_counter()
    try:
        with _limited(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = call.main(call.argv)
    except SystemExit as error:  # --help
        status = error.code if isinstance(error.code, int) else None
    except _TooSlowError:
        wrong = f"more than {SECONDS} s"
    except BaseException:
        wrong = traceback.format_exc()
    seconds = time.perf_counter() - began
    said = _WARNING.sub("", err.getvalue())
    if wrong:
        pass
    elif status not in (0, 1, 2):
        wrong = f"exit status {status}"
    elif status and (not said.startswith(f"{call.prog}: error: ") or said.count("\n") != 1):
        wrong = f"no single line: {said[:300]!r}"
    elif "not enough memory" in said:
        wrong = "too much memory"
    elif PLANTED in sys.modules:
        del sys.modules[PLANTED]
        wrong = "code was run because of data"
    elif status and _content(folder) != before:
        wrong = f"files were left or changed: {_content(folder).items() ^ before.items()}"
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(status, wrong, seconds)
