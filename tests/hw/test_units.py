import random

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from hw.design import design
from hw.request import FOLD_CHOICES, OPS, Request
from hw.units import unit_of
from hw.units.softmax import ROW_SLOTS
from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable, PwlTable
from sim.bench import expected, run_bench
from sim.golden import DirectSpec, ExpSpec, PwlSpec, ReciprocalSpec
from sim.stimuli import Stimulus, corner_rows, random_rows, stimuli

UNARY = OPS[1:]


def spec_of(op, bits=8, arch="pwl", **options):
    return design(Request(op, bits, arch=arch, **options), arch)


def check(spec, runs=None, seed=0):
    report = run_bench(spec, unit_of(spec), runs, seed=seed)
    assert report.latency
    for length, clocks in report.latency.items():
        assert clocks == spec.latency_of(length)
    return report


def simulate(unit, testbench):
    """Run `testbench` with `unit` and the domain's reset."""
    m = Module()
    m.domains.sync = domain = ClockDomain()
    m.submodules.unit = unit
    simulator = Simulator(m)
    simulator.add_clock(1e-8)

    async def run(ctx):
        await testbench(ctx, domain)

    simulator.add_testbench(run)
    simulator.run()


# Unary units.


@pytest.mark.parametrize("fold", FOLD_CHOICES)
@pytest.mark.parametrize("op", UNARY)
def test_every_function_as_lines(op, fold):
    spec = spec_of(op, fold=fold)
    reduced = fold == "auto" and op in ("exp", "reciprocal", "rsqrt")
    assert (spec.kind != "pwl") == reduced
    report = check(spec)
    assert report.throughput == 1.0
    full = next(run for run in report.runs if run.name == "all rows at full rate")
    assert full.beats == 256


@pytest.mark.parametrize("op", UNARY)
def test_every_function_as_a_direct_table(op):
    assert check(spec_of(op, arch="direct")).latency == {1: 1}


@pytest.mark.parametrize(
    ("op", "bits", "arch"),
    [
        ("gelu", 4, "pwl"), ("exp", 4, "pwl"), ("reciprocal", 4, "pwl"), ("rsqrt", 4, "pwl"),
        ("rsqrt", 5, "pwl"), ("sigmoid", 4, "direct"),
        ("exp", 10, "pwl"), ("exp", 10, "direct"), ("rsqrt", 10, "pwl"), ("rsqrt", 9, "direct"),
        ("gelu", 12, "pwl"), ("exp", 12, "pwl"), ("reciprocal", 12, "pwl"), ("silu", 12, "direct"),
    ],
)  # fmt: skip
def test_other_widths_at_every_code(op, bits, arch):
    spec = spec_of(op, bits, arch)
    report = check(spec)
    full = next(run for run in report.runs if run.name == "all rows at full rate")
    assert full.beats == 1 << bits


@pytest.mark.parametrize("op", OPS[1:])
def test_12_bit_lines_at_every_code(op):
    spec = spec_of(op, 12)
    runs = [run for run in stimuli(spec) if run.name == "all rows at full rate"]
    assert check(spec, runs).beats == 1 << 12


@pytest.mark.parametrize("op", ["tanh", "exp", "reciprocal", "rsqrt"])
def test_16_bits_at_every_code(op):
    # One of the standard runs is enough here.
    spec = spec_of(op, 16, entries=16)
    runs = [run for run in stimuli(spec) if run.name == "all rows at full rate"]
    report = check(spec, runs)
    assert report.beats == 1 << 16


@pytest.mark.parametrize(
    ("op", "input_frac", "output_frac"),
    [("exp", 2, 4), ("exp", 6, 12), ("reciprocal", 0, 10), ("reciprocal", 8, 0), ("rsqrt", 3, 4),
     ("rsqrt", 8, 9), ("gelu", 7, 3), ("tanh", 2, 9), ("sigmoid", -2, 8)],
)  # fmt: skip
def test_unusual_formats(op, input_frac, output_frac):
    for arch in ("pwl", "direct"):
        check(spec_of(op, 7, arch, input_frac=input_frac, output_frac=output_frac))


@pytest.mark.parametrize(
    ("op", "options"),
    [("exp", {"input_frac": 12, "output_frac": 2}),
     ("softmax", {"input_frac": 24, "output_frac": 3, "length": 3})],
)  # fmt: skip
def test_arguments_so_fine_that_the_exponent_never_changes(op, options):
    check(spec_of(op, 4, "pwl", **options))


@pytest.mark.parametrize("entries", [1, 2, 3, 5, 64])
def test_any_number_of_segments(entries):
    spec = spec_of("gelu", 6, entries=entries)
    assert spec.table.entries <= entries
    check(spec)


def random_table(draw, form, output):
    values = [draw.randint(output.min, output.max) for _ in range(1 << form.bits)]
    return DirectSpec(DirectTable(form, output, tuple(values)))


