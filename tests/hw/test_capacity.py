"""How many beats a unit holds, and that the gate of a writable one never stops what it takes."""

import functools
import random

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator
from faults import spec_of
from norms import affine, norm_spec
from test_writable_units import UNITS

from hw.design import design
from hw.request import Request
from hw.units import unit_of
from sim.golden import WritableSpec

SPECS = {
    **UNITS,
    "one element": lambda: spec_of("softmax", 5, length=1, entries=4),
    "one beat": lambda: norm_spec("layernorm", bits=8, length=4, lanes=4, **affine(4)),
    "short rows": lambda: spec_of("softmax", 5, length=40, entries=4),
    "four lanes": lambda: spec_of("softmax", 6, length=24, lanes=4, entries=4),
    "base2": lambda: spec_of("softmax", 6, length=24, method="base2"),
    "kulisch": lambda: design(Request("softmax", 6, length=24, method="kulisch"), "direct"),
    "rows of a beat": lambda: spec_of("softmax", 5, length=4, lanes=4, entries=4),
}
#: Of the units of one kind, one.
GATED = ("gelu", "two lanes", "exp", "masked softmax", "norm", "one beat", "short rows", "base2")


@functools.cache
def spec_named(name):
    return SPECS[name]()


def offer(ctx, unit, code, last):
    payload = unit.i.payload
    lanes = unit.spec.lanes
    ctx.set(payload.data, code if lanes == 1 else [code] * lanes)
    ctx.set(payload.last, last)
    if lanes > 1:
        ctx.set(payload.keep, (1 << lanes) - 1)


@pytest.mark.parametrize("name", SPECS)
def test_a_unit_holds_what_it_states(name):
    spec = spec_named(name)
    unit, found = unit_of(spec), []

    async def testbench(ctx):
        longest = spec.beats(spec.longest) or 1
        ctx.set(unit.i.valid, 1)
        stuck, taken = 0, 0
        while stuck < 100:
            offer(ctx, unit, 1, taken % longest == longest - 1)
            _, _, ready = await ctx.tick().sample(unit.i.ready)
            stuck = 0 if ready else stuck + 1
            taken += ready
        found.append(taken)

    simulator = Simulator(unit)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()
    assert found == [unit.capacity]


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("name", GATED)
def test_the_gate_takes_every_beat_that_the_unit_takes(name, stall):
    spec, draw = spec_named(name), random.Random(7)
    plain, gated = unit_of(spec), unit_of(WritableSpec(spec))
    m = Module()
    m.submodules.plain, m.submodules.gated = plain, gated
    longest = spec.beats(spec.longest) or 1
    capacity, most = plain.capacity, [0]

    async def testbench(ctx):
        inside = left = 0
        stuck = False
        await ctx.tick().repeat(WritableSpec.settling)
        for clock in range(8 * capacity + 200):
            # Output stuck for long, then free, so that the units are full, and empty again.
            if clock % (2 * capacity + 20) == 0:
                stuck = not stuck
            left = left or draw.choice([1, longest, draw.randint(1, longest)])
            valid, free = draw.random() >= stall, not stuck and draw.random() >= stall
            for unit in (plain, gated):
                offer(ctx, unit, 1, left == 1)
                ctx.set(unit.i.valid, valid)
                ctx.set(unit.o.ready, free)
            _, _, *sampled = await ctx.tick().sample(
                *(wire for unit in (plain, gated) for wire in (unit.i.ready, unit.o.valid))
            )
            assert sampled[:2] == sampled[2:]
            enters, leaves = valid and sampled[0], free and sampled[1]
            left -= enters
            inside += enters - leaves
            most[0] = max(most[0], inside)

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()
    assert most[0] > capacity // 2
