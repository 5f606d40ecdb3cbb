"""What all specifications have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from types import NoneType
from typing import Any, ClassVar, Self, get_args, get_origin

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.files import from_json
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable, PwlTable, Table

__all__ = ["Spec", "TableSpec", "UnarySpec"]


class Spec(ABC):
    """A unit's specification; the subclasses are frozen dataclasses.

    Every field is a `Format`, a `Table`, another `Spec`, an integer or a boolean (or None where its
    type says so), or a tuple of any number of tables, so that `describe` and `from_json` need no
    code of their own in a subclass.
    """

    kind: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field]]

    #: Formats of the data that enters and leaves: a field, or a property.
    input: Format
    output: Format
    #: Elements a beat.
    lanes: int = 1
    #: Initiation interval: clocks a beat.
    interval: int = 1
    #: Clocks after a reset in which no beat is accepted.
    settling: int = 0
    #: Whether elements can be masked.
    mask: bool = False
    #: Bits that a beat carries beside its codes (``tuser``).
    user_bits: int = 0
    #: Fields with a table of values by the position in the row.
    positional: tuple[str, ...] = ()

    @abstractmethod
    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return the output codes (int64, same shape) of input `codes`, bit-exact.

        Raises
        ------
        UsageError
            If `codes` are not integers of the input's format.
        """

    @abstractmethod
    def latency_of(self, length: int) -> int:
        """Return the clocks from accepting a row's first beat to offering its first result.

        The row has `length` beats, enters without a gap, and meets an idle unit.
        """

    @property
    def longest(self) -> int:
        """Elements of the longest row, where results depend on the whole row; else 0."""
        return 0

    @property
    def output_scale(self) -> float:
        """Real value of one step of the output code."""
        return self.output.scale

    @property
    def bare(self) -> "Spec":
        """What is computed, without what only changes the interface; a subclass may wrap it."""
        return self

    def beats(self, length: int) -> int:
        """Return the beats of a row of `length` elements."""
        return -(-length // self.lanes)

    def tables(self, prefix: str = "") -> Iterator[tuple[str, Table]]:
        """Yield ``(name, table)`` of every table inside."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Table):
                yield prefix or field.name, value
            elif isinstance(value, Spec):
                yield from value.tables(f"{prefix}.{field.name}" if prefix else field.name)
            elif isinstance(value, tuple):
                name = f"{prefix}.{field.name}" if prefix else field.name
                yield from ((f"{name}.{number}", table) for number, table in enumerate(value))

    def describe(self) -> dict[str, Any]:
        """Return the specification as JSON-ready data, without what is None by default."""

        def plain(value: Any) -> Any:
            if isinstance(value, Format):
                return str(value)
            if isinstance(value, Table):
                return value.to_json()
            if isinstance(value, tuple):
                return [plain(item) for item in value]
            return value.describe() if isinstance(value, Spec) else value

        own = {
            field.name: plain(getattr(self, field.name))
            for field in fields(self)
            if field.default is not None or getattr(self, field.name) is not None
        }
        return {"kind": self.kind, **own}

    @classmethod
    def _table(cls, data: Any, wanted: type[Table], name: str) -> Table:
        table = from_json(data)
        if not isinstance(table, wanted):
            raise UsageError(f"spec: {cls.kind}.{name} must be a {wanted.kind}")
        return table

    @classmethod
    def from_json(cls, data: dict[str, Any], nested: Callable[[Any], "Spec"]) -> Self:
        """Build the specification from `describe`'s data; `nested` builds the inner ones."""
        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.name not in data:
                if field.default is None:
                    continue
                raise UsageError(f"spec: {cls.kind}.{field.name} is missing")
            value, wanted = data[field.name], field.type
            if NoneType in (choices := get_args(wanted)):
                (wanted,) = (choice for choice in choices if choice is not NoneType)
                if value is None:
                    values[field.name] = None
                    continue
            if wanted is Format:
                value = Format.parse(value)
            elif get_origin(wanted) is tuple:
                if not isinstance(value, list):
                    raise UsageError(f"spec: {cls.kind}.{field.name} must be a list of tables")
                value = tuple(
                    cls._table(item, get_args(wanted)[0], f"{field.name}.{number}")
                    for number, item in enumerate(value)
                )
            elif isinstance(wanted, type) and issubclass(wanted, Table):
                value = cls._table(value, wanted, field.name)
            elif isinstance(wanted, type) and issubclass(wanted, Spec):
                value = nested(value)
                if not isinstance(value, wanted):
                    raise UsageError(
                        f"spec: {cls.kind}.{field.name} must not be of kind {value.kind}"
                    )
            elif type(value) is not wanted:
                raise UsageError(
                    f"spec: {cls.kind}.{field.name} must be {wanted.__name__}, not {value!r}"
                )
            values[field.name] = value
        return cls(**values)


class UnarySpec(Spec):
    """A unit with one result a beat, each of one element alone: y = f(x)."""

    @property
    @abstractmethod
    def latency(self) -> int:
        """Clocks from accepting a beat to offering its result."""

    def latency_of(self, length: int) -> int:
        """Return `latency`: it does not depend on the row."""
        return self.latency

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return a number for each of `codes` (int64, same shape): equal where nothing else serves.

        It changes where another segment of a table, another shift or another sign takes over; it
        is 0 throughout where every code has a value of its own.
        """
        return np.zeros(np.shape(codes), dtype=np.int64)


class TableSpec(UnarySpec):
    """A unit that is one table."""

    #: The table; a field of the subclass.
    table: DirectTable | PwlTable

    @property
    def input(self) -> Format:
        """Format of the argument."""
        return self.table.input

    @property
    def output(self) -> Format:
        """Format of the result."""
        return self.table.output

    def compute(self, codes: np.ndarray) -> np.ndarray:
        """Return what the table has for `codes`."""
        return self.table.lookup(self.input.check(codes))

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return the segment of each code, below 0 where the argument is folded."""
        if isinstance(self.table, DirectTable):
            return super().segment(codes)
        number = self.table.segment(codes)
        if self.table.fold is None:
            return number
        return np.where(np.asarray(codes) < 0, -1 - number, number)
