"""The results of an evaluation: a file that grows row by row, so that a run can be taken up."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hw.plan import Plan

from ..errors import UsageError
from ..files import write_bytes
from ..reading import read_json
from .fidelity import Result
from .poor import Outcome

__all__ = ["Entry", "Store"]

SCHEMA = 1
TABLE = "table.md"
#: What a run writes into the folder beside the results.
WRITTEN = (
    TABLE, "plan-*-seed*.json", "fidelity.svg", "fidelity.png", "loss.svg", "loss.png",
)  # fmt: skip


class Entry(dict[str, Any]):
    """A row as the file has it.

    Of most: ``result`` (see `Result.to_json`), ``seconds``, and if there is one ``plan``, its
    file's name; of the poor tables' experiment: ``outcome``.
    """

    @property
    def result(self) -> Result:
        """The result."""
        return Result.from_json(self["result"])

    @property
    def outcome(self) -> Outcome:
        """What training brought back."""
        return Outcome(**self["outcome"])

    def check(self) -> None:
        """Raise an error of some kind if it is no row."""
        numbers = vars(self.outcome).values() if "outcome" in self else [self["seconds"]]
        if not all(isinstance(v, int | float) and math.isfinite(v) for v in numbers):
            raise UsageError("a number must be finite")
        if "outcome" not in self and not isinstance(self.result, Result):
            raise UsageError("a row must have a result")


class Store:
    """Results by row and seed, in ``results.json`` of a folder.

    Parameters
    ----------
    folder : Path
        Where; made if it is missing.
    head : mapping
        What all results depend on: texts and numbers by name.
    force : bool
        Begin anew: the results that the folder has are thrown away with their table, plans and
        figures, as soon as there is a new one.

    Raises
    ------
    UsageError
        If the folder holds results of another head, or none but a file that a run would write; if
        its results cannot be read, or it cannot be made. With `force`, only the last.
    """

    def __init__(self, folder: Path, head: Mapping[str, Any], force: bool = False) -> None:
        self.folder, self.path, self.table = folder, folder / "results.json", folder / TABLE
        self.head = dict(head)
        self._rows: dict[str, dict[str, Any]] = {}
        self._anew = force
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--out must be a folder, not the file {folder}")
        if not force:
            if self.path.exists():
                self._read()
            elif theirs := self._files():
                raise UsageError(
                    f"--out must be a folder of results, or have no {theirs[0].name} yet, not "
                    f"{folder}; --force replaces it"
                )
        self._written(folder.mkdir, parents=True, exist_ok=True)

    def _files(self) -> list[Path]:
        """Return what the folder has of `WRITTEN`."""
        return [path for name in WRITTEN for path in sorted(self.folder.glob(name))]

    def _read(self) -> None:
        try:
            data = read_json(self.path)
            schema, head, found = data["schema"], dict(data["head"]), dict(data["rows"])
            for row in found.values():
                Entry(row).check()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UsageError(
                f"{self.path}: must be results of this command; --force begins anew"
            ) from error
        pairs = [("schema", schema, SCHEMA)]
        pairs += [(name, head.get(name), value) for name, value in self.head.items()]
        for name, old, new in pairs:
            if old != new:
                raise UsageError(
                    f"{self.path}: must be results with the {name.replace('_', ' ')} {new}, not "
                    f"{old}: --out goes elsewhere, --force begins anew"
                )
        self._rows = found

    def get(self, key: str, seed: int) -> Entry | None:
        """Return a row, if it is there already, and so is its plan."""
        found = self._rows.get(f"{key} | seed {seed}")
        if found is None or ("plan" in found and not (self.folder / found["plan"]).is_file()):
            return None
        return Entry(found)

    def put(
        self, key: str, seed: int, plan: tuple[str, Plan] | None = None, **values: Any
    ) -> Entry:
        """Add a row of JSON-ready values, with a plan and its file's name, and write both."""
        if self._anew:
            for path in (self.path, *self._files()):
                self._written(path.unlink, missing_ok=True)
            self._anew = False
        if plan is not None:
            values["plan"] = plan[0]
            plan[1].save(self.folder / plan[0], force=True)
        entry = Entry(values)
        self._rows[f"{key} | seed {seed}"] = entry
        data = {"schema": SCHEMA, "head": self.head, "rows": self._rows}
        text = json.dumps(data, indent=1, allow_nan=False) + "\n"
        self._written(write_bytes, self.path, text.encode())
        return entry

    def write_table(self, text: str) -> None:
        """Write the table in Markdown."""
        self._written(write_bytes, self.table, text.encode())

    def _written(self, write: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        try:
            write(*arguments, **options)
        except OSError as error:
            raise UsageError(
                f"--out must be a folder that can be written, not {self.folder}: "
                f"{error.strerror or error}"
            ) from error
