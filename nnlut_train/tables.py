"""The integer tables that the hardware holds, and their file format.

A table file is JSON: the integers, their formats, where they come from (`meta`), and a SHA-256 over
formats and integers. Loading validates every range and names what is wrong.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .errors import UsageError
from .formats import Format, round_shift

__all__ = ["DirectTable", "PwlTable", "Table", "dump", "from_json", "load", "save"]

SCHEMA = 1


def _integers(name: str, values: Any, count: int, low: int, high: int) -> tuple[int, ...]:
    values = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(values, list | tuple) or any(type(v) is not int for v in values):
        raise UsageError(f"table: {name} must be a list of integers")
    if len(values) != count:
        raise UsageError(f"table: {name} must have {count} values, not {len(values)}")
    for position, value in enumerate(values):
        if not low <= value <= high:
            raise UsageError(f"table: {name}[{position}] must be {low} to {high}, not {value}")
    return tuple(values)


@dataclass(frozen=True)
class Table:
    """What all tables have in common.

    Parameters
    ----------
    input, output : Format
        Formats of the argument and of the result.
    meta : mapping
        Where the table comes from: function, domain, method, measured errors, and for lines seed,
        objective and more. Not part of the hash.
    """

    kind: ClassVar[str]
    _integer_fields: ClassVar[tuple[str, ...]]
    _format_fields: ClassVar[tuple[str, ...]] = ("input", "output")

    input: Format
    output: Format

    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = {"kind": self.kind}
        content |= {name: str(getattr(self, name)) for name in self._format_fields}
        return content | {name: list(getattr(self, name)) for name in self._integer_fields}

    @property
    def sha256(self) -> str:
        """SHA-256 over the canonical JSON of kind, formats and integers."""
        canonical = json.dumps(self._content(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the table as JSON-ready data."""
        return {
            "schema": SCHEMA, **self._content(), "sha256": self.sha256, "meta": dict(self.meta),
        }  # fmt: skip


@dataclass(frozen=True)
class DirectTable(Table):
    """One output code for every input code.

    Parameters
    ----------
    values : sequence of int
        2**input.bits output codes, in ascending order of the input code.
    """

    kind = "direct"
    _integer_fields = ("values",)

    values: tuple[int, ...]
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "values",
            _integers("values", self.values, 1 << self.input.bits,
                      self.output.min, self.output.max),
        )  # fmt: skip

    @property
    def storage_bits(self) -> int:
        """Bits of table storage."""
        return len(self.values) * self.output.bits

    def lookup(self, codes: np.ndarray) -> np.ndarray:
        """Return the output codes (int64) of input `codes` of any shape."""
        return np.array(self.values, dtype=np.int64)[np.asarray(codes) - self.input.min]


