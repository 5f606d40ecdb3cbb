"""The registers of a writable unit: which word of its AXI4-Lite port holds what.

All words have 32 bits; addresses count bytes. Four registers are at the start, then an array a
field of each table, each at a multiple of its own size (a power of two), so that an address is
decoded by its bits. docs/writable.md says what reads and writes do.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable, PwlTable

from .writable import WritableSpec

__all__ = ["CONTROL", "ID", "MAGIC", "MAP", "STATUS", "Array", "Block", "Control", "RegisterMap",
           "register_map"]  # fmt: skip

#: Byte addresses of the registers that every unit has.
ID, MAP, STATUS, CONTROL = 0, 4, 8, 12
#: What `ID` reads: "NLUT".
MAGIC = 0x4E4C5554
#: Fewest address bits: 4 KiB, the least that an AXI interconnect maps.
ADDRESS_BITS_MIN = 12


class Control(IntEnum):
    """Bits of ``CONTROL``."""

    COMMIT = 0
    CLEAR = 1


@dataclass(frozen=True)
class Array:
    """One field of a table: codes in consecutive words.

    Parameters
    ----------
    name : str
        ``breakpoints``, ``slopes`` or ``intercepts``; ``values`` of a table by positions.
    format : Format
        Of a code.
    count : int
        Codes.
    address : int
        Of the first word.
    """

    name: str
    format: Format
    count: int
    address: int

    @property
    def words(self) -> int:
        """Words of a code: 1, or 2 (the low one first) for a format of more than 32 bits."""
        return -(-self.format.bits // 32)

    @property
    def size(self) -> int:
        """Bytes that are set apart: a power of two."""
        return 4 << (self.count * self.words - 1).bit_length()

    def to_json(self) -> dict[str, Any]:
        """Return the array as JSON-ready data."""
        return {
            "name": self.name, "address": self.address, "count": self.count, "words": self.words,
            "bits": self.format.bits, "signed": self.format.signed,
        }  # fmt: skip


@dataclass(frozen=True)
class Block:
    """The arrays of one table.

    Parameters
    ----------
    name : str
        The table's, as `Spec.tables` has it.
    table : Table
        What the arrays hold after a reset.
    arrays : tuple of Array
        In the order of their addresses.
    """

    name: str
    table: PwlTable | DirectTable
    arrays: tuple[Array, ...]

    @property
    def symbol(self) -> str:
        """The name as an identifier."""
        return re.sub(r"\W", "_", self.name, flags=re.ASCII)

    def values(self, array: Array) -> tuple[int, ...]:
        """Return the codes of `array` after a reset."""
        return getattr(self.table, array.name)[: array.count]

    def to_json(self) -> dict[str, Any]:
        """Return the block, with all that a table for it must have, as JSON-ready data."""
        table = self.table
        formats = {name: str(getattr(table, name))
                   for name in table._format_names(table.fold is not None)}  # fmt: skip
        return {
            "name": self.name, "symbol": self.symbol, "kind": table.kind, "formats": formats,
            "fold": None if table.fold is None else table.fold.to_json(),
            "arrays": [array.to_json() for array in self.arrays],
        }  # fmt: skip


@dataclass(frozen=True)
class RegisterMap:
    """All registers of a unit.

    Parameters
    ----------
    blocks : tuple of Block
        The tables, in the order of their addresses.
    flags : tuple of str
        Names of the flags that ``STATUS`` shows from bit 1 on.
    """

    blocks: tuple[Block, ...]
    flags: tuple[str, ...]

    @property
    def address_bits(self) -> int:
        """Width of the port's addresses."""
        end = max(array.address + array.size for block in self.blocks for array in block.arrays)
        return max(ADDRESS_BITS_MIN, (end - 1).bit_length())

    def _layout(self) -> dict[str, Any]:
        status = ["pending", *self.flags]
        return {
            "registers": [
                {"name": "ID", "address": ID, "access": "read", "meaning": "always 0x4e4c5554"},
                {"name": "MAP", "address": MAP, "access": "read",
                 "meaning": "hash of this map: another unit has another"},
                {"name": "STATUS", "address": STATUS, "access": "read",
                 "bits": {name: bit for bit, name in enumerate(status)}},
                {"name": "CONTROL", "address": CONTROL, "access": "write",
                 "bits": {bit.name.lower(): bit.value for bit in Control}},
            ],
            "tables": [block.to_json() for block in self.blocks],
        }  # fmt: skip

    @property
    def hash(self) -> int:
        """What ``MAP`` reads: 32 bits of the SHA-256 of names, formats and addresses."""
        text = json.dumps(self._layout(), sort_keys=True, separators=(",", ":"))
        return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)

    def to_json(self) -> dict[str, Any]:
        """Return the map as JSON-ready data: for the manifest, and for the driver."""
        return {
            "bus": "AXI4-Lite", "data_bits": 32, "address_bits": self.address_bits, "id": MAGIC,
            "map": self.hash, **self._layout(),
        }  # fmt: skip


def _fields(table: PwlTable | DirectTable, longest: int) -> list[tuple[str, Format, int]]:
    """Return name, format and number of codes of what a table holds."""
    if isinstance(table, DirectTable):
        return [("values", table.value or table.output, longest)]
    found = [("breakpoints", table.argument, table.entries - 1),
             ("slopes", table.slope, table.entries),
             ("intercepts", table.intercept, table.entries)]  # fmt: skip
    return [field for field in found if field[2]]


def register_map(spec: WritableSpec) -> RegisterMap:
    """Return the registers of a writable unit: the same for all tables that it can hold.

    Parameters
    ----------
    spec : WritableSpec
        The unit; it has at least one table that can be written.

    Returns
    -------
    RegisterMap
        A block a table of `WritableSpec.written`, in its order, from address 16 on.
    """
    blocks, address = [], CONTROL + 4
    for name, table in spec.written():
        arrays = []
        for field, form, count in _fields(table, spec.longest):
            size = Array(field, form, count, 0).size
            address = -(-address // size) * size
            arrays.append(Array(field, form, count, address))
            address += size
        blocks.append(Block(name, table, tuple(arrays)))
    flags = ("overlong", "holes")[: 1 + (spec.lanes > 1)] if spec.longest else ()
    return RegisterMap(tuple(blocks), flags)
