"""What the tests of writable units share: a bus master, traffic, and a planted fault."""

import itertools
import types
from functools import partial

import numpy as np
from amaranth.hdl import ClockDomain, Module
from amaranth.sim import DomainReset, Simulator
from judge import OKAY, Judge

from hw.units import unit_of
from hw.units.registers import Registers
from sim.beats import input_beats
from sim.golden.register_files import driver
from sim.golden.register_map import STATUS, register_map


def driver_of(spec, name="unit"):
    """Return the generated driver as a module."""
    module = types.ModuleType(f"{name}_driver")
    exec(compile(driver(register_map(spec), name), f"{name}_driver.py", "exec"), module.__dict__)
    return module


class EagerRegisters(Registers):
    """Copies before the unit is empty: a row can meet two tables."""

    def connect(self, m, slave):
        for each in self._held.values():
            for held in each:
                held.connect = partial(self.early, held.connect)
        super().connect(m, slave)

    def early(self, connect, m, write, index, word, commit):
        connect(m, write, index, word, self.pending)


class Bus:
    """A master that sends address and data in any order, and takes responses late."""

    def __init__(self, bus, draw, *, stall=0.0):
        self.bus, self.draw, self.stall = bus, draw, stall

    async def _wait(self, ctx):
        while self.draw.random() < self.stall:
            await ctx.tick()

    async def write(self, ctx, address, word, strb=15):
        """Return the response."""
        bus = self.bus
        offers = {"aw": {"addr": address, "prot": self.draw.randrange(8)},
                  "w": {"data": word, "strb": strb}}  # fmt: skip
        waiting, offered = self.draw.sample(["aw", "w"], 2), []
        ready = False
        while waiting or offered or not ready:
            if waiting and self.draw.random() >= self.stall:
                name = waiting.pop()
                ctx.set(getattr(bus, name).payload, offers[name])
                ctx.set(getattr(bus, name).valid, 1)
                offered.append(name)
            ready = self.draw.random() >= self.stall
            ctx.set(bus.b.ready, ready)
            _, _, aw, w, valid, resp = await ctx.tick().sample(
                bus.aw.ready, bus.w.ready, bus.b.valid, bus.b.payload.resp
            )
            for name, taken in (("aw", aw), ("w", w)):
                if name in offered and taken:
                    ctx.set(getattr(bus, name).valid, 0)
                    offered.remove(name)
            ready = ready and valid
        ctx.set(bus.b.ready, 0)
        return resp

    async def read(self, ctx, address):
        """Return word and response."""
        bus = self.bus
        await self._wait(ctx)
        ctx.set(bus.ar.payload, {"addr": address, "prot": 0})
        ctx.set(bus.ar.valid, 1)
        await ctx.tick().until(bus.ar.ready)
        ctx.set(bus.ar.valid, 0)
        await self._wait(ctx)
        ctx.set(bus.r.ready, 1)
        (payload,) = await ctx.tick().sample(bus.r.payload).until(bus.r.valid)
        ctx.set(bus.r.ready, 0)
        return payload.data, payload.resp

    async def idle(self, ctx, *, polls=2000):
        """Wait until no commit is pending."""
        for _ in range(polls):
            word, resp = await self.read(ctx, STATUS)
            assert resp == OKAY
            if not word & 1:
                return
        raise AssertionError("a commit is pending for ever")


def payload(spec, beat):
    """Return a beat as `ctx.set` takes it."""
    codes = [0 if code is None else code for code in beat.codes]
    fields = {"user": beat.user} if spec.user_bits else {}
    if spec.lanes == 1:
        return {"data": codes[0], "last": beat.last, **fields}
    return {"data": codes, "keep": beat.keep, "last": beat.last, **fields}


def run(spec, master, rows=(), *, stall=0.0, draw=None):
    """Simulate a unit in traffic under a judge, until `master` has ended; return the judge.

    Parameters
    ----------
    spec : WritableSpec
        The unit.
    master : async callable
        Gets the simulator's context, the unit, and the judge; ``judge.stuck`` keeps results
        waiting, ``judge.rst`` is the reset.
    rows : sequence
        What is sent again and again, until `master` has ended.
    stall : float
        Probability of a stall on either side, in a clock.
    draw : random.Random
        Draws the stalls.
    """
    unit = unit_of(spec)
    m = Module()
    m.domains.sync = domain = ClockDomain()
    m.submodules.unit = unit
    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    judge = Judge(spec, unit, domain.rst)
    sending = [True] * 2

    async def source(ctx):
        for row in itertools.cycle(rows):
            # Masks, or functions in turn.
            users = np.arange(len(row)) % (1 << (1 if spec.mask else spec.user_bits))
            for beat in input_beats(spec, [np.asarray(row)], [users]):
                while stall and draw.random() < stall:
                    await ctx.tick()
                ctx.set(unit.i.payload, payload(spec, beat))
                ctx.set(unit.i.valid, 1)
                try:
                    await ctx.tick().until(unit.i.ready)
                except DomainReset:
                    break
                finally:
                    ctx.set(unit.i.valid, 0)
            if not sending[0]:
                break
        sending[1] = False

    async def sink(ctx):
        while not judge.ended:
            free = not judge.stuck and (stall == 0 or draw.random() >= stall)
            ctx.set(unit.o.ready, free)
            await ctx.tick()

    async def first(ctx):
        await master(ctx, unit, judge)
        sending[0] = False
        while (rows and sending[1]) or judge.inside:
            await ctx.tick()
        await ctx.tick().repeat(4)
        judge.ended = True

    for process in (judge.watch, source, sink, first) if rows else (judge.watch, sink, first):
        simulator.add_testbench(process)
    simulator.run()
    return judge
