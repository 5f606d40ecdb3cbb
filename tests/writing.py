"""What the tests of writable units share: a bus master, and a judge of all that happens."""

import types
from dataclasses import dataclass, field, replace

import numpy as np
from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from hw.units import unit_of
from nnlut_train.tables import DirectTable, PwlTable
from sim.golden.register_files import driver
from sim.golden.register_map import CONTROL, ID, MAGIC, MAP, STATUS, register_map

OKAY, SLVERR = 0, 2


def driver_of(spec, name="unit"):
    """Return the generated driver as a module."""
    module = types.ModuleType(f"{name}_driver")
    exec(compile(driver(register_map(spec), name), f"{name}_driver.py", "exec"), module.__dict__)
    return module


def random_table(draw, table, entries=None):
    """Return a table of the same formats with random integers."""
    if isinstance(table, DirectTable):
        form = table.value
        values = tuple(draw.randint(form.min, form.max) for _ in table.values)
        return replace(table, values=values, meta={})
    count = draw.randint(1, table.entries) if entries is None else entries
    form = table.argument
    edges = sorted(draw.sample(range(form.min, form.max + 1), count - 1))
    slopes, intercepts = (
        tuple(draw.randint(kind.min, kind.max) for _ in range(count))
        for kind in (table.slope, table.intercept)
    )
    return replace(table, breakpoints=tuple(edges), slopes=slopes, intercepts=intercepts, meta={})


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
        payload, = await ctx.tick().sample(bus.r.payload).until(bus.r.valid)
        ctx.set(bus.r.ready, 0)
        return payload.data, payload.resp

    async def idle(self, ctx):
        """Wait until no commit is pending."""
        for _ in range(5000):
            word, resp = await self.read(ctx, STATUS)
            assert resp == OKAY
            if not word & 1:
                return
        raise AssertionError("a commit is pending for ever")


@dataclass
class Judge:
    """Follows a unit clock by clock: what each write must do, and which tables each row sees.

    A row is computed with the tables of the last commit that was written before the row's first
    beat was accepted: what comes later waits.
    """

    spec: object
    unit: object
    clock: int = 0
    pending: bool = False
    inside: int = 0
    #: By the address of its word: what the shadow holds, and the words that it may hold.
    shadow: dict = field(default_factory=dict)
    versions: list = field(default_factory=list)
    rows: list = field(default_factory=list)
    results: list = field(default_factory=list)
    responses: list = field(default_factory=list)
    refused: int = 0
    committed: int = 0

    def __post_init__(self):
        self.map = register_map(self.spec)
        self.allowed = {}
        for block in self.map.blocks:
            for array in block.arrays:
                for position, value in enumerate(block.values(array)):
                    for word in range(array.words):
                        address = array.address + 4 * (array.words * position + word)
                        self.allowed[address] = array, word
                        self.shadow[address] = value >> 32 * word & 0xFFFFFFFF
        self.versions.append(self.tables())
        self.open = None

    def tables(self):
        """Return the shadow as a specification."""
        found = {}
        for block in self.map.blocks:
            arrays = {}
            for array in block.arrays:
                values = []
                for position in range(array.count):
                    at = array.address + 4 * array.words * position
                    value = sum(self.shadow[at + 4 * word] << 32 * word
                                for word in range(array.words))  # fmt: skip
                    top = 1 << 32 * array.words
                    values.append(value - top if array.format.signed and 2 * value >= top
                                  else value)  # fmt: skip
                arrays[array.name] = tuple(values)
            if isinstance(block.table, PwlTable):
                arrays["breakpoints"], arrays["slopes"], arrays["intercepts"] = strict(arrays)
            else:
                rest = block.table.values[len(arrays["values"]) :]
                arrays["values"] += rest
            found[block.name] = replace(block.table, meta={}, **arrays)
        return self.spec.with_tables(found)

    def good(self, address, word, strb):
        """Return whether a write must be done."""
        if strb != 15:
            return False
        if address == CONTROL:
            return word < 4 and not (word & 1 and self.pending)
        if address not in self.allowed or self.pending:
            return False
        array, part = self.allowed[address]
        if part < array.words - 1:
            return True
        form, shift = array.format, 32 * part
        value = word - (1 << 32) if form.signed and word >> 31 else word
        return form.min >> shift <= value <= form.max >> shift

    def written(self, address, word, strb):
        """Take note of a write; its response is to come."""
        good = self.good(address, word, strb)
        self.responses.append(OKAY if good else SLVERR)
        self.refused += not good
        if good and address == CONTROL:
            if word & 1:
                self.pending = True
                self.versions.append(self.tables())
        elif good:
            self.shadow[address] = word

    async def watch(self, ctx):
        """Follow the unit for ever."""
        unit, bus = self.unit, self.unit.bus
        held = {}
        longest = self.spec.beats(self.spec.longest)
        async for (_, rst, entering, taken, sent, leaving, offered, got, aw, w, b, r) in (
            ctx.tick().sample(
                unit.i.valid, unit.i.ready, unit.i.payload,
                unit.o.valid, unit.o.ready, unit.o.payload,
                bus.aw, bus.w, bus.b, bus.r,
            )
        ):  # fmt: skip
            raise NotImplementedError((held, longest, rst, entering, taken, sent, leaving, offered,
                                       got, aw, w, b, r))
