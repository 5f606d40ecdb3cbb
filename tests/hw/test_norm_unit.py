"""The LayerNorm and RMSNorm unit, bit-exact against its golden model."""

import dataclasses

import numpy as np
import pytest
from benching import check, simulate
from faults import caught
from norms import NORMS, affine, norm_spec

from hw.units import unit_of
from sim.accuracy.norm import norm_corner_rows, norm_random_rows
from sim.beats import expected, input_beats
from sim.golden import DirectSpec
from sim.stimuli import Stimulus, stimuli


def norm_runs(spec, count=3, seed=0):
    """Corner rows, heavy tails and holes: what the standard runs do not have."""
    rng = np.random.default_rng(seed)
    corners = list(norm_corner_rows(spec))
    rows = [row for group in norm_random_rows(spec, 32 * count, rng) for row in group[:8]]
    return [
        Stimulus("corner rows", corners, sink_stall=0.1),
        Stimulus("heavy tails", rows, source_stall=0.2, sink_stall=0.2),
    ]


CASES = {
    "one element": {"bits": 8, "length": 1},
    "8 bits": {"bits": 8, "length": 7},
    "16 bits": {"length": 12, "arch": "pwl"},
    "no epsilon": {"bits": 11, "output_bits": 9, "length": 5, "eps": 0.0},
    "gamma and beta": {"length": 6, "eps": 0.0, **affine(6)},
    "gamma": {"length": 5, "gamma": affine(5)["gamma"], "arch": "pwl"},
    "beta": {"length": 5, "beta": affine(5)["beta"]},
    # Epsilon rounds to 0, but has fraction bits.
    "coarse": {"bits": 8, "input_frac": -2, "output_frac": -1, "length": 4},
    "2 lanes": {"length": 6, "lanes": 2},
    "4 lanes": {"length": 8, "lanes": 4},
}


@pytest.mark.parametrize("op", NORMS)
@pytest.mark.parametrize("case", CASES)
def test_norms(op, case):
    spec = norm_spec(op, **CASES[case])
    assert check(spec).throughput == min(spec.lanes, spec.length)
    check(spec, norm_runs(spec, 3 if spec.lanes == 1 else 1))


def test_16_lanes():
    spec = norm_spec(bits=8, length=32, lanes=16, **affine(32))
    runs = [run for run in stimuli(spec) if run.steady or run.keeps or "both" in run.name]
    assert len(runs) == 4
    assert check(spec, runs).throughput == 16


@pytest.mark.parametrize("op", NORMS)
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_lanes_make_no_difference_to_results(op, lanes):
    options = {"bits": 8, "length": 16, **affine(16)}
    one, spec = norm_spec(op, **options), norm_spec(op, lanes=lanes, **options)
    assert dataclasses.replace(spec, lanes=1) == one
    rng = np.random.default_rng(1)
    rows = [rng.integers(-128, 127, n) for n in (1, lanes - 1, lanes, lanes + 1, 15, 16) if n <= 16]
    run = Stimulus("rows", rows, source_stall=0.2, sink_stall=0.2)
    assert check(spec, [run]).results == sum(map(len, rows))


def test_wide_outputs():
    spec = norm_spec(arch="pwl", output_bits=16, length=5, entries=16, fit="linear", **affine(5))
    check(spec, norm_runs(spec))


def test_the_default_length_and_latency():
    spec = norm_spec()
    assert spec.length == 128
    rng = np.random.default_rng(2)
    rows = [row for group in norm_random_rows(spec, 128, rng) for row in group[:2]]
    runs = [
        Stimulus("full rate", rows + list(norm_corner_rows(spec))[::9]),
        Stimulus("stalls", rows, source_stall=0.3, sink_stall=0.3),
    ]
    # Square, accumulate, multiply, add partial products, subtract, add epsilon, find the leading
    # one in two steps, look up, a register; multiply by n, subtract, shift in two steps, round,
    # multiply, round; and one for the buffer.
    assert check(spec, runs).latency == {n: n + 10 + 7 + 1 for n in (1, 64, 128)}


