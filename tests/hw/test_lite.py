"""The AXI4-Lite port: what depends on what, and in which clock."""

import itertools
import random

import pytest
from amaranth.sim import Simulator
from faults import spec_of

from hw.lite import LiteSlave, wires
from hw.units import unit_of
from sim.golden import WritableSpec

BITS = 12


@pytest.fixture
def slave():
    return LiteSlave(BITS)


def simulate(component, *testbenches):
    simulator = Simulator(component)
    simulator.add_clock(1e-8)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(
    "build",
    [lambda: LiteSlave(BITS), lambda: unit_of(WritableSpec(spec_of("gelu", 5, entries=3)))],
    ids=["slave", "unit"],
)
def test_no_output_of_the_bus_follows_an_input_within_a_clock(build):
    component, draw = build(), random.Random(0)
    own = list(wires(BITS))
    inputs = [(wire.of(component.bus), wire.width) for wire in own if wire.driven]
    outputs = [wire.of(component.bus) for wire in own if not wire.driven]
    handshakes = [wire for wire in own if wire.driven and wire.field in ("valid", "ready")]
    assert len(inputs) == 11
    assert len(outputs) == 8
    seen = set()

    async def testbench(ctx):
        for _ in range(100):
            found = set()
            for levels in itertools.product((0, 1), repeat=len(handshakes)):
                for wire, width in inputs:
                    ctx.set(wire, draw.getrandbits(width))
                for wire, level in zip(handshakes, levels, strict=True):
                    ctx.set(wire.of(component.bus), level)
                found.add(tuple(ctx.get(wire) for wire in outputs))
            assert len(found) == 1
            seen.update(found)
            # Each channel moves often.
            for wire in handshakes:
                ctx.set(wire.of(component.bus), draw.random() < 0.8)
            await ctx.tick()

    simulate(component, testbench)
    assert len(seen) > 4


@pytest.mark.parametrize("order", [("aw", "w"), ("w", "aw")])
@pytest.mark.parametrize("gap", [0, 1, 5])
def test_a_write_takes_three_clocks_from_when_both_halves_are_there(slave, order, gap):
    bus, first, second = slave.bus, *(getattr(slave.bus, name) for name in order)

    async def testbench(ctx):
        ctx.set(bus.aw.payload.addr, 20)
        ctx.set(bus.w.payload.data, 77)
        ctx.set(bus.b.ready, 1)
        ctx.set(first.valid, 1)
        for _ in range(gap):
            assert (ctx.get(first.ready), ctx.get(second.ready), ctx.get(slave.write)) == (0, 0, 0)
            await ctx.tick()
        ctx.set(second.valid, 1)
        assert (ctx.get(first.ready), ctx.get(second.ready)) == (0, 0)
        await ctx.tick()
        assert (ctx.get(first.ready), ctx.get(second.ready)) == (1, 1)
        assert ctx.get(slave.write) == 1
        assert (ctx.get(slave.write_address), ctx.get(slave.write_data)) == (20, 77)
        assert ctx.get(bus.b.valid) == 0
        await ctx.tick()
        ctx.set(first.valid, 0)
        ctx.set(second.valid, 0)
        assert (ctx.get(bus.b.valid), ctx.get(slave.write)) == (1, 0)
        await ctx.tick()
        assert (ctx.get(bus.b.valid), ctx.get(slave.write)) == (0, 0)

    simulate(slave, testbench)


def test_a_write_and_a_read_every_two_clocks(slave):
    bus = slave.bus
    moves = []

    async def testbench(ctx):
        for channel in (bus.aw, bus.w, bus.ar):
            ctx.set(channel.valid, 1)
        ctx.set(bus.b.ready, 1)
        ctx.set(bus.r.ready, 1)
        for _ in range(20):
            await ctx.tick()
            moves.append((ctx.get(slave.write), ctx.get(bus.ar.ready)))

    simulate(slave, testbench)
    assert moves == [(1, 0), (0, 1)] * 10


def test_nothing_is_accepted_while_a_response_waits(slave):
    bus = slave.bus

    async def testbench(ctx):
        for channel in (bus.aw, bus.w, bus.ar):
            ctx.set(channel.valid, 1)
        await ctx.tick().repeat(2)
        for _ in range(5):
            assert (ctx.get(bus.b.valid), ctx.get(bus.r.valid)) == (1, 1)
            assert [ctx.get(c.ready) for c in (bus.aw, bus.w, bus.ar)] == [0, 0, 0]
            await ctx.tick()
        ctx.set(bus.b.ready, 1)
        ctx.set(bus.r.ready, 1)
        await ctx.tick()
        assert [ctx.get(c.ready) for c in (bus.aw, bus.w, bus.ar)] == [1, 1, 1]

    simulate(slave, testbench)
