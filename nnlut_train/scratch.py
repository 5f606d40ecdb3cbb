"""Temporary folders that do not outlive their command, however it ends.

A command has one folder for all that is temporary (`command`); what is written in one piece is
made beside its target (`beside`). Both are locked by the process that uses them. What a killed
process left is therefore not locked, and the next command that passes by deletes it.
"""

import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .interrupt import held

try:
    import fcntl
except ImportError:  # not a POSIX system: nothing is locked, and nothing is swept
    fcntl = None

__all__ = ["beside", "command", "exchange", "keep", "locked"]

_PREFIX = "nnlut-run-"
#: Seconds after which what is not locked is litter: its maker has locked it long before.
_AGE = 60.0
# The folders for temporary files that commands found, the first command's first.
_outer: list[str] = []


def _lock(path: Path | str, *, wait: bool = False) -> int | None:
    """Return a handle that has the folder's lock; None where another process has it."""
    handle = os.open(path, os.O_RDONLY)
    if fcntl is None:
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(handle)
        return None
    return handle


def _sweep(parent: Path, prefix: str) -> None:
    """Delete the folders of killed processes."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if not entry.name.startswith(prefix):
                continue
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
                if not ours or time.time() - status.st_mtime < _AGE:
                    continue
                if (handle := _lock(entry.path)) is not None:
                    shutil.rmtree(entry.path, ignore_errors=True)
                    os.close(handle)


@contextlib.contextmanager
def _folder(parent: Path, prefix: str) -> Iterator[Path]:
    _sweep(parent, prefix)
    path, handle = None, None
    try:
        with held():
            path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            handle = _lock(path)
        yield path
    finally:
        with held():
            if path is not None:
                for _ in range(20):  # a program that was just killed may still be writing
                    shutil.rmtree(path, ignore_errors=True)
                    if not path.exists():
                        break
                    time.sleep(0.05)
            if handle is not None:
                os.close(handle)


@contextlib.contextmanager
def command() -> Iterator[None]:
    """Let `tempfile`, here and in programs that are run, use a folder of the command's own.

    Where there is no folder for temporary files, nothing changes: who needs one says so.
    """
    with contextlib.ExitStack() as stack:
        try:
            outer = tempfile.gettempdir()
            inner = stack.enter_context(_folder(Path(outer), _PREFIX))
        except OSError:
            yield
            return
        default, variable = tempfile.tempdir, os.environ.get("TMPDIR")
        _outer.append(outer)
        tempfile.tempdir = os.environ["TMPDIR"] = str(inner)
        try:
            yield
        finally:
            _outer.pop()
            tempfile.tempdir = default
            if variable is None:
                os.environ.pop("TMPDIR", None)
            else:
                os.environ["TMPDIR"] = variable


def keep() -> str:
    """Return the folder for what is to outlive the command, such as the log of a failed step."""
    return _outer[0] if _outer else tempfile.gettempdir()


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Give a new folder beside `path`, for what will be moved there in one step.

    Raises
    ------
    OSError
        If there can be none.
    """
    with _folder(path.parent, f".{path.name}.") as folder:
        yield folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let other processes that ask for the same folder wait while the context is open."""
    handle = _lock(folder, wait=True)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two paths in one step of the file system; tell whether it can do that."""
    try:
        import ctypes

        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, OSError, AttributeError, TypeError):
        return False
    here, both = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename(here, os.fsencode(one), here, os.fsencode(other), both) == 0
