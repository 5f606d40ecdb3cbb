"""Table files: JSON, read with every range checked, written in one piece.

A file holds the integers, their formats, how the argument is folded if it is, where they come from
(`meta`), a SHA-256 over all but `meta` (the table's identity) and a checksum over all.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .delta import DeltaTable
from .errors import UsageError
from .float_table import FloatTable
from .folding import Fold
from .formats import Format
from .indexed import IndexedTable, ShiftAddTable
from .interrupt import held
from .minimised import MinimisedTable
from .multipartite import MultipartiteTable
from .reading import read_json
from .scratch import beside
from .tables import SCHEMA, DirectTable, PwlTable, Table, digest

__all__ = ["dump", "from_json", "load", "save", "write_bytes", "write_together"]

_KINDS: dict[str, type[Table]] = {
    cls.kind: cls
    for cls in (
        DirectTable,
        PwlTable,
        FloatTable,
        DeltaTable,
        MinimisedTable,
        MultipartiteTable,
        IndexedTable,
        ShiftAddTable,
    )
}


def from_json(data: Any) -> Table:
    """Build a table from what `Table.to_json` returned.

    Raises
    ------
    UsageError
        If a field is missing, out of range, or the hash does not match the integers.
    """
    if not isinstance(data, dict) or data.get("kind") not in list(_KINDS):
        raise UsageError(f"table: kind must be one of {', '.join(_KINDS)}")
    if data.get("schema") != SCHEMA:
        raise UsageError(f"table: schema must be {SCHEMA}, not {data.get('schema')!r}")
    cls = _KINDS[data["kind"]]
    formats = cls._format_names("fold" in data)
    fields = (*formats, *cls._integer_fields)
    for name in (*fields, "sha256", "meta", "checksum"):
        if name not in data:
            raise UsageError(f"table: {name} is missing")
    folds = {"fold"} & data.keys()
    if unknown := data.keys() - {"schema", "kind", "sha256", "meta", "checksum", *fields, *folds}:
        raise UsageError(f"table: unknown field {min(unknown)!r}")
    if not isinstance(data["meta"], dict):
        raise UsageError("table: meta must be an object")
    values = {name: Format.parse(data[name]) for name in formats}
    values |= {name: data[name] for name in cls._integer_fields}
    values |= {name: Fold.from_json(data[name]) for name in folds}
    table = cls(**values, meta=data["meta"])
    if table.sha256 != data["sha256"]:
        raise UsageError("table: sha256 does not match the integers: the file was changed")
    if digest({k: v for k, v in data.items() if k != "checksum"}) != data["checksum"]:
        raise UsageError("table: checksum does not match the contents: the file was changed")
    return table


def load(path: Path | str) -> Table:
    """Read a table file.

    Raises
    ------
    UsageError
        If the file cannot be read or is not a valid table; the message names the file.
    """
    try:
        return from_json(read_json(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        if isinstance(error, UsageError):
            raise UsageError(f"{path}: {error}") from error
        raise UsageError(f"{path}: must be JSON: {error}") from error


def dump(data: Mapping[str, Any]) -> bytes:
    """Return the text of a table file: what `Table.to_json` gives, a field a line."""
    lines = (
        f" {json.dumps(name)}: {json.dumps(data[name], sort_keys=True)}" for name in sorted(data)
    )
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one piece: a reader never sees half of it, however the run ends.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_together({path: data})


def write_together(files: Mapping[Path, bytes], ready: Callable[[], None] = lambda: None) -> None:
    """Write files of one folder that exists, each in one piece; none if one cannot be written.

    Parameters
    ----------
    files : mapping
        Paths and contents.
    ready : callable, optional
        Is called when all is written, before anything is in its place.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    with beside(next(iter(files))) as folder:
        for path, data in files.items():
            (folder / path.name).write_bytes(data)
        ready()
        with held():
            for path in files:
                os.replace(folder / path.name, path)


def save(table: Table, path: Path | str) -> None:
    """Write a table file, in one piece."""
    write_bytes(Path(path), dump(table.to_json()))
