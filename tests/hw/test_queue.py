"""The queue with registered flags: clock by clock what Amaranth's does."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.sim import Simulator

from hw.units.queue import Queue


@pytest.mark.parametrize("depth", [2, 3, 4, 9])
def test_does_what_the_other_queue_does(depth):
    m, draw = Module(), random.Random(depth)
    m.submodules.own = own = Queue(width=8, depth=depth)
    m.submodules.other = other = SyncFIFOBuffered(width=8, depth=depth)
    seen = set()

    async def testbench(ctx):
        for clock in range(1500):
            # For long it fills, for long it empties, and in between it does both.
            written, read = ((0.9, 0.1), (0.1, 0.9), (0.9, 0.9))[clock // 50 % 3]
            word, put, take = draw.randrange(256), draw.random() < written, draw.random() < read
            for queue in (own, other):
                ctx.set(queue.w_data, word)
                ctx.set(queue.w_en, put)
                ctx.set(queue.r_en, take)
            flags = ctx.get(other.w_rdy), ctx.get(other.r_rdy)
            assert (ctx.get(own.w_rdy), ctx.get(own.r_rdy)) == flags
            if flags[1]:
                assert ctx.get(own.r_data) == ctx.get(other.r_data)
            seen.add(flags)
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()
    assert seen >= {(0, 1), (1, 0)}
