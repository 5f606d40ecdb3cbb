"""How a command ends early: signals become exceptions, and the programs it runs end with it.

SIGINT, SIGTERM and SIGHUP raise `Interrupted` in the main thread, so that everything on the way
out is tidied up as after any error. SIGKILL gives no chance for that; see `nnlut_train.scratch`.
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from .errors import StepError

__all__ = ["Interrupted", "enter_worker", "guard", "held", "run"]

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP")
            if hasattr(signal, name)]  # fmt: skip


class Interrupted(KeyboardInterrupt):
    """A signal ended the command; ``args[0]`` is its number."""


class _State:
    """What the handler and the threads share."""

    def __init__(self) -> None:
        # Reentrant: the handler may come while the main thread has it.
        self.lock = threading.RLock()
        self.running: set[subprocess.Popen] = set()
        self.stopping = False
        self.held = 0
        self.pending: int | None = None

    def stop(self) -> None:
        with self.lock:
            self.stopping = True
            for process in self.running:
                process.kill()


_state = _State()


def _handle(number: int, _: Any) -> None:
    if _state.held:
        _state.pending = number
        return
    _state.stop()
    raise Interrupted(number)


@contextlib.contextmanager
def guard() -> Iterator[None]:
    """Raise `Interrupted` for signals while the context is open; only in the main thread.

    A signal that is ignored, as after ``nohup``, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    _state.stopping, _state.pending = False, None
    try:
        for number in _SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, _handle)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _state.stopping = False


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let a signal wait until the context is closed; for short steps that belong together."""
    with _state.lock:
        _state.held += 1
    try:
        yield
    finally:
        with _state.lock:
            _state.held -= 1
            number = None if _state.held else _state.pending
            if number is not None:
                _state.pending = None
        if number is not None:
            os.kill(os.getpid(), number)


def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess:
    """Run a program as `subprocess.run` does, and end it with the command.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    **options
        Of `subprocess.Popen`; and of `subprocess.run`, ``capture_output`` and ``timeout``.

    Raises
    ------
    StepError
        If the command is being ended.
    OSError
        If the program cannot be run.
    subprocess.TimeoutExpired
        If it takes more than ``timeout`` seconds.
    """
    timeout = options.pop("timeout", None)
    if options.pop("capture_output", False):
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    options.setdefault("stdin", subprocess.DEVNULL)
    with _state.lock:
        if _state.stopping:
            raise StepError("interrupted")
        process = subprocess.Popen(command, **options)
        _state.running.add(process)
    try:
        output, errors = process.communicate(timeout=timeout)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        with _state.lock:
            _state.running.discard(process)
    if _state.stopping:  # what was killed has no meaning
        raise StepError("interrupted")
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def enter_worker() -> None:
    """Prepare a process of a pool: it leaves Ctrl-C to its parent, and ends when that ends.

    SIGTERM ends it and the programs that it runs.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end(*_: Any) -> None:
        _state.stop()
        os._exit(1)

    signal.signal(signal.SIGTERM, end)

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
        end()

    threading.Thread(target=watch, daemon=True).start()
