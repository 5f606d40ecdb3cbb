"""Values by the position in the row (gamma, beta) in a memory of two pages."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from nnlut_train.tables import DirectTable
from sim.golden.register_map import Array, Block

from ..store import ReadPort, words_of

__all__ = ["Pages"]


class Pages:
    """A ping-pong pair of memories, one of which is read while the other is written.

    A commit swaps them if the values were written since the last one; if not, they stay.

    A memory keeps what it has through a reset, but none of it is ever read: the values after a
    reset are in a ROM, which is read until the first swap, and a page is swapped in only if each
    of its values was written after the last reset and commit. For that it takes the values in
    their order: a counter says how many are there, the next may be written and those before it
    again, and no commit is done while some are there, but not all.

    Parameters
    ----------
    block : Block
        The table.
    array : Array
        Its values.
    lanes : int
        Values a word.
    """

    def __init__(self, block: Block, array: Array, lanes: int) -> None:
        assert isinstance(block.table, DirectTable)
        assert array.words == 1
        self.array, self._name, self._lanes = array, block.symbol, lanes
        #: How many values the page that is written has.
        self._count = Signal(range(array.count + 1), name=f"{self._name}_count")
        # One each: the two pages, and the ROM.
        self._contents = [words_of(block.table, array.count, lanes) for _ in range(3)]
        word = self._contents[0]
        #: What the unit reads, a word a beat.
        self.port = ReadPort(
            Signal(range(word.depth), name=f"{self._name}_addr"),
            Signal(name=f"{self._name}_en"),
            Signal(word.shape, name=f"{self._name}_data"),
        )

    def takes(self, index: Value) -> Value:
        """Return whether the value at `index` can be written now."""
        return index <= self._count

    def ready(self) -> Value:
        """Return whether a commit can be done: all values were written, or none."""
        return (self._count == 0) | (self._count == self.array.count)

    def connect(self, m: Module, write: Value, index: Value, word: Value, commit: Value) -> None:
        """Add the memories to `m`, writing, and what a commit does.

        Parameters
        ----------
        m : Module
            Where they go.
        write : Value
            High in a clock in which a value is written; only where `takes` allows it.
        index, word : Value
            Which one, and what; its low bits count.
        commit : Value
            High in the clock of a commit; only where `ready` allows it.
        """
        name, lanes = self._name, self._lanes
        # The page that is read: one of the two, or in place of both the ROM.
        page = Signal(init=1, name=f"{name}_page")
        replaced, count = Signal(name=f"{name}_replaced"), self._count
        with m.If(write & (index == count)):
            m.d.sync += count.eq(count + 1)
        with m.If(commit & (count != 0)):
            m.d.sync += [count.eq(0), replaced.eq(1), page.eq(~page)]
        read = []
        for number, content in enumerate(self._contents):
            m.submodules[f"{name}{number}"] = memory = Memory(content)
            port = memory.read_port()
            m.d.comb += [port.addr.eq(self.port.addr), port.en.eq(self.port.en)]
            read.append(port.data)
            if number == 2:
                continue
            entry = memory.write_port(granularity=1)
            lane_bits = lanes.bit_length() - 1
            here = write & (page != number)
            m.d.comb += [
                entry.addr.eq(index[lane_bits:]),
                entry.en.eq(here << index[:lane_bits] if lane_bits else here),
            ]
            for value in entry.data:
                m.d.comb += value.eq(word)
        m.d.comb += self.port.data.eq(Mux(replaced, Mux(page, read[1], read[0]), read[2]))
