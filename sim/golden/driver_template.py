"""Driver of a unit with writable tables: loads tables of lines that ``nnlut_train fit`` made.

It needs Python's standard library only. `writes` says which word to write where, for any bus,
blocking or not; `Driver` does it by two functions that write and read a word.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

#: The unit's registers, as its manifest has them.
REGISTERS: dict[str, Any] = {"registers": [], "tables": []}

#: Seconds to wait for a commit: until a row has ended and the unit is empty. Where nothing stalls
#: that takes the clocks of one row and the unit's latency, so it is the traffic that decides; and
#: a bus that is simulated is slow.
TIMEOUT = 10.0

_ADDRESS = {register["name"]: register["address"] for register in REGISTERS["registers"]}
_BITS = {register["name"]: register.get("bits", {}) for register in REGISTERS["registers"]}
_TABLES = {table["name"]: table for table in REGISTERS["tables"]}


class DriverError(Exception):
    """A table is not one for this unit, or the unit does not answer as it must."""


def _limits(bits: int, signed: bool) -> tuple[int, int]:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def _integers(field: str, table: Mapping[str, Any]) -> list[int]:
    values = table.get(field)
    if not isinstance(values, list) or any(type(value) is not int for value in values):
        raise DriverError(f"{field} must be a list of integers")
    return values


def _lines(layout: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return a table's arrays, padded to the unit's number of entries."""
    counts = {array["name"]: array["count"] for array in layout["arrays"]}
    breakpoints, slopes, intercepts = (
        _integers(field, table) for field in ("breakpoints", "slopes", "intercepts")
    )
    entries = counts["slopes"]
    if not 1 <= len(slopes) <= entries:
        raise DriverError(f"must have 1 to {entries} entries, not {len(slopes)}")
    if len(intercepts) != len(slopes) or len(breakpoints) != len(slopes) - 1:
        raise DriverError("must have as many intercepts as slopes, and one breakpoint less")
    for left, right in pairwise(breakpoints):
        if left >= right:
            raise DriverError(f"breakpoints must ascend, not {left} before {right}")
    # The last line again, from the largest argument on.
    form = layout["formats"]["input"] if layout["fold"] is None else layout["fold"]["magnitude"]
    last = _limits(int(form[1:].split(".")[0]), form[0] == "s")[1]
    lack = entries - len(slopes)
    return {
        "breakpoints": breakpoints + [last] * lack,
        "slopes": slopes + slopes[-1:] * lack,
        "intercepts": intercepts + intercepts[-1:] * lack,
    }


def _array_writes(array: Mapping[str, Any], values: list[int]) -> list[tuple[int, int]]:
    """Return the writes of an array; every value is checked."""
    name, low, high = array["name"], *_limits(array["bits"], array["signed"])
    if len(values) != array["count"]:
        raise DriverError(f"{name} must be {array['count']} integers, not {len(values)}")
    found, address = [], array["address"]
    for position, value in enumerate(values):
        if not low <= value <= high:
            raise DriverError(f"{name}[{position}] must be {low} to {high}, not {value}")
        for word in range(array["words"]):
            found.append((address, value >> (32 * word) & 0xFFFFFFFF))
            address += 4
    return found


def _table_writes(layout: Mapping[str, Any], table: Any) -> list[tuple[int, int]]:
    if layout["kind"] == "direct" and isinstance(table, list | tuple):
        return _array_writes(layout["arrays"][0], _integers("values", {"values": list(table)}))
    if not isinstance(table, Mapping) or table.get("kind") != layout["kind"]:
        raise DriverError(f"must be a table file of kind {layout['kind']}")
    for field, wanted in {**layout["formats"], "fold": layout["fold"]}.items():
        if table.get(field) != wanted:
            raise DriverError(f"{field} must be {wanted}, not {table.get(field)}")
    content = {name: value for name, value in table.items()
               if name not in ("schema", "sha256", "meta", "checksum")}  # fmt: skip
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    if table.get("sha256") not in (None, hashlib.sha256(text.encode()).hexdigest()):
        raise DriverError("sha256 does not match the integers: the file was changed")
    if layout["kind"] == "direct":
        (array,) = layout["arrays"]
        # A table file has a value for every code of a position, the unit one for every position.
        return _array_writes(array, _integers("values", table)[: array["count"]])
    arrays = _lines(layout, table)
    return [write for array in layout["arrays"]
            for write in _array_writes(array, arrays[array["name"]])]  # fmt: skip


