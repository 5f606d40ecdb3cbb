"""The results of an evaluation: a file that grows row by row, so that a run can be taken up."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..files import write_bytes
from .fidelity import Result

__all__ = ["Entry", "Store"]

SCHEMA = 1


class Entry(dict[str, Any]):
    """A row as the file has it: of most, ``result`` (see `Result.to_json`) and ``seconds``."""

    @property
    def result(self) -> Result:
        """The result."""
        return Result.from_json(self["result"])


class Store:
    """Results by row and seed, in ``results.json`` of a folder.

    Parameters
    ----------
    folder : Path
        Where; made if it is missing.
    head : mapping
        What all results depend on: JSON-ready.
    force : bool
        Begin anew if the folder has results of another head; otherwise they are refused.

    Raises
    ------
    UsageError
        If the folder holds other results, or a file of results that cannot be read.
    """

    def __init__(self, folder: Path, head: Mapping[str, Any], force: bool = False) -> None:
        self.path = folder / "results.json"
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--out must be a folder, not the file {folder}")
        self.head: dict[str, Any] = json.loads(json.dumps(dict(head)))
        self._rows: dict[str, dict[str, Any]] = {}
        if self.path.exists() and not force:
            self._read()

    def _read(self) -> None:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            schema, head, found = data["schema"], data["head"], data["rows"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"{self.path}: must be results of this command; --force begins anew"
            ) from error
        if schema != SCHEMA or head != self.head:
            other = next((k for k in self.head if head.get(k) != self.head[k]), "schema")
            raise UsageError(
                f"{self.path}: has results with another {other}; --force begins anew, --out goes "
                "elsewhere"
            )
        self._rows = dict(found)

    def get(self, key: str, seed: int) -> Entry | None:
        """Return a row, if it is there already."""
        found = self._rows.get(f"{key} | seed {seed}")
        return None if found is None else Entry(found)

    def put(self, key: str, seed: int, **values: Any) -> Entry:
        """Add a row of JSON-ready values, and write the file in one piece."""
        entry = Entry(values)
        self._rows[f"{key} | seed {seed}"] = entry
        data = {"schema": SCHEMA, "head": self.head, "rows": self._rows}
        try:
            write_bytes(self.path, (json.dumps(data, indent=1) + "\n").encode())
        except OSError as error:
            raise UsageError(
                f"--out must be a folder that can be written, not {self.path.parent}: "
                f"{error.strerror or error}"
            ) from error
        return entry