@pytest.mark.parametrize("seed", range(8))
def test_random_tables_of_lines(seed):
    # Extreme coefficients of random formats: every carry, both saturations.
    draw = random.Random(seed)
    form = Format(bool(seed & 1), 6, draw.randint(-1, 7))
    output = Format(bool(seed & 2), draw.randint(3, 8), draw.randint(-2, 6))
    slope = Format(bool(seed & 4), 6, max(output.frac - form.frac, 0) + draw.randint(0, 5))
    intercept = Format(not seed & 1, 7, slope.frac + form.frac - draw.randint(0, 4))
    edges = sorted(draw.sample(range(form.min, form.max + 1), 6))
    table = PwlTable(
        form, output, slope, intercept, tuple(edges),
        tuple(draw.choice([slope.min, slope.max, draw.randint(slope.min, slope.max)])
              for _ in range(7)),
        tuple(draw.choice([intercept.min, intercept.max, 0]) for _ in range(7)),
    )  # fmt: skip
    check(PwlSpec(table))


@pytest.mark.parametrize("seed", range(8))
def test_random_reciprocals_and_exponentials(seed):
    draw = random.Random(seed)
    root = bool(seed & 1)
    form = Format(False, draw.randint(4, 7), draw.randint(-2, 9))
    odd = root and (form.bits - form.frac) % 2
    bits = draw.randint(2, form.bits + odd - (not root))
    mantissa = random_table(draw, Format(False, bits, bits - 2 * root), Format(False, 6, 5))
    output = Format(False, draw.randint(4, 9), draw.randint(-1, 8))
    check(ReciprocalSpec(form, output, mantissa, root, draw.randint(0, form.bits)))
    fraction = random_table(draw, Format(False, 4, 4), Format(False, 7, draw.randint(3, 7)))
    form = Format(bool(seed & 2), 6, draw.randint(0, 4))
    output = Format(bool(seed & 4), draw.randint(4, 9), draw.randint(0, 9))
    factor = draw.choice([-1, 1]) * draw.randint(1, 200)
    check(ExpSpec(form, output, fraction, factor, draw.randint(4, 8)))


def test_many_beats_under_random_stalls():
    spec = spec_of("exp")
    rng = np.random.default_rng(0)
    codes = rng.integers(spec.input.min, spec.input.max, 20_500, endpoint=True)
    rows = np.split(codes, np.flatnonzero(rng.random(len(codes)) < 0.05))
    rows = [row for row in rows if len(row)]
    run = Stimulus("many", rows, source_stall=0.2, sink_stall=0.25)
    assert check(spec, [run]).beats == 20_500


# Softmax.


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
    assert report.latency == {n: 2 * n + 5 + 6 + 5 for n in (1, 64, 128)}


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
                results.append((payload.data, bool(payload.last)))
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


@pytest.mark.parametrize("shorts", [1, ROW_SLOTS - 2])
def test_few_short_rows_behind_a_long_one_do_not_wait(shorts):
    assert waits(spec_of("softmax", length=30), long_and_short(shorts)) == 0


def test_one_short_row_more_waits():
    assert waits(spec_of("softmax", length=30), long_and_short(ROW_SLOTS - 1)) > 0


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
    assert sum(last for _, last in results) == sum(-(-len(row) // length) for row in rows)
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
            results.append((payload.data, bool(payload.last)))
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
        assert results[-1][1], "the end of the cut row is marked"
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


@pytest.mark.parametrize(("op", "arch"), [("gelu", "pwl"), ("exp", "pwl"), ("tanh", "direct")])
def test_reset_at_many_points_of_a_unary_unit(op, arch):
    spec = spec_of(op, 6, arch)
    rows = [np.arange(-10, 10)]
    check(spec, [Stimulus(f"reset after {at}", rows, 0, 0.4, reset_after=at) for at in range(1, 9)])


# The bench itself.


def test_the_same_seed_gives_the_same_run():
    spec = spec_of("softmax", 5, length=4)
    first, again, other = (check(spec, seed=seed) for seed in (1, 1, 2))
    assert first.runs == again.runs
    assert first.runs != other.runs
    assert first.beats == sum(run.beats for run in first.runs) > 0


def test_the_waveform_is_written_on_request(tmp_path):
    path = tmp_path / "gelu.vcd"
    spec = spec_of("gelu", 4)
    run_bench(spec, unit_of(spec), [Stimulus("few", [np.array([1, 2])])], vcd=path)
    text = path.read_text()
    assert "$var" in text
    assert "i__valid" in text
    assert list(tmp_path.iterdir()) == [path]


def test_every_architecture_has_a_unit():
    request = Request("gelu", 8)
    for arch in request.possible:
        spec = design(request, arch)
        unit = unit_of(spec)
        assert unit.spec is spec
        run_bench(spec, unit, [Stimulus("few", [np.array([1, 2])])])
    with pytest.raises(UsageError, match=r"^no unit builds a Format$"):
        unit_of(Format(True, 8, 4))