@pytest.mark.parametrize(
    ("options", "constant"),
    [({"arch": "pwl"}, 20), ({"eps": 0.0}, 17), ({"op": "rmsnorm"}, 16),
     ({"op": "rmsnorm", "eps": 0.0}, 15), ({"length": 8, "gamma": (1.0,) * 8}, 20),
     ({"length": 8, "beta": (1.0,) * 8}, 19), ({"lanes": 4}, 19)],
    ids=str,
)  # fmt: skip
def test_the_stated_latency(options, constant):
    spec = norm_spec(**{"length": 8, **options})
    stated = {n: -(-n // spec.lanes) + constant for n in (1, 4, 8)}
    assert check(spec, []).latency == stated


def run_to_the_end(spec, rows):
    """Return the beats that leave, and in how many clocks the input waited; nothing stalls."""
    unit = unit_of(spec)
    beats, wanted = input_beats(spec, rows), expected(spec, rows)
    results, waited = [], 0

    async def testbench(ctx, domain):
        nonlocal waited
        ctx.set(unit.o.ready, 1)
        position = 0
        for _ in range(4 * len(beats) + 300):
            if position < len(beats):
                beat = beats[position]
                ctx.set(unit.i.payload, {"data": beat.codes[0], "last": beat.last})
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
        flags.append(ctx.get(unit.o_overlong))

    flags = []
    simulate(unit, testbench)
    assert results == [(beat.codes[0], beat.last) for beat in wanted]
    return waited, flags[0]


def test_the_input_never_waits_for_equal_rows():
    spec = norm_spec(bits=8, length=6)
    rng = np.random.default_rng(3)
    for n in (1, 2, 5, 6):
        assert run_to_the_end(spec, list(rng.integers(-128, 127, (40, n)))) == (0, 0)


def test_a_row_that_is_too_long_is_cut_and_the_next_is_right_again():
    # Gamma and beta begin again with the row that begins there.
    spec = norm_spec(bits=8, length=6, **affine(6))
    rng = np.random.default_rng(4)
    rows = [rng.integers(-128, 127, n) for n in (3, 15, 6, 7, 2)]
    assert run_to_the_end(spec, rows)[1] == 1
    assert run_to_the_end(spec, rows[:1] + rows[2:3])[1] == 0


@pytest.mark.parametrize("op", NORMS)
def test_reset_at_many_points(op):
    spec = norm_spec(op, bits=8, length=5, **affine(5))
    rows = list(np.random.default_rng(5).integers(-128, 127, (9, 5)))
    check(spec, [Stimulus(f"reset after {at}", rows, 0, 0.3, reset_after=at)
                 for at in range(1, 40, 3)])  # fmt: skip


def test_many_rows_under_random_stalls():
    spec = norm_spec(bits=8, length=20, **affine(20))
    rng = np.random.default_rng(6)
    rows = [rng.integers(-128, 127, n) for n in rng.integers(1, 20, 300, endpoint=True)]
    run = Stimulus("many", rows, source_stall=0.2, sink_stall=0.25)
    assert check(spec, [run]).beats == sum(map(len, rows))


@pytest.mark.parametrize("name", ["eps", "gamma", "beta", "table"])
def test_the_bench_sees_another_unit(name):
    options = {"length": 6, **affine(6)}
    spec = norm_spec("rmsnorm", **options)
    changed = {"eps": {"eps": 3.0}, "gamma": {"gamma": options["gamma"][::-1]},
               "beta": {"beta": options["beta"][::-1]}, "table": {}}  # fmt: skip
    other = norm_spec("rmsnorm", **{**options, **changed[name]})
    if name == "table":
        other = dataclasses.replace(spec, mantissa=rougher(spec.mantissa))
    assert "must be [" in caught(spec, unit_of(other), norm_runs(spec))


def rougher(mantissa):
    """Return the same table with one other value in 16."""
    values = list(mantissa.table.values)
    values[::16] = [max(value - 30, 0) for value in values[::16]]
    return DirectSpec(dataclasses.replace(mantissa.table, values=tuple(values)))