def read_table(path: Path | str) -> Any:
    """Return the content of a table file; raise DriverError if it is none."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DriverError(f"{path} cannot be read as a table: {error}") from error


def writes(tables: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return the writes, ``(byte address, word)``, that load tables and commit them.

    They must be done in this order, and find no commit pending; all tables are checked before
    there is any write.

    Parameters
    ----------
    tables : mapping of str to path or mapping
        By the unit's names: files of ``nnlut_train fit``, or their content. A table may have fewer
        entries than the unit. `sha256`, if it is there, must be right. For values by the position
        in the row (gamma, beta) a list of integers will do.

    Raises
    ------
    DriverError
        If a table is not one that the unit can hold.
    """
    found = []
    for name, table in tables.items():
        if name not in _TABLES:
            raise DriverError(f"a table must be one of {', '.join(_TABLES)}, not {name!r}")
        content = read_table(table) if isinstance(table, Path | str) else table
        try:
            found += _table_writes(_TABLES[name], content)
        except DriverError as error:
            raise DriverError(f"table {name}: {error}") from error
    return [*found, (_ADDRESS["CONTROL"], 1 << _BITS["CONTROL"]["commit"])]


def identify(identity: int, layout: int) -> None:
    """Raise DriverError unless a unit reads so at ID and MAP: it is another one then."""
    for name, value, wanted in (("ID", identity, "id"), ("MAP", layout, "map")):
        if value != REGISTERS[wanted]:
            raise DriverError(
                f"the unit's {name} must be {REGISTERS[wanted]:#010x}, not {value:#010x}"
            )


class Driver:
    """Loads tables into a unit behind a bus.

    Parameters
    ----------
    write : callable
        ``write(address, word)`` writes 32 bits; it must raise where the bus answers with an error.
    read : callable
        ``read(address)`` returns 32 bits.

    Raises
    ------
    DriverError
        If another unit answers.
    """

    def __init__(self, write: Callable[[int, int], Any], read: Callable[[int], int]) -> None:
        self._write, self._read = write, read
        identify(read(_ADDRESS["ID"]), read(_ADDRESS["MAP"]))

    def status(self) -> dict[str, bool]:
        """Return the bits of STATUS: ``pending``, and the unit's flags."""
        word = self._read(_ADDRESS["STATUS"])
        return {name: bool(word >> bit & 1) for name, bit in _BITS["STATUS"].items()}

    def clear(self) -> None:
        """Clear the flags."""
        self._write(_ADDRESS["CONTROL"], 1 << _BITS["CONTROL"]["clear"])

    def wait(self, timeout: float = TIMEOUT) -> None:
        """Wait until no commit is pending; STATUS is read once at least.

        Parameters
        ----------
        timeout : float
            Seconds.

        Raises
        ------
        DriverError
            If a commit is still pending then: a row has begun that does not end, or results are
            not taken.
        """
        end = time.monotonic() + timeout
        while self.status()["pending"]:
            if time.monotonic() >= end:
                raise DriverError(
                    f"a commit is still pending after {timeout:g} s: the row that has begun must "
                    "end, and all results must be taken"
                )

    def load(self, tables: Mapping[str, Any], timeout: float = TIMEOUT) -> None:
        """Load tables, see `writes`, and wait until they have taken effect.

        Parameters
        ----------
        tables : mapping of str to path or mapping
            As those of `writes`.
        timeout : float
            Seconds to wait, see `wait`: for an earlier commit, and again for this one.

        Raises
        ------
        DriverError
            If a table is not one that the unit can hold, or the unit does not get free: it must
            end its row, and its results must be taken.
        """
        found = writes(tables)
        self.wait(timeout)
        for address, word in found:
            self._write(address, word)
        self.wait(timeout)
