"""Gamma and beta of writable norms: written whole, and nothing of them survives a reset."""

import random

import pytest
from judge import OKAY, SLVERR
from norms import affine, norm_spec
from writing import Bus, driver_of, run

from sim.golden import WritableSpec
from sim.golden.register_map import CONTROL, STATUS, register_map
from sim.random_tables import random_tables

ROW = [-96, -48, 48, 96]


def norm(length=4, **options):
    return WritableSpec(norm_spec("layernorm", bits=8, length=length, **options))


def arrays_of(spec):
    return {block.name: block.arrays[0] for block in register_map(spec).blocks}


async def enter(ctx, unit, row):
    """Send a row of one lane."""
    for at, code in enumerate(row):
        ctx.set(unit.i.payload, {"data": code, "last": at == len(row) - 1})
        ctx.set(unit.i.valid, 1)
        await ctx.tick().until(unit.i.ready)
    ctx.set(unit.i.valid, 0)


async def reset(ctx, judge):
    ctx.set(judge.rst, 1)
    await ctx.tick()
    ctx.set(judge.rst, 0)


@pytest.mark.parametrize("commits", [0, 1, 2])
def test_what_was_written_before_a_reset_is_never_used(commits):
    spec = norm(gamma=(1.0,) * 4)
    gamma = arrays_of(spec)["gamma"]
    (one,) = {*dict(spec.written())["gamma"].values}
    built = spec.compute([ROW])[0].tolist()
    assert built[0] < 0 < built[-1]

    async def master(ctx, unit, judge):
        bus = Bus(unit.bus, random.Random(1))
        # Zeros in the page that is written next, and in both.
        for turn in range(commits + 1):
            for at in range(4):
                assert await bus.write(ctx, gamma.address + 4 * at, 0) == OKAY
            if turn < commits:
                assert await bus.write(ctx, CONTROL, 1) == OKAY
                await bus.idle(ctx)
        await reset(ctx, judge)
        assert await bus.write(ctx, gamma.address, one) == OKAY
        assert await bus.write(ctx, CONTROL, 1) == SLVERR
        assert await bus.read(ctx, STATUS) == (0, OKAY)
        await enter(ctx, unit, ROW)
        await ctx.tick().repeat(60)
        assert [beat.data for beat in judge.results] == built
        for at in range(4):
            assert await bus.write(ctx, gamma.address + 4 * at, -one & 0xFFFFFFFF) == OKAY
        assert await bus.write(ctx, CONTROL, 1) == OKAY
        await bus.idle(ctx)
        await enter(ctx, unit, ROW)
        await ctx.tick().repeat(60)
        assert [beat.data for beat in judge.results[4:]] == [-code for code in built]

    judge = run(spec, master)
    assert judge.commits == commits + 1
    judge.verdict()


@pytest.mark.parametrize("lanes", [1, 2])
def test_entries_are_taken_in_their_order_and_all_of_them(lanes):
    spec = norm(6, lanes=lanes, **affine(6))
    gamma, beta = (arrays_of(spec)[name] for name in ("gamma", "beta"))

    async def master(ctx, unit, judge):
        bus = Bus(unit.bus, random.Random(2))

        async def put(array, at):
            return await bus.write(ctx, array.address + 4 * at, 3)

        for array in (gamma, beta):
            for count in range(6):
                # Never one beyond the next.
                for beyond in range(count + 1, 6):
                    assert await put(array, beyond) == SLVERR
                assert await bus.write(ctx, CONTROL, 1) == (SLVERR if count else OKAY)
                await bus.idle(ctx)
                # A refused write is none.
                assert await bus.write(ctx, array.address + 4 * count, 3, strb=7) == SLVERR
                if count < 5:
                    assert await put(array, count + 1) == SLVERR
                assert await put(array, count) == OKAY
                # Earlier ones may be written again, and count once.
                assert await put(array, count // 2) == OKAY
            assert await put(array, 6) == SLVERR
            assert await bus.write(ctx, CONTROL, 1) == OKAY
            await bus.idle(ctx)
            # From the start again.
            assert await put(array, 1) == SLVERR

    judge = run(spec, master)
    # Each array once with nothing written, once whole.
    assert judge.commits == 4
    assert judge.refused > 60


def test_a_table_that_is_begun_keeps_the_others_from_a_commit():
    spec = norm(**affine(4))
    gamma, draw = arrays_of(spec)["gamma"], random.Random(3)
    new = random_tables(spec, draw)
    names = [name for name in new if name != "gamma"]

    async def master(ctx, unit, judge):
        bus = Bus(unit.bus, draw)
        assert await bus.write(ctx, gamma.address, 1) == OKAY
        driver = driver_of(spec)
        writes = driver.writes({name: new[name].to_json() for name in names})
        for address, word in writes[:-1]:
            assert await bus.write(ctx, address, word) == OKAY
        assert await bus.write(ctx, *writes[-1]) == SLVERR
        for address, word in driver.writes({"gamma": new["gamma"].to_json()}):
            assert await bus.write(ctx, address, word) == OKAY
        await bus.idle(ctx)
        await enter(ctx, unit, ROW)

    judge = run(spec, master)
    assert judge.versions[1] == spec.with_tables(new)
    judge.verdict()
