"""Runs tools as processes of their own, kills them, and looks at what they left."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Kill", "content", "kill", "litter", "start"]

ROOT = Path(__file__).parents[2]
#: Seconds in which a tool must have ended after a signal.
PATIENCE = 60.0


@dataclass(frozen=True)
class Kill:
    """How a tool that got a signal ended: its exit status, and after how many seconds."""

    status: int
    seconds: float


def start(words: Sequence[str], temporary: Path, cache: Path) -> subprocess.Popen:
    """Start ``python -m`` with these words, temporary files and caches in folders of its own."""
    environment = {**os.environ, "TMPDIR": str(temporary), "NNLUT_CACHE": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        # A runner of tests may ignore it, and its children with it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def kill(
    process: subprocess.Popen, number: signal.Signals, when: Callable[[], bool], delay: float = 0.0
) -> Kill | None:
    """Send a signal once `when` holds, and `delay` seconds later; None where it ended before."""
    while not when():
        if process.poll() is not None:
            process.communicate()
            return None
        time.sleep(0.005)
    time.sleep(delay)
    began = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    return Kill(process.returncode, time.monotonic() - began)


def content(folder: Path) -> dict[str, str]:
    """Return the files of a folder, with their hashes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def litter(folder: Path) -> list[str]:
    """Return the names of what is hidden in a folder, or temporary."""
    return sorted(
        path.name for path in folder.iterdir()
        if path.name.startswith((".", "nnlut-", "yowasp_", "tmp", "pymp-"))
    )  # fmt: skip
