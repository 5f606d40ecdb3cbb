"""Units with writable tables: old or new for each row, refused writes, the generated driver."""

import random

import pytest
from benching import check
from faults import spec_of
from judge import OKAY, SLVERR
from norms import affine, norm_spec
from writing import Bus, EagerRegisters, driver_of, run

from nnlut_train.formats import Format
from nnlut_train.tables import PwlTable
from sim.golden import LanesSpec, PwlSpec, WritableSpec
from sim.golden.register_map import CONTROL, ID, MAGIC, MAP, STATUS, register_map
from sim.random_tables import random_table, random_tables


def wide():
    """Lines whose intercepts take two words."""
    form, slope, intercept = Format(True, 5, 2), Format(True, 32, 20), Format(True, 40, 22)
    return PwlSpec(
        PwlTable(form, Format(True, 30, 10), slope, intercept, (-3, 4), (1 << 30, -7, -(1 << 31)),
                 (-(1 << 39), (1 << 39) - 1, 12))
    )  # fmt: skip


UNITS = {
    "gelu": lambda: spec_of("gelu", 6, entries=8),
    "plain gelu": lambda: spec_of("gelu", 6, fold="none", entries=8),
    "fp16": lambda: spec_of("gelu", None, precision="fp16", entries=3),
    "one line": lambda: spec_of("gelu", 4, fold="none", entries=1),
    "two words": wide,
    "two lanes": lambda: LanesSpec(spec_of("gelu", 5, entries=3), 2),
    "exp": lambda: spec_of("exp", 6, entries=4),
    "softmax": lambda: spec_of("softmax", 5, length=6, entries=4),
    "masked softmax": lambda: spec_of("softmax", 5, length=6, lanes=2, entries=4, mask=True),
    "shared": lambda: spec_of("gelu,exp,tanh", 6, entries=4),
    "norm": lambda: norm_spec("layernorm", "pwl", bits=8, length=6, entries=4, **affine(6)),
    "beta alone": lambda: norm_spec("rmsnorm", "direct", bits=8, length=5, beta=affine(5)["beta"]),
    "norm of two lanes": lambda: norm_spec(
        "layernorm", "direct", bits=8, length=6, lanes=2, **affine(6)
    ),
}


@pytest.fixture(scope="module")
def gelu():
    return WritableSpec(UNITS["gelu"]())


@pytest.fixture(scope="module")
def softmax():
    return WritableSpec(UNITS["softmax"]())


def rows_of(spec, draw, count=40):
    """Return random rows, some longer than a row unit of 6 elements takes."""
    form = spec.input
    return [[draw.randint(form.min, form.max) for _ in range(draw.randint(1, 9))]
            for _ in range(count)]  # fmt: skip


def junk(draw, registers):
    """Return a write that must be refused at any time: address, word, strobes."""
    array = draw.choice(draw.choice(registers.blocks).arrays)
    form, size = array.format, 4 * array.count * array.words
    top = array.address + 4 * (array.words - 1)
    shift = 32 * (array.words - 1)
    choices = [
        (draw.choice([ID, MAP, STATUS]), 0, 15),
        (array.address + draw.randint(1, 3), 0, 15),
        (array.address, 0, draw.randint(0, 14)),
        (CONTROL, 1, draw.randint(0, 14)),
        (CONTROL, draw.choice([4, 5, 1 << 31]), 15),
        ((1 << registers.address_bits) - 4, 0, 15),
    ]
    if form.bits % 32:
        choices += [
            (top, (form.max >> shift) + 1, 15), (top, (form.min - 1 >> shift) & 0xFFFFFFFF, 15),
        ]  # fmt: skip
    if size < array.size:
        choices.append((array.address + size, 0, 15))
    return draw.choice(choices)


@pytest.mark.parametrize(
    ("name", "stall"), [(name, 0.3) for name in UNITS] + [("gelu", 0.0), ("softmax", 0.0)]
)
def test_random_writes_in_traffic(name, stall):
    spec = WritableSpec(UNITS[name]())
    draw = random.Random(3)
    driver, registers = driver_of(spec), register_map(spec)

    async def master(ctx, unit, judge):
        bus = Bus(unit.bus, draw, stall=stall)
        for _ in range(6):
            tables = random_tables(spec, draw)
            names = draw.sample(list(tables), draw.randint(1, len(tables)))
            names += [name for name in judge.begun() if name not in names]
            writes = driver.writes({name: tables[name].to_json() for name in names})
            for address, word in writes:
                if draw.random() < 0.3:
                    assert await bus.write(ctx, *junk(draw, registers)) == SLVERR
                assert await bus.write(ctx, address, word) == OKAY
            # Whether the commit is still pending or not: the same words change nothing.
            for address, word in writes[: min(3, len(writes) - 1)]:
                await bus.write(ctx, address, word)
            await bus.idle(ctx)

    judge = run(spec, master, rows_of(spec, draw), stall=stall, draw=draw)
    assert judge.commits == 6
    assert judge.refused > 3
    assert judge.waited > 0
    assert judge.verdict() > 10


