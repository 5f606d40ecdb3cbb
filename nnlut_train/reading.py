"""Files of others, read whole: bounded in size and depth, and nothing in them is ever run.

Whatever a file holds, what goes wrong is an `OSError` (it cannot be read) or a `ValueError` (it is
no such file), each with a text for people; callers add the file's name.
"""

import errno
import io
import json
import os
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LIMIT", "parse_json", "read_arrays", "read_bytes", "read_json", "read_text"]

#: Bytes of a file at most, and of what an archive unpacks to.
LIMIT = 1 << 28
#: Bytes of JSON at most: as Python objects it takes some ten times as much memory.
JSON_LIMIT = 1 << 26
#: Levels of lists and objects at most: less than what Python's recursion allows.
DEPTH = 64
#: Arrays of an archive at most.
ARRAYS = 64


def read_bytes(path: Path | str, limit: int = LIMIT) -> bytes:
    """Read a regular file.

    Parameters
    ----------
    path : path
        The file. A pipe or a device, which might never end, is refused without waiting for it.
    limit : int
        Bytes at most.

    Raises
    ------
    OSError
        If it cannot be read, is no regular file, or is too large.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except ValueError as error:  # a NUL, or half of a surrogate pair
        raise OSError(errno.EINVAL, "no file can have this name") from error
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it must be a regular file, no pipe or device")
        parts, size = [], status.st_size
        # What the system tells of the size may be wrong; the end of the file is not.
        while size <= limit and (part := os.read(handle, 1 << 24)):
            parts.append(part)
            size = max(size, sum(map(len, parts)))
    finally:
        os.close(handle)
    if size > limit:
        raise OSError(errno.EFBIG, f"it must have at most {limit:,} bytes")
    return b"".join(parts)


def read_text(path: Path | str, limit: int = LIMIT) -> str:
    """Read a text in UTF-8, line ends as in `open`.

    Raises
    ------
    OSError
        See `read_bytes`.
    ValueError
        If it is not UTF-8.
    """
    return io.TextIOWrapper(io.BytesIO(read_bytes(path, limit)), encoding="utf-8").read()


def read_json(path: Path | str) -> Any:
    """Read JSON in UTF-8; see `parse_json`.

    Raises
    ------
    OSError
        See `read_bytes`.
    ValueError
        If it is no JSON, or not such as `parse_json` takes.
    """
    return parse_json(read_text(path, JSON_LIMIT))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has {twice[:40]!r} twice")
    return data


def _number(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise ValueError(f"{text[:40]} is no number that is finite")
    return value


def _integer(text: str) -> int:
    value = int(text) if len(text) <= 20 else 1 << 64
    if not -(1 << 63) <= value < 1 << 64:
        raise ValueError(f"an integer must have at most 64 bits, not {text[:40]}")
    return value


def parse_json(text: str) -> Any:
    """Parse JSON, more strictly than `json.loads`.

    No name may be twice in an object, which one reader would take one way and another the other;
    no number may be NaN or infinite; no integer may have more than 64 bits; a text is Unicode,
    without halves of surrogate pairs; nesting is bounded by `DEPTH`, so that what walks the data
    needs no care.

    Raises
    ------
    ValueError
        If it is not so.
    """
    too_deep = f"it must be nested at most {DEPTH} levels deep"
    try:
        data = json.loads(
            text, object_pairs_hook=_object, parse_float=_number, parse_constant=_number,
            parse_int=_integer,
        )  # fmt: skip
    except RecursionError as error:
        raise ValueError(too_deep) from error
    level, depth = [data], 0
    while level:
        inner = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += [item for item in value if isinstance(item, dict | list)]
        level = [value for value in inner if isinstance(value, dict | list)]
        depth += 1
        if depth > DEPTH:
            raise ValueError(too_deep)
    if "\\ud" in text.lower():
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("a text has half of a surrogate pair") from error
    return data


def read_arrays(path: Path | str, limit: int = LIMIT) -> np.ndarray | dict[str, np.ndarray]:
    """Read NumPy's ``.npy``, or ``.npz``; the content tells which.

    Memory is taken for what is there, not for what a header claims. Arrays of objects are pickles,
    which could run code: they are refused.

    Returns
    -------
    array, or dict of str to array
        The array of ``.npy``; those of ``.npz`` by their names.

    Raises
    ------
    OSError
        See `read_bytes`.
    ValueError
        If it is no such file, is damaged, or unpacks to more than `limit` bytes.
    """
    data = read_bytes(path, limit)
    if not data.startswith(b"PK"):
        return _array(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > ARRAYS or sum(member.file_size for member in members) > limit:
                raise ValueError(f"it must unpack to at most {ARRAYS} arrays of {limit:,} bytes")
            names = [member.filename.removesuffix(".npy") for member in members]
            if len(set(names)) < len(names):
                raise ValueError("it has an array twice")
            return {
                name: _array(archive.read(member))
                for name, member in zip(names, members, strict=True)
            }
    except ValueError:
        raise
    except Exception as error:  # a decoder raises whatever the bytes lead it to
        raise ValueError(f"the archive is damaged: {error}") from error


def _array(data: bytes) -> np.ndarray:
    """Return the array of an ``.npy`` file's content."""
    file = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            readers = {(1, 0): np.lib.format.read_array_header_1_0,
                       (2, 0): np.lib.format.read_array_header_2_0}  # fmt: skip
            shape, columns, dtype = readers[np.lib.format.read_magic(file)](file)
    except Exception as error:  # a decoder raises whatever the bytes lead it to
        raise ValueError(f"it is no .npy file: {str(error)[:200] or 'cut short'}") from error
    if dtype.hasobject:
        raise ValueError("it has objects, which could run code when they are read")
    count = 1
    for length in shape:
        count *= length
    rest = data[file.tell() :]
    if dtype.itemsize < 1 or min(shape, default=1) < 0 or len(rest) < count * dtype.itemsize:
        raise ValueError(f"it is cut short: {len(rest):,} bytes of {count:,} elements")
    if len(shape) > 32:
        raise ValueError(f"an array must have at most 32 dimensions, not {len(shape)}")
    array = np.frombuffer(rest, dtype, count)
    return array.reshape(shape, order="F" if columns else "C").copy()