@dataclass(frozen=True)
class PwlTable(Table):
    """A piecewise-linear table of N segments.

    ``y = saturate(round_shift(slope[i] * q + (intercept[i] << align), shift))`` where i is the
    number of breakpoints p with ``q >= p``: a tie belongs to the segment on the right.

    Parameters
    ----------
    slope, intercept : Format
        Formats of the coefficients. With `input` and `output` they fix the two shifts.
    breakpoints : sequence of int
        N - 1 strictly ascending input codes.
    slopes, intercepts : sequence of int
        N codes each.

    Raises
    ------
    UsageError
        If a value is out of its range, or the formats give a negative shift or a sum of more than
        63 bits.
    """

    kind = "pwl"
    _integer_fields = ("breakpoints", "slopes", "intercepts")
    _format_fields = ("input", "output", "slope", "intercept")

    slope: Format
    intercept: Format
    breakpoints: tuple[int, ...]
    slopes: tuple[int, ...]
    intercepts: tuple[int, ...]
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        sized = isinstance(self.slopes, list | tuple | np.ndarray)
        entries = len(self.slopes) if sized else 0
        if entries < 1:
            raise UsageError("table: slopes must be a list of at least 1 integer")
        for name, count, form in (
            ("breakpoints", entries - 1, self.input),
            ("slopes", entries, self.slope),
            ("intercepts", entries, self.intercept),
        ):
            values = _integers(name, getattr(self, name), count, form.min, form.max)
            object.__setattr__(self, name, values)
        for left, right in zip(self.breakpoints, self.breakpoints[1:], strict=False):
            if left >= right:
                raise UsageError(f"table: breakpoints must ascend, not {left} before {right}")
        for name in ("align", "shift"):
            if getattr(self, name) < 0:
                raise UsageError(
                    f"table: slope {self.slope} times input {self.input} must have at least as "
                    f"many fraction bits as "
                    f"{'intercept' if name == 'align' else 'output'} "
                    f"{self.intercept if name == 'align' else self.output}"
                )
        reach = max(-self.slope.min, self.slope.max) * max(-self.input.min, self.input.max)
        reach += max(-self.intercept.min, self.intercept.max) << self.align
        if reach >> 62 or self.shift > 62:
            raise UsageError(
                f"table: slope {self.slope} times input {self.input} plus intercept "
                f"{self.intercept} must fit 63 bits"
            )

    @property
    def entries(self) -> int:
        """Number of segments N."""
        return len(self.slopes)

    @property
    def align(self) -> int:
        """Left shift that brings an intercept to the scale of the product."""
        return self.slope.frac + self.input.frac - self.intercept.frac

    @property
    def shift(self) -> int:
        """Fraction bits that the sum has beyond the output."""
        return self.slope.frac + self.input.frac - self.output.frac

    @property
    def storage_bits(self) -> int:
        """Bits of table storage: breakpoints, slopes and intercepts."""
        return (
            (self.entries - 1) * self.input.bits
            + self.entries * (self.slope.bits + self.intercept.bits)
        )  # fmt: skip

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return the segment index (int64) of input `codes` of any shape."""
        return np.searchsorted(np.array(self.breakpoints, np.int64), codes, side="right")

    def lookup(self, codes: np.ndarray) -> np.ndarray:
        """Return the output codes (int64) of input `codes` of any shape."""
        codes = np.asarray(codes, dtype=np.int64)
        i = self.segment(codes)
        slope = np.array(self.slopes, np.int64)[i]
        intercept = np.array(self.intercepts, np.int64)[i]
        return self.output.saturate(
            round_shift(slope * codes + (intercept << self.align), self.shift)
        )


_KINDS: dict[str, type[DirectTable] | type[PwlTable]] = {
    cls.kind: cls for cls in (DirectTable, PwlTable)
}


def from_json(data: Any) -> DirectTable | PwlTable:
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
    fields = (*cls._format_fields, *cls._integer_fields)
    for name in (*fields, "sha256", "meta"):
        if name not in data:
            raise UsageError(f"table: {name} is missing")
    if unknown := data.keys() - {"schema", "kind", "sha256", "meta", *fields}:
        raise UsageError(f"table: unknown field {min(unknown)!r}")
    if not isinstance(data["meta"], dict):
        raise UsageError("table: meta must be an object")
    formats = {name: Format.parse(data[name]) for name in cls._format_fields}
    integers = {name: data[name] for name in cls._integer_fields}
    table = cls(**formats, **integers, meta=data["meta"])
    if table.sha256 != data["sha256"]:
        raise UsageError("table: sha256 does not match the integers: the file was changed")
    return table


def load(path: Path | str) -> DirectTable | PwlTable:
    """Read a table file.

    Raises
    ------
    UsageError
        If the file cannot be read or is not a valid table; the message names the file.
    """
    try:
        return from_json(json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, UsageError):
            raise UsageError(f"{path}: {error}") from error
        raise UsageError(f"{path}: must be JSON: {error}") from error


def dump(data: Mapping[str, Any]) -> bytes:
    """Return the text of a table file: what `Table.to_json` gives, a field a line."""
    lines = (
        f" {json.dumps(name)}: {json.dumps(data[name], sort_keys=True)}" for name in sorted(data)
    )
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def save(table: Table, path: Path | str) -> None:
    """Write a table file in one piece: a reader never sees half of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(dump(table.to_json()))
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
