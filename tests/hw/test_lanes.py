"""Several lanes: the results of one lane, so many a clock; rows that end anywhere in a beat."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import Simulator
from benching import check, simulate
from faults import spec_of

from hw.axi import AxiStream
from hw.design import design
from hw.request import Request
from hw.units import unit_of
from nnlut_train.errors import UsageError
from sim.beats import expected, input_beats
from sim.golden import LanesSpec
from sim.stimuli import Stimulus, random_rows

SOFTMAX = {"op": "softmax", "bits": 6, "arch": "direct"}
ROW_UNITS = {
    "softmax": SOFTMAX,
    "softmax, lines": {**SOFTMAX, "arch": "pwl"},
    "rexp": {**SOFTMAX, "method": "rexp"},
    "lut2d": {**SOFTMAX, "method": "lut2d"},
    "base2": {**SOFTMAX, "method": "base2"},
    "ibert": {**SOFTMAX, "arch": "integer", "method": "ibert"},
    "layernorm": {"op": "layernorm", "bits": 9, "arch": "direct"},
    "rmsnorm": {"op": "rmsnorm", "bits": 9, "arch": "pwl"},
}
I_LAYERNORM = {"op": "layernorm", "bits": 8, "arch": "integer", "method": "ibert"}


def row_unit(name, lanes, length=32, **options):
    asked = {**ROW_UNITS.get(name, I_LAYERNORM), "lanes": lanes, "length": length, **options}
    arch = asked.pop("arch")
    return design(Request(**asked), arch)


@pytest.mark.parametrize("lanes", [2, 4, 16])
@pytest.mark.parametrize("name", ROW_UNITS)
def test_every_row_unit_gives_so_many_elements_a_clock(name, lanes):
    report = check(row_unit(name, lanes))
    assert report.throughput == lanes


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("name", ROW_UNITS)
def test_lanes_give_the_results_of_one_lane(name, lanes):
    one, many = row_unit(name, 1), row_unit(name, lanes)
    rng = np.random.default_rng(lanes)
    rows = [*random_rows(one, 20, rng), *(rng.integers(-9, 9, n) for n in range(1, 2 * lanes + 1))]
    for row in rows:
        assert many.compute(row).tolist() == one.compute(row).tolist()
    # And so does the hardware: in its beats are the elements of the row, in their order.
    wanted = [code for beat in expected(one, rows) for code in beat.codes]
    found = [code for beat in expected(many, rows) for code in beat.codes if code is not None]
    assert found == wanted
    check(many, [Stimulus("rows of every remainder", rows, source_stall=0.2, sink_stall=0.2)])


@pytest.mark.parametrize("name", ROW_UNITS)
def test_latency_of_lanes_is_stated_in_beats(name):
    spec = row_unit(name, 4)
    step = spec.latency_of(5) - spec.latency_of(4)
    assert step >= 1
    for length in range(1, 32):
        beats = -(-length // 4)
        assert spec.latency_of(length) == spec.latency_of(1) + (beats - 1) * step


@pytest.mark.parametrize("lanes", [2, 4, 16])
@pytest.mark.parametrize(
    ("op", "bits", "arch"), [("gelu", 8, "pwl"), ("exp", 8, "pwl"), ("tanh", 8, "direct"),
                             ("rsqrt", 7, "pwl"), ("sin", 6, "pwl")]
)  # fmt: skip
def test_unary_units(op, bits, arch, lanes):
    spec = spec_of(op, bits, arch, lanes=lanes)
    assert isinstance(spec, LanesSpec)
    report = check(spec)
    assert report.throughput == lanes
    assert set(report.latency.values()) == {spec.unit.latency}


def test_only_powers_of_two():
    with pytest.raises(UsageError, match=r"lanes must be one of 1, 2, 4, 8, 16, not 3$"):
        LanesSpec(spec_of("gelu", 6), 3)
    spec = row_unit("softmax", 1, length=20)
    with pytest.raises(UsageError, match=r"length must be a multiple of the 8 lanes, not 20$"):
        replace(spec, lanes=8)


@pytest.mark.parametrize("name", [*ROW_UNITS, "i-layernorm"])
def test_holes_are_no_elements_wherever_they_are(name):
    spec = row_unit(name, 4)
    rng = np.random.default_rng(3)
    rows = list(random_rows(spec, 30, rng))
    keeps = [rng.random(len(row)) < share for row, share in
             zip(rows, rng.choice([0.0, 0.2, 0.7], len(rows)), strict=True)]  # fmt: skip
    stalls = {"source_stall": 0.2, "sink_stall": 0.2}
    check(spec, [Stimulus("holes", rows, keeps=keeps),
                 Stimulus("holes, stalls", rows, keeps=keeps, **stalls)])  # fmt: skip
    # What they hold makes no difference: the bench fills them with the largest code.
    for row, keep in zip(rows, keeps, strict=True):
        if keep.any():
            others = np.where(keep, row, spec.input.min)
            first, second = (spec.compute(codes, ~keep)[keep].tolist() for codes in (row, others))
            assert first == second


def flags_after(spec, beats):
    """Return ``(overlong, holes)`` after each of some beats, and again after a reset."""
    unit, seen = unit_of(spec), []

    async def testbench(ctx, domain):
        ctx.set(unit.o.ready, 1)
        for codes, keep, last in beats:
            ctx.set(unit.i.payload, {"data": codes, "keep": keep, "last": last})
            ctx.set(unit.i.valid, 1)
            await ctx.tick().until(unit.i.ready)
            ctx.set(unit.i.valid, 0)
            seen.append((ctx.get(unit.o_overlong), ctx.get(unit.o_holes)))
        ctx.set(domain.rst, 1)
        await ctx.tick()
        ctx.set(domain.rst, 0)
        seen.append((ctx.get(unit.o_overlong), ctx.get(unit.o_holes)))

    simulate(unit, testbench)
    return seen


@pytest.mark.parametrize(
    ("keeps", "flagged"),
    [([0b1111, 0b0111], False), ([0b1111, 0b0001], False), ([0b1111, 0b1111], False),
     ([0b0001], False), ([0b1111, 0b0000], False), ([0b0111, 0b1111], True),
     ([0b1111, 0b0101], True), ([0b1111, 0b1110], True), ([0b0000, 0b1111], True)],
)  # fmt: skip
@pytest.mark.parametrize("name", ["softmax", "layernorm"])
def test_holes_are_flagged_and_partial_last_beats_are_not(name, keeps, flagged):
    spec = row_unit(name, 4)
    row = [([1, 2, 3, 4], keep, at == len(keeps) - 1) for at, keep in enumerate(keeps)]
    good = [([1, 2, 3, 4], 0b1111, True)]
    seen = flags_after(spec, row + good)
    # It stays until reset.
    assert [holes for _, holes in seen[-2:]] == [flagged, False]
    assert not any(overlong for overlong, _ in seen)


@pytest.mark.parametrize(
    ("keep", "elements", "flagged"),
    [
        (0b1111, 2, 0),
        (0b0011, 1, 0),
        (0b0111, 1, 1),
        (0b0001, 0, 1),
        (0b1101, 1, 1),
        (0b0000, 0, 0),
    ],
)
@pytest.mark.parametrize("options", [{}, {"tables": "writable"}])
def test_a_lane_that_is_kept_in_part_is_no_element_and_is_flagged(keep, elements, flagged, options):
    # Two lanes of two bytes, at the ports of the Verilog.
    spec = row_unit("rmsnorm", 2, length=4, **options)
    dut = AxiStream(spec)
    sent = [spec.input.max, spec.input.max]
    kept = [code for lane, code in enumerate(sent) if keep >> 2 * lane & 3 == 3]

    async def testbench(ctx):
        async def tick():
            """Let a clock pass; return whether the result is offered before its end."""
            ctx.set(dut.aclk, 0)
            await ctx.delay(5e-9)
            offered = ctx.get(dut.m_axis_tvalid)
            if not offered:
                ctx.set(dut.aclk, 1)
                await ctx.delay(5e-9)
            return offered

        ctx.set(dut.aresetn, 0)
        await tick()
        ctx.set(dut.aresetn, 1)
        for _ in range(spec.settling):
            await tick()
        ctx.set(dut.s_axis_tdata, sent[0] | sent[1] << 16)
        ctx.set(dut.s_axis_tkeep, keep)
        ctx.set(dut.s_axis_tlast, 1)
        ctx.set(dut.s_axis_tvalid, 1)
        assert ctx.get(dut.s_axis_tready)
        await tick()
        ctx.set(dut.s_axis_tvalid, 0)
        for _ in range(spec.latency_of(1)):
            if await tick():
                break
        data, left = ctx.get(dut.m_axis_tdata), ctx.get(dut.m_axis_tkeep)
        found = [data >> 8 * lane & 255 for lane in range(2) if left >> lane & 1]
        assert len(found) == len(kept) == elements
        assert found == ([code & 255 for code in spec.compute(np.array(kept))] if kept else [])
        assert ctx.get(dut.holes) == flagged

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(
    ("keeps", "lasts", "out"),
    [  # At the limit of two beats: an empty end is a beat more, and a row of its own.
        ([0b1111, 0b1111, 0b0000], [0, 0, 1], [(0b1111, 0), (0b1111, 1), (0b0000, 1)]),
        ([0b0011, 0b0001, 0b0011], [0, 0, 1], [(0b0011, 0), (0b0001, 1), (0b0011, 1)]),
    ],
)
def test_a_row_is_cut_after_so_many_beats_however_many_elements_they_have(keeps, lasts, out):
    spec = row_unit("softmax", 4, length=8)
    unit, seen = unit_of(spec), []

    async def testbench(ctx, domain):
        ctx.set(unit.o.ready, 1)
        for at in range(60):
            if at < len(keeps):
                beat = {"data": [1, 2, 3, 4], "keep": keeps[at], "last": lasts[at]}
                ctx.set(unit.i.payload, beat)
            ctx.set(unit.i.valid, at < len(keeps))
            _, _, valid, payload = await ctx.tick().sample(unit.o.valid, unit.o.payload)
            if valid:
                seen.append((payload.keep, payload.last))
        assert ctx.get(unit.o_overlong) == 1

    simulate(unit, testbench)
    assert seen == out


def test_overlong_rows_of_several_lanes_are_cut_and_flagged():
    spec = row_unit("softmax", 4, length=8)
    full = ([5, -5, 3, 0], 0b1111)
    seen = flags_after(spec, [(*full, False), (*full, True), (*full, False), (*full, False)])
    assert [overlong for overlong, _ in seen] == [0, 0, 0, 1, 0]
    rng = np.random.default_rng(0)
    rows = [rng.integers(-32, 31, n) for n in (8, 9, 3, 17, 24, 8, 1)]
    assert [beat.last for beat in input_beats(spec, rows)].count(True) == 7
    assert [beat.last for beat in expected(spec, rows)].count(True) == 7 + 1 + 2 + 2
    check(spec, [Stimulus("cut", rows), Stimulus("cut", rows, source_stall=0.3, sink_stall=0.3)])


@pytest.mark.parametrize("name", ["softmax", "layernorm"])
def test_reset_at_many_points(name):
    spec = row_unit(name, 4, length=12)
    rng = np.random.default_rng(0)
    rows = [rng.integers(-32, 31, n, endpoint=True) for n in (12, 3, 12, 5, 1, 12, 4, 9, 12)]
    beats = len(input_beats(spec, rows))
    check(spec, [Stimulus(f"reset after {at}", rows, 0.2, 0.2, reset_after=at)
                 for at in range(1, beats)])  # fmt: skip
