"""A unit whose tables can be written while it works."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from nnlut_train.errors import UsageError
from nnlut_train.folding import Fold
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable, PwlTable, Table

from .spec import Spec
from .wrapper import WrapperSpec

__all__ = ["WritableSpec", "changed", "padded"]


def padded(table: PwlTable, entries: int) -> PwlTable:
    """Return the same function in exactly so many segments.

    Segments are split where the argument has a code that is no breakpoint yet, from the largest
    code downwards; both parts keep the line.

    Raises
    ------
    UsageError
        If the table has more segments than that, or the argument too few codes.
    """
    form, lack = table.argument, entries - table.entries
    if lack < 0:
        raise UsageError(f"a table must have at most {entries} entries, not {table.entries}")
    taken = set(table.breakpoints)
    free = (code for code in range(form.max, form.min - 1, -1) if code not in taken)
    added = [code for _, code in zip(range(lack), free, strict=False)]
    if len(added) < lack:
        raise UsageError(f"a table of {form} must have at most {1 + (1 << form.bits)} entries")
    edges = sorted((*table.breakpoints, *added))
    # The line of a segment is that of the code it begins with.
    lines = [0, *(bisect_right(table.breakpoints, edge) for edge in edges)]
    return replace(
        table, breakpoints=tuple(edges), slopes=tuple(table.slopes[i] for i in lines),
        intercepts=tuple(table.intercepts[i] for i in lines),
    )  # fmt: skip


def changed(value: Any, change: Callable[[Table], Table]) -> Any:
    """Return a specification with `change` applied to each table, in the order of `tables`."""
    if isinstance(value, Table):
        return change(value)
    if isinstance(value, tuple):
        return tuple(changed(item, change) for item in value)
    if not isinstance(value, Spec):
        return value
    assert is_dataclass(value)
    own = {field.name: getattr(value, field.name) for field in fields(value)}
    return replace(value, **{name: changed(inner, change) for name, inner in own.items()})


def _text(part: Format | Fold | None) -> str:
    """Return a format or a fold as a message has it."""
    return f"{part.kind} of {part.magnitude}" if isinstance(part, Fold) else str(part)


def _successor(name: str, old: Table, new: Table) -> Table:
    """Return `new`, padded, in place of `old`; raise UsageError unless the unit can hold it."""
    if not isinstance(new, type(old)):
        raise UsageError(f"table {name} must be of kind {old.kind}, not {type(new).__name__}")
    formats = old._format_names(old.fold is not None)
    for field in (*formats, "fold"):
        wanted, given = (_text(getattr(table, field)) for table in (old, new))
        if wanted != given:
            raise UsageError(f"table {name}: {field} must be the unit's, {wanted}, not {given}")
    if not isinstance(old, PwlTable) or not isinstance(new, PwlTable):
        return new
    try:
        return padded(new, old.entries)
    except UsageError as error:
        raise UsageError(f"table {name}: {error}") from error


@dataclass(frozen=True)
class WritableSpec(WrapperSpec):
    """Any unit with tables of lines, which registers hold: see `hw.units.writable.Writable`.

    Formats, folds and numbers of entries are the unit's for good; the integers that its tables have
    here are those after a reset. Tables of values by the position in the row (gamma and beta) can
    be written, too; other direct tables stay as they are built.

    Parameters
    ----------
    unit : Spec
        What is computed.

    Raises
    ------
    UsageError
        If no table inside can be written, or `unit` is itself writable.
    """

    kind = "writable"
    #: In it the tables of the build become those in use.
    settling = 1

    unit: Spec

    def __post_init__(self) -> None:
        if isinstance(self.unit, WritableSpec):
            raise UsageError("spec: writable.unit must not be writable itself")
        tables = [table for _, table in self.unit.tables()]
        if not any(True for _ in self.written()):
            raise UsageError(
                "spec: writable.unit must have a table of lines (--arch pwl): a direct table "
                "cannot be written"
            )
        # What one object is in two places is written in each by itself.
        if len({id(table) for table in tables}) < len(tables):
            object.__setattr__(self, "unit", changed(self.unit, replace))

    @property
    def lanes(self) -> int:
        """Elements a beat of the unit."""
        return self.unit.lanes

    @property
    def interval(self) -> int:
        """Clocks a beat of the unit."""
        return self.unit.interval

    @property
    def mask(self) -> bool:
        """Whether elements of the unit can be masked."""
        return self.unit.mask

    def written(self) -> Iterator[tuple[str, PwlTable | DirectTable]]:
        """Yield those of `tables` that can be written."""
        for name, table in self.tables():
            by_position = isinstance(table, DirectTable) and name in self.unit.positional
            if isinstance(table, PwlTable) or by_position:
                yield name, table

    def with_tables(self, tables: Mapping[str, Table]) -> "WritableSpec":
        """Return the unit after a commit of other tables.

        Parameters
        ----------
        tables : mapping of str to Table
            New tables by the names that `written` yields: formats and fold of the old ones, and at
            most as many entries; fewer are `padded`. The others stay.

        Raises
        ------
        UsageError
            If a name is unknown, or a table is not one that the unit can hold.
        """
        known = dict(self.written())
        for name in tables:
            if name not in known:
                raise UsageError(f"a table must be one of {', '.join(known)}, not {name!r}")
        names = iter(list(self.tables()))

        def change(table: Table) -> Table:
            name, expected = next(names)
            assert table is expected
            return _successor(name, table, tables[name]) if name in tables else table

        return replace(self, unit=changed(self.unit, change))