@pytest.mark.parametrize("name", ["plain gelu", "two lanes", "softmax", "norm"])
def test_without_writes_it_is_the_unit_that_was_built(name):
    spec = WritableSpec(UNITS[name]())
    plain = check(spec.unit)
    assert check(spec).latency == plain.latency


REFUSED = {
    "read only": lambda a: (ID, 0, 15),
    "read only MAP": lambda a: (MAP, 0, 15),
    "read only STATUS": lambda a: (STATUS, 0, 15),
    "between two words": lambda a: (a.address + 2, 1, 15),
    "control between two words": lambda a: (CONTROL + 1, 1, 15),
    "behind an array": lambda a: (a.address - 4, 0, 15),
    "far away": lambda a: (0xFFC, 0, 15),
    "one byte": lambda a: (a.address, 1, 1),
    "three bytes": lambda a: (a.address, 1, 14),
    "no byte": lambda a: (a.address, 1, 0),
    "commit of three bytes": lambda a: (CONTROL, 1, 7),
    "too large": lambda a: (a.address, a.format.max + 1, 15),
    "too small": lambda a: (a.address, (a.format.min - 1) & 0xFFFFFFFF, 15),
    "unknown control bit": lambda a: (CONTROL, 5, 15),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_write_changes_nothing(gelu, case):
    breakpoints, array, _ = register_map(gelu).blocks[0].arrays
    # The word before the slopes is of no array.
    assert breakpoints.address + 4 * breakpoints.count <= array.address - 4
    assert array.format.signed
    codes = gelu.input.codes()

    async def master(ctx, unit, judge):
        bus = Bus(unit.bus, random.Random(1))
        before = len(judge.results)
        assert await bus.write(ctx, *REFUSED[case](array)) == SLVERR
        assert await bus.read(ctx, STATUS) == (0, OKAY)
        assert await bus.write(ctx, CONTROL, 1) == OKAY
        await bus.idle(ctx)
        while len(judge.results) < before + 2 * len(codes):
            await ctx.tick()

    judge = run(gelu, master, [codes])
    assert judge.versions == [gelu.with_tables({}), gelu.with_tables({})]
    judge.verdict()
    wanted = gelu.compute(codes).tolist()
    assert [beat.data for beat in judge.results[: len(codes)]] == wanted
    assert [beat.data for beat in judge.results[-len(codes) :]] == wanted


@pytest.mark.parametrize("name", ["gelu", "softmax", "norm"])
def test_a_busy_bank_refuses_and_keeps_what_is_committed(name):
    spec = WritableSpec(UNITS[name]())
    draw = random.Random(5)
    driver = driver_of(spec)
    first, second = random_tables(spec, draw), random_tables(spec, draw)
    rows = rows_of(spec, draw)

    async def master(ctx, unit, judge):
        bus = Bus(unit.bus, draw)
        judge.stuck = True
        while judge.inside < 3:
            await ctx.tick()
        for address, word in driver.writes({key: new.to_json() for key, new in first.items()}):
            assert await bus.write(ctx, address, word) == OKAY
        for address, word in driver.writes({key: new.to_json() for key, new in second.items()}):
            assert await bus.write(ctx, address, word) == SLVERR
        assert (await bus.read(ctx, STATUS))[0] & 1
        # Clearing flags is allowed at any time.
        assert await bus.write(ctx, CONTROL, 2) == OKAY
        assert await bus.write(ctx, CONTROL, 3) == SLVERR
        judge.stuck = False
        await bus.idle(ctx)
        await ctx.tick().repeat(100)
        # Nothing of the second one is left to be committed.
        assert await bus.write(ctx, CONTROL, 1) == OKAY
        await bus.idle(ctx)
        await ctx.tick().repeat(100)

    judge = run(spec, master, rows)
    assert judge.verdict() > 5
    assert judge.versions[1:] == [spec.with_tables(first)] * 2


@pytest.mark.parametrize("name", ["gelu", "softmax", "norm"])
def test_a_reset_brings_back_the_tables_that_were_built(name):
    spec = WritableSpec(UNITS[name]())
    draw = random.Random(6)
    driver = driver_of(spec)

    async def master(ctx, unit, judge):
        bus = Bus(unit.bus, draw)
        new = random_tables(spec, draw)
        writes = driver.writes({name: table.to_json() for name, table in new.items()})
        # In use, half written, and pending.
        for number, wait in ((len(writes), True), (9, False), (len(writes), False)):
            for address, word in writes[:number]:
                assert await bus.write(ctx, address, word) == OKAY
            if wait:
                await bus.idle(ctx)
            ctx.set(judge.rst, 1)
            await ctx.tick()
            ctx.set(judge.rst, 0)
            # The tables of the build are committed in the first clock, so it is pending then.
            assert await bus.read(ctx, STATUS) == (1, OKAY)
            assert await bus.read(ctx, STATUS) == (0, OKAY)
            await ctx.tick().repeat(60)
            # The shadow, too.
            assert await bus.write(ctx, CONTROL, 1) == OKAY
            await bus.idle(ctx)
            await ctx.tick().repeat(60)
            assert judge.versions == [spec.with_tables({})] * 2
            assert len(judge.results) > 20
            judge.so_far()

    judge = run(spec, master, rows_of(spec, draw), stall=0.1, draw=draw)
    judge.verdict()


def test_what_can_be_read(softmax):
    registers = register_map(softmax)
    known = {ID: MAGIC, MAP: registers.hash, STATUS: 0}
    end = registers.blocks[-1].arrays[-1]
    places = range(0, end.address + end.size + 16, 4)

    async def master(ctx, unit, judge):
        bus = Bus(unit.bus, random.Random(0))
        for address in (*places, 0xFFC, 1, 2, 3, 9):
            wanted = (known[address], OKAY) if address in known else (0, SLVERR)
            assert await bus.read(ctx, address) == wanted

    run(softmax, master)


def test_flags_can_be_read_and_cleared(softmax):
    async def master(ctx, unit, judge):
        bus = Bus(unit.bus, random.Random(0), stall=0.2)
        while not ctx.get(unit.o_overlong):
            await ctx.tick()
        assert await bus.read(ctx, STATUS) == (2, OKAY)
        await ctx.tick().repeat(20)
        judge.stuck = True
        await ctx.tick().repeat(100)  # nothing enters any more
        assert await bus.write(ctx, CONTROL, 2) == OKAY
        assert await bus.read(ctx, STATUS) == (0, OKAY)
        assert ctx.get(unit.o_overlong) == 0
        judge.stuck = False
        while not ctx.get(unit.o_overlong):
            await ctx.tick()

    run(softmax, master, [[1, 2, 3], list(range(8))]).verdict()


def test_a_commit_waits_for_no_end_of_a_row_that_is_cut_anyway(softmax):
    draw = random.Random(9)
    new = random_table(dict(softmax.written())["exp.fraction"], draw)
    # One row without an end, for the unit many of its maximum length.
    endless = [draw.randint(-16, 15) for _ in range(6 * 100)]

    async def master(ctx, unit, judge):
        bus = Bus(unit.bus, draw)
        while judge.inside == 0:
            await ctx.tick()
        for address, word in driver_of(softmax).writes({"exp.fraction": new.to_json()}):
            assert await bus.write(ctx, address, word) == OKAY
        await bus.idle(ctx, polls=50)

    judge = run(softmax, master, [endless])
    assert judge.verdict() > 20
    assert {version for version, _ in judge.rows} == {0, 1}


def test_a_row_that_has_begun_keeps_its_tables(softmax):
    draw = random.Random(4)
    new = random_table(dict(softmax.written())["exp.fraction"], draw)

    async def master(ctx, unit, judge):
        bus = Bus(unit.bus, draw)
        ctx.set(unit.i.payload, {"data": 3, "last": 0})
        ctx.set(unit.i.valid, 1)
        await ctx.tick().until(unit.i.ready)
        ctx.set(unit.i.valid, 0)
        for address, word in driver_of(softmax).writes({"exp.fraction": new.to_json()}):
            assert await bus.write(ctx, address, word) == OKAY
        await ctx.tick().repeat(50)
        assert (await bus.read(ctx, STATUS))[0] & 1
        for code, last in ((-4, 0), (2, 1), (3, 0), (-4, 0), (2, 1)):
            ctx.set(unit.i.payload, {"data": code, "last": last})
            ctx.set(unit.i.valid, 1)
            await ctx.tick().until(unit.i.ready)
            ctx.set(unit.i.valid, 0)

    judge = run(softmax, master)
    assert [(version, len(row)) for version, row in judge.rows] == [(0, 3), (1, 3)]
    assert judge.verdict() == 2


def test_the_judge_finds_a_commit_that_does_not_wait(softmax, monkeypatch):
    monkeypatch.setattr("hw.units.writable.Registers", EagerRegisters)
    draw = random.Random(1)

    async def master(ctx, unit, judge):
        bus = Bus(unit.bus, draw)
        for _ in range(4):
            new = random_tables(softmax, draw)
            for address, word in driver_of(softmax).writes(
                {name: table.to_json() for name, table in new.items()}
            ):
                await bus.write(ctx, address, word)
            await ctx.tick().repeat(30)

    with pytest.raises(AssertionError, match=r"tables \d of"):
        run(softmax, master, rows_of(softmax, draw)).verdict()
