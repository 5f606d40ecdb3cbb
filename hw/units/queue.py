"""A queue whose flags are registers, for units that are to run fast."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["Queue"]


class Queue(wiring.Component):
    """`amaranth.lib.fifo.SyncFIFOBuffered`, clock by clock, but for where its flags come from.

    There ``w_rdy`` is a comparison of the level; in a row unit it begins the longest path, as it
    decides whether everything before the queue moves. Here both flags are registers, at the cost of
    comparisons of the level with one less, beside the one with one.

    What is written is offered two clocks later; throughput is one word a clock.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Words, at least 2: all but one in a memory.

    Members
    -------
    w_data, w_en : In
        A word, and whether it is written; without effect unless `w_rdy`.
    w_rdy : Out(1)
        There is room.
    r_data, r_rdy : Out
        The oldest word, and whether there is one.
    r_en : In(1)
        It is taken; without effect unless `r_rdy`.
    """

    def __init__(self, *, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        super().__init__({
            "w_data": In(width), "w_en": In(1), "w_rdy": Out(1, init=1),
            "r_data": Out(width), "r_rdy": Out(1), "r_en": In(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """Return the queue's logic."""
        m = Module()
        inner = self.depth - 1
        m.submodules.storage = storage = Memory(shape=self.width, depth=inner, init=[])
        writes, reads = storage.write_port(), storage.read_port()
        level, filled = Signal(range(inner + 1)), Signal()
        put, take = Signal(), Signal()
        m.d.comb += [
            put.eq(self.w_en & self.w_rdy),
            take.eq(filled & (~self.r_rdy | self.r_en)),
            writes.data.eq(self.w_data), writes.en.eq(put),
            self.r_data.eq(reads.data), reads.en.eq(take),
        ]  # fmt: skip
        for port, moves in ((writes, put), (reads, take)):
            with m.If(moves):
                m.d.sync += port.addr.eq(Mux(port.addr == inner - 1, 0, port.addr + 1))
        with m.If(put & ~take):
            m.d.sync += [level.eq(level + 1), filled.eq(1), self.w_rdy.eq(level != inner - 1)]
        with m.Elif(take & ~put):
            m.d.sync += [level.eq(level - 1), filled.eq(level != 1), self.w_rdy.eq(1)]
        with m.If(take | self.r_en):
            m.d.sync += self.r_rdy.eq(take)
        return m
