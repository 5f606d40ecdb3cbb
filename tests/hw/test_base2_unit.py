"""The base-2 softmax unit, bit-exact against its golden model."""

from dataclasses import replace

import numpy as np
import pytest
from benching import check

from hw.design import design
from hw.request import Request
from sim.stimuli import Stimulus, random_rows, stimuli


def base2(bits=6, arch="pwl", **options):
    return design(Request("softmax", bits, method="base2", **options), arch)


def ramps(spec):
    """Rows in which the maximum grows by little, by much, early, late, and to and fro."""
    low, high, n = spec.input.min, spec.input.max, spec.length
    up = np.linspace(low, high, n).astype(np.int64)
    at = np.arange(n)
    return [
        up, up[::-1], np.roll(up, n // 3), np.where(at % 2, low, high), np.where(at % 2, high, low),
        np.where(at < n - 1, low, high), np.where(at < 1, high, low), np.full(n, low),
        *(up[:size] for size in range(1, min(n, 17))),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bits", "arch", "options"),
    [
        (4, "pwl", {"length": 1}), (4, "direct", {"length": 16}), (6, "direct", {"length": 9}),
        (8, "pwl", {"length": 3}), (6, "pwl", {"length": 16, "input_frac": -2}),
        (6, "pwl", {"length": 8, "input_frac": 12, "output_bits": 4}),
        (5, "pwl", {"length": 16, "input_frac": 0, "output_bits": 9}),
        (12, "direct", {"length": 5}),
    ],
)  # fmt: skip
def test_one_element_a_clock(bits, arch, options):
    spec = base2(bits, arch, **options)
    runs = [run for run in stimuli(spec) if len(run.rows) < 60]
    runs.append(Stimulus("ramps", ramps(spec)))
    report = check(spec, runs)
    assert report.throughput == 1.0
    constant = report.latency[1] - 1
    assert report.latency == {n: n + constant for n in {1, (spec.length + 1) // 2, spec.length}}


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_several_elements_a_clock(lanes, mask):
    spec = base2(length=2 * max(lanes, 4), lanes=lanes, mask=mask, input_frac=1)
    # Nothing is left of the order in which one lane takes the elements.
    one = replace(spec, lanes=1)
    rows = ramps(spec)
    assert all((one.compute(row) == spec.compute(row)).all() for row in rows)
    report = check(spec)
    assert report.throughput == lanes
    if not mask:
        runs = [Stimulus("ramps", rows), Stimulus("ramps, stalls", rows, 0.4, 0.4)]
        check(spec, runs, seed=lanes)


def test_masks_of_one_lane():
    check(base2(length=10, mask=True))


def test_the_default_unit_has_half_the_latency():
    spec = base2(8)
    rng = np.random.default_rng(2)
    rows = [*random_rows(spec, 5, rng), *ramps(spec)[:7]]
    runs = [Stimulus("rows", rows), Stimulus("stalls", rows[:4], 0.3, 0.3)]
    report = check(spec, runs)
    assert report.latency == {n: n + 16 for n in (1, 64, 128)}


def test_rows_of_any_length_under_stalls():
    spec = base2(length=13)
    rng = np.random.default_rng(5)
    rows = [rng.integers(-32, 31, rng.choice([1, 2, 5, 12, 13])) for _ in range(25)]
    check(spec, [
        Stimulus(f"{source} {sink}", rows, source_stall=source, sink_stall=sink)
        for source, sink in ((0, 0), (0, 0.9), (0.9, 0), (0.6, 0.6))
    ])  # fmt: skip


def test_reset_at_every_point():
    spec = base2(length=5)
    rng = np.random.default_rng(0)
    rows = [rng.integers(-32, 31, n, endpoint=True) for n in (5, 3, 5, 1, 5, 4, 5)]
    beats = sum(map(len, rows))
    check(spec, [Stimulus(f"reset after {at}", rows, reset_after=at) for at in range(1, beats)])
