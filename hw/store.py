"""Where the tables of a unit are: in its logic, or where they can be written.

A unit asks the `Store` of its pipeline (`hw.pipeline.Pipe.store`) for what a table holds.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

from amaranth.hdl import Const, Module, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory, MemoryData

from nnlut_train.tables import DirectTable, PwlTable

from .fixed import shape_of

__all__ = ["CONSTANTS", "Constants", "Lines", "ReadPort", "Store", "words_of"]

#: Breakpoints, slopes and intercepts of a table, each of the shape of its format.
Lines = tuple[list[Value], list[Value], list[Value]]


class ReadPort(NamedTuple):
    """A port of a memory, with a register.

    Parameters
    ----------
    addr, en : Value
        What is read with the clock's next edge, and whether.
    data : View
        Its content: an array of values, one a lane.
    """

    addr: Value
    en: Value
    data: data.View


def words_of(table: DirectTable, length: int, lanes: int) -> MemoryData:
    """Return a table of values by the position in the row as a memory, with a word a beat.

    Parameters
    ----------
    table : DirectTable
        The values; at least `length` of them.
    length, lanes : int
        Elements of the longest row, a multiple of `lanes`, and of a beat.

    Returns
    -------
    MemoryData
        ``length / lanes`` words, each an array of `lanes` values of the table's format, that of
        lane 0 in the low bits.
    """
    words = [table.values[at : at + lanes] for at in range(0, length, lanes)]
    return MemoryData(
        shape=data.ArrayLayout(shape_of(table.output), lanes), depth=len(words), init=words
    )


class Store(ABC):
    """Gives units the contents of their tables, which do not change while a row passes."""

    @abstractmethod
    def lines(self, table: PwlTable) -> Lines:
        """Return breakpoints, slopes and intercepts of `table`."""

    @abstractmethod
    def positions(
        self, m: Module, table: DirectTable, length: int, lanes: int, name: str
    ) -> ReadPort:
        """Return a port on a table of values by the position in the row, with a word a beat.

        Parameters
        ----------
        m : Module
            Where the memory may go.
        table : DirectTable
            The values.
        length, lanes : int
            Elements of the longest row, and of a beat.
        name : str
            The memory's.
        """


class Constants(Store):
    """Tables as logic: what they hold is known when the unit is built."""

    def lines(self, table: PwlTable) -> Lines:
        """Return the table's integers as constants."""
        breakpoints, slopes, intercepts = (
            [Const(value, shape_of(form)) for value in values]
            for values, form in (
                (table.breakpoints, table.argument), (table.slopes, table.slope),
                (table.intercepts, table.intercept),
            )
        )  # fmt: skip
        return breakpoints, slopes, intercepts

    def positions(
        self, m: Module, table: DirectTable, length: int, lanes: int, name: str
    ) -> ReadPort:
        """Return the port of a ROM."""
        m.submodules[name] = rom = Memory(words_of(table, length, lanes))
        port = rom.read_port()
        return ReadPort(port.addr, port.en, port.data)


#: The store of every unit that is not writable.
CONSTANTS = Constants()
