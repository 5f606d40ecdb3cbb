"""What all specifications have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from typing import Any, ClassVar, Self

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.files import from_json
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable, PwlTable, Table

__all__ = ["Spec", "TableSpec", "UnarySpec"]


class Spec(ABC):
    """A unit's specification; the subclasses are frozen dataclasses.

    Every field is a `Format`, a `Table`, another `Spec`, an integer or a boolean, so that
    `describe` and `from_json` need no code of their own in a subclass.
    """

    kind: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field]]

    #: Formats of the data that enters and leaves: a field, or a property.
    input: Format
    output: Format

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

    def tables(self, prefix: str = "") -> Iterator[tuple[str, Table]]:
        """Yield ``(name, table)`` of every table inside."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Table):
                yield prefix or field.name, value
            elif isinstance(value, Spec):
                yield from value.tables(f"{prefix}.{field.name}" if prefix else field.name)

    def describe(self) -> dict[str, Any]:
        """Return the specification as JSON-ready data."""

        def plain(value: Any) -> Any:
            if isinstance(value, Format):
                return str(value)
            if isinstance(value, Table):
                return value.to_json()
            return value.describe() if isinstance(value, Spec) else value

        own = {field.name: plain(getattr(self, field.name)) for field in fields(self)}
        return {"kind": self.kind, **own}

    @classmethod
    def from_json(cls, data: dict[str, Any], nested: Callable[[Any], "Spec"]) -> Self:
        """Build the specification from `describe`'s data; `nested` builds the inner ones."""
        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.name not in data:
                raise UsageError(f"spec: {cls.kind}.{field.name} is missing")
            value = data[field.name]
            if field.type is Format:
                value = Format.parse(value)
            elif isinstance(field.type, type) and issubclass(field.type, Table):
                value = from_json(value)
                if not isinstance(value, field.type):
                    raise UsageError(f"spec: {cls.kind}.{field.name} must be a {field.type.kind}")
            elif isinstance(field.type, type) and issubclass(field.type, Spec):
                value = nested(value)
                if not isinstance(value, field.type):
                    raise UsageError(
                        f"spec: {cls.kind}.{field.name} must not be of kind {value.kind}"
                    )
            elif type(value) is not field.type:
                raise UsageError(
                    f"spec: {cls.kind}.{field.name} must be {field.type.__name__}, not {value!r}"
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
