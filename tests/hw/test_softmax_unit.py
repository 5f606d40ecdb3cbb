"""The softmax unit, bit-exact against its golden model: rows of any length, in any order."""

import numpy as np
import pytest
from benching import check, simulate
from faults import spec_of

from hw.units import unit_of
from hw.units.row_pass import ROW_SLOTS
from sim.beats import Beat, expected
from sim.stimuli import Stimulus, corner_rows, random_rows, stimuli


@pytest.mark.parametrize(
    ("bits", "length", "arch", "fold"),
    [
        (4, 1, "pwl", "auto"), (4, 1, "direct", "auto"), (4, 16, "pwl", "auto"),
        (8, 1, "pwl", "auto"), (8, 2, "direct", "auto"), (8, 3, "pwl", "auto"),
        (8, 3, "direct", "auto"), (8, 16, "direct", "auto"), (8, 17, "pwl", "none"),
        (8, 100, "pwl", "auto"), (8, 100, "direct", "auto"), (5, 9, "pwl", "none"),
        (12, 5, "pwl", "auto"), (12, 5, "direct", "auto"), (11, 3, "direct", "auto"),
    ],
)  # fmt: skip
def test_softmax(bits, length, arch, fold):
    spec = spec_of("softmax", bits, arch, length=length, fold=fold)
    runs = None
    if length == 100 or bits > 8:  # the corners, one a code, are too many here
        runs = [run for run in stimuli(spec) if len(run.rows) < 30]
        runs.append(Stimulus("corners", list(corner_rows(spec))[:: (1 << bits) // 16]))
    report = check(spec, runs)
    assert report.latency.keys() == {1, (length + 1) // 2, length}
    assert report.throughput == 1.0


def test_softmax_of_the_default_length():
    spec = spec_of("softmax")
    assert spec.length == 128
    rng = np.random.default_rng(2)
    runs = [
        Stimulus("full rate", [*list(corner_rows(spec))[1:8:2], *random_rows(spec, 6, rng)]),
        Stimulus("stalls", list(random_rows(spec, 4, rng)), source_stall=0.3, sink_stall=0.3),
    ]
    report = check(spec, runs)
    assert report.latency == {n: 2 * n + 5 + 6 + 6 for n in (1, 64, 128)}


@pytest.mark.parametrize(("length", "arch"), [(1, "pwl"), (3, "direct"), (16, "pwl")])
def test_softmax_seeds(length, arch):
    spec = spec_of("softmax", 6, arch, length=length)
    for seed in (1, 2, 3):
        check(spec, seed=seed)


def waits(spec, rows):
    """Return how often the input waits while nothing stalls outside; check the results."""
    unit = unit_of(spec)
    beats = [(int(code), at == len(row) - 1) for row in rows for at, code in enumerate(row)]
    wanted = expected(spec, rows)
    results, waited = [], 0

    async def testbench(ctx, domain):
        nonlocal waited
        ctx.set(unit.o.ready, 1)
        position = 0
        for _ in range(4 * len(beats) + 500):
            if position < len(beats):
                data, last = beats[position]
                ctx.set(unit.i.payload, {"data": data, "last": last})
            ctx.set(unit.i.valid, position < len(beats))
            _, _, ready, valid, payload = await ctx.tick().sample(
                unit.i.ready, unit.o.valid, unit.o.payload
            )
            waited += position < len(beats) and not ready
            position += ready
            if valid:
                results.append(Beat((payload.data,), bool(payload.last)))
            if len(results) == len(wanted):
                break

    simulate(unit, testbench)
    assert results == wanted
    return waited


@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_rows_of_moderately_varying_lengths_never_wait(arch):
    spec = spec_of("softmax", arch=arch, length=24)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(8, 24, 60, endpoint=True)
        rows = [rng.integers(-128, 127, n, endpoint=True) for n in lengths]
        assert waits(spec, rows) == 0


def long_and_short(shorts):
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(3):
        rows.append(rng.integers(-128, 127, 30, endpoint=True))
        rows += [rng.integers(-128, 127, 2, endpoint=True) for _ in range(shorts)]
        rows.append(rng.integers(-128, 127, 30 - shorts, endpoint=True))
    return rows


@pytest.mark.parametrize("shorts", [1, ROW_SLOTS - 1])
def test_few_short_rows_behind_a_long_one_do_not_wait(shorts):
    assert waits(spec_of("softmax", length=30), long_and_short(shorts)) == 0


def test_one_short_row_more_waits():
    assert waits(spec_of("softmax", length=30), long_and_short(ROW_SLOTS)) > 0


def test_many_short_rows_behind_a_long_one_wait_but_come_out_right():
    spec = spec_of("softmax", length=30)
    rows = long_and_short(5)
    many = [row for _ in range(2) for row in [rows[0], *[row[:1] for row in rows * 2]]]
    assert waits(spec, many) > 0


def test_rows_of_any_length_in_any_order_under_stalls():
    spec = spec_of("softmax", length=13)
    rng = np.random.default_rng(5)
    rows = [rng.integers(-128, 127, rng.choice([1, 2, 5, 12, 13])) for _ in range(80)]
    runs = [
        Stimulus(f"{source} {sink}", rows, source_stall=source, sink_stall=sink)
        for source, sink in ((0, 0), (0, 0.9), (0.9, 0), (0.6, 0.6))
    ]
    check(spec, runs)


@pytest.mark.parametrize("length", [1, 4, 7])
def test_overlong_rows_are_cut(length):
    spec = spec_of("softmax", length=length)
    rng = np.random.default_rng(length)
    rows = [
        rng.integers(-128, 127, n)
        for n in (length, length + 1, 1, 3 * length, 3 * length + 1, length, 2 * length - 1 or 1)
    ]
    results = expected(spec, rows)
    assert sum(beat.last for beat in results) == sum(-(-len(row) // length) for row in rows)
    check(spec, [Stimulus("cut", rows), Stimulus("cut", rows, source_stall=0.4, sink_stall=0.4)])


async def send(ctx, unit, row, *, last=True):
    """Offer a row's beats, one by one, until they are accepted; return `overlong` after each."""
    seen = []
    for position, code in enumerate(row):
        ctx.set(
            unit.i.payload, {"data": int(code), "last": last and position == len(row) - 1}
        )  # fmt: skip
        ctx.set(unit.i.valid, 1)
        await ctx.tick().until(unit.i.ready)
        seen.append(ctx.get(unit.o_overlong))
    ctx.set(unit.i.valid, 0)
    return seen


async def receive(ctx, unit, count):
    """Return the next `count` results."""
    results = []
    ctx.set(unit.o.ready, 1)
    for _ in range(5000):
        if len(results) == count:
            break
        _, _, valid, payload = await ctx.tick().sample(unit.o.valid, unit.o.payload)
        if valid:
            results.append(Beat((payload.data,), bool(payload.last)))
    ctx.set(unit.o.ready, 0)
    return results


@pytest.mark.parametrize("length", [1, 2, 6])
def test_overlong_rises_with_the_cut_and_stays_until_reset(length):
    spec = spec_of("softmax", length=length)
    unit = unit_of(spec)
    row = list(range(-5, 3 * length - 5))

    async def testbench(ctx, domain):
        assert ctx.get(unit.o_overlong) == 0
        # A row of the maximum length is not overlong.
        assert await send(ctx, unit, row[:length]) == [0] * length
        assert await receive(ctx, unit, length) == expected(spec, [np.array(row[:length])])
        # The maximum length without its end: the flag rises with the beat that is cut.
        seen = await send(ctx, unit, row[:length], last=False)
        assert seen == [0] * (length - 1) + [1]
        results = await receive(ctx, unit, length)
        assert results == expected(spec, [np.array(row[:length])])
        assert results[-1].last, "the end of the cut row is marked"
        # The element that follows begins another row, which is right, and the flag stays.
        assert await send(ctx, unit, [9]) == [1]
        assert await receive(ctx, unit, 1) == expected(spec, [np.array([9])])
        for _ in range(20):
            await ctx.tick()
            assert ctx.get(unit.o_overlong) == 1
        ctx.set(domain.rst, 1)
        await ctx.tick()
        ctx.set(domain.rst, 0)
        assert ctx.get(unit.o_overlong) == 0
        assert set(await send(ctx, unit, row[:length])) == {0}
        assert await receive(ctx, unit, length) == expected(spec, [np.array(row[:length])])
        assert ctx.get(unit.o_overlong) == 0

    simulate(unit, testbench)


def test_a_stalled_beat_does_not_make_a_row_overlong():
    # Only accepted beats count: an offered one that waits is no beat more.
    spec = spec_of("softmax", length=3)
    unit = unit_of(spec)

    async def testbench(ctx, domain):
        ctx.set(unit.i.payload, {"data": 1, "last": 1})
        ctx.set(unit.i.valid, 1)
        waited = 0
        for _ in range(100):
            _, _, ready = await ctx.tick().sample(unit.i.ready)
            waited += not ready
        assert waited > 50, "the output is never taken: the input must wait"
        assert ctx.get(unit.o_overlong) == 0

    simulate(unit, testbench)


@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_reset_at_every_point_of_softmax(arch):
    # After every number of accepted beats: rows loading, being summed, leaving.
    spec = spec_of("softmax", 6, arch, length=5)
    rng = np.random.default_rng(0)
    rows = [rng.integers(-32, 31, n, endpoint=True) for n in (5, 3, 5, 5, 1, 5, 4, 5, 5)]
    beats = sum(map(len, rows))
    runs = [Stimulus(f"reset after {at}", rows, reset_after=at) for at in range(1, beats)]
    runs += [
        Stimulus(f"reset after {at}, stalls", rows, 0.3, 0.3, reset_after=at)
        for at in range(2, beats, 3)
    ]
    check(spec, runs)
