"""Results kept between runs, keyed by the content of all that they come from.

An entry is a JSON file named by the SHA-256 of its key, so a changed input is another entry and
nothing ever has to be thrown away to stay right. Several processes may share a folder: an entry
is written under a name of its own and then renamed.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from nnlut_train.errors import UsageError
from nnlut_train.files import write_bytes
from nnlut_train.reading import parse_json, read_json

__all__ = ["cached", "default_folder", "digest", "folder", "use"]

# The folder in use, `None` for no cache. A context variable, so that a library's caller that
# never opened `use` has no cache, and nothing is written to a home folder behind its back.
_folder: ContextVar[Path | None] = ContextVar("nnlut_cache", default=None)


def default_folder() -> Path:
    """Give the folder for when the user names none.

    That is ``synthesis`` in the folder of the environment variable NNLUT_CACHE, else in
    ``$XDG_CACHE_HOME/nnlut``, else in ``~/.cache/nnlut``; fitted tables are kept beside it.
    """
    if named := os.environ.get("NNLUT_CACHE"):
        return Path(named) / "synthesis"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nnlut" / "synthesis"


@contextlib.contextmanager
def use(place: Path | None) -> Iterator[None]:
    """Let `cached` keep results in `place` while the context is open; `None`: nowhere.

    A thread pool's threads do not inherit it: submit with ``contextvars.copy_context().run``.
    Where the default folder cannot be written, nothing is kept.

    Raises
    ------
    UsageError
        Another folder can neither be made nor written.
    """
    if place is not None:
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            if place == default_folder():
                place = None
            else:
                raise UsageError(
                    f"the cache must be a folder that can be written, not {place}: "
                    f"{error.strerror or error} (--no-cache works without one)"
                ) from error
    token = _folder.set(place)
    try:
        yield
    finally:
        _folder.reset(token)


def folder() -> Path | None:
    """Give the folder in use, `None` where there is none."""
    return _folder.get()


def digest(content: str | bytes) -> str:
    """Give the SHA-256 of a text or of bytes, to stand for them in a key."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()


def cached(key: Mapping[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Give the kept result of `key`, or make it and keep it.

    Parameters
    ----------
    key : mapping
        All that the result depends on, as JSON takes it: what kind of result it is and a number
        that is raised when its form changes (``"result": "fpga 1"``), the design (its `digest`),
        the target, every option, the scripts, seeds, and the tools' versions.
    make : callable
        Makes the result: a dict that `json` takes and gives back equal (no tuples, no numbers as
        keys, no NaN). If it raises, nothing is kept.

    Returns
    -------
    dict
        As `make` gave it: both ways it has been through JSON.

    Notes
    -----
    Without an open `use` this is ``make()`` through JSON. An entry that cannot be read, or whose
    key or checksum does not fit, is ignored and written anew; a folder that has become unwritable
    costs the entry, not the result. Use it as::

        found = cached({"result": "fpga 1", "design": digest(verilog), ...}, lambda: cost.to_json())
        cost = FpgaCost.from_json(found)
    """
    name = json.dumps(key, sort_keys=True, allow_nan=False)
    kept = folder()
    path = None if kept is None else kept / f"{digest(name)}.json"
    if path is not None and (found := _load(path, name)) is not None:
        return found
    text = json.dumps(make(), allow_nan=False)
    if path is not None:
        entry = json.dumps({"key": name, "sha256": digest(text), "value": text})
        with contextlib.suppress(OSError):
            write_bytes(path, entry.encode())
    return json.loads(text)


def _load(path: Path, name: str) -> dict[str, Any] | None:
    try:
        entry = read_json(path)
        if entry["key"] == name and entry["sha256"] == digest(entry["value"]):
            value = parse_json(entry["value"])
            return value if isinstance(value, dict) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None
