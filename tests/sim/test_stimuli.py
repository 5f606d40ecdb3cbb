import numpy as np
import pytest

from hw.design import design
from hw.request import Request
from sim.golden import SoftmaxSpec
from sim.sampling import boundaries
from sim.stimuli import back_to_back, corner_rows, random_rows, stimuli


def spec_of(op, bits=8, arch="pwl", **options):
    return design(Request(op, bits, arch=arch, **options), arch)


SPECS = {
    "softmax": lambda: spec_of("softmax", length=20),
    "gelu": lambda: spec_of("gelu"),
    "exp": lambda: spec_of("exp", 16, entries=16),
    "direct": lambda: spec_of("tanh", 6, "direct"),
}


def plain(runs):
    return [
        (r.name, [row.tolist() for row in r.rows], r.source_stall, r.sink_stall, r.patient,
         r.reset_after, r.steady)
        for r in runs
    ]  # fmt: skip


def run_called(runs, name):
    (found,) = (run for run in runs if run.name == name)
    return found


@pytest.mark.parametrize("name", SPECS)
def test_the_same_seed_gives_the_same_stimuli(name):
    spec = SPECS[name]()
    assert plain(stimuli(spec, 3)) == plain(stimuli(spec, 3))
    assert plain(stimuli(spec)) == plain(stimuli(spec, 0))
    assert plain(stimuli(spec, 3)) != plain(stimuli(spec, 4))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_standard_runs_are_all_there(name, seed):
    spec = SPECS[name]()
    runs = stimuli(spec, seed)
    names = [run.name for run in runs]
    assert len(set(names)) == len(names)
    for run in runs:
        assert run.rows
        for row in run.rows:
            assert len(row) >= 1
            assert row.min() >= spec.input.min
            assert row.max() <= spec.input.max
            assert np.issubdtype(row.dtype, np.integer)
    # Full rate, each side alone, both sides, valid before ready, reset.
    assert [run.steady for run in runs[:2]] == [True, True]
    kinds = {(run.source_stall > 0, run.sink_stall > 0) for run in runs}
    assert kinds == {(False, False), (True, False), (False, True), (True, True)}
    assert sum(run.patient for run in runs) == 1
    (reset,) = (run for run in runs if run.reset_after)
    (size,) = {len(row) for row in reset.rows}
    assert 0 < reset.reset_after < size * len(reset.rows)
    assert reset.reset_after % size
    assert reset.reset_after > spec.latency_of(size), "the first row must be leaving"
    assert all(set(map(len, run.rows)) == {1} for run in runs if "length 1" in run.name)


@pytest.mark.parametrize("bits", [13, 16])
def test_wide_unary_units_are_simulated_at_every_boundary(bits):
    spec = spec_of("rsqrt", bits, entries=16)
    codes = np.concatenate(run_called(stimuli(spec), "all rows at full rate").rows)
    assert len(set(codes.tolist())) == codes.size
    assert codes.tolist() != sorted(codes.tolist())
    edges = boundaries(spec)
    assert edges.size > 5 * 16  # the segments recur with the octaves
    assert set(edges.tolist()) | {spec.input.min, spec.input.max} <= set(codes.tolist())
    assert 1000 < codes.size < 3 * edges.size + 4096 + 9


@pytest.mark.parametrize("bits", [4, 8, 12])
@pytest.mark.parametrize(("op", "arch"), [("gelu", "pwl"), ("rsqrt", "pwl")])
def test_unary_units_are_simulated_at_every_code(op, arch, bits):
    spec = spec_of(op, bits, arch)
    everything = run_called(stimuli(spec), "all rows at full rate").rows
    codes = np.concatenate(everything)
    assert sorted(codes.tolist()) == spec.input.codes().tolist()
    # In rows of several lengths, and in no order.
    assert len(everything) > 1 or bits == 4
    assert codes.tolist() != sorted(codes.tolist())


def test_random_rows_are_of_all_lengths_and_spreads():
    spec = spec_of("softmax", length=12)
    rows = list(random_rows(spec, 3000, np.random.default_rng(5)))
    assert len(rows) == 3000
    assert {len(row) for row in rows} == set(range(1, 13))
    assert all(row.dtype == np.int64 for row in rows)
    spreads = [int(np.ptp(row)) for row in rows if len(row) > 6]
    assert min(spreads) < 5
    assert max(spreads) == 255
    assert {-128, 127} <= set(np.concatenate(rows).tolist())
    again = list(random_rows(spec, 3000, np.random.default_rng(5)))
    assert all((a == b).all() for a, b in zip(rows, again, strict=True))


@pytest.mark.parametrize("length", [1, 2, 20, 128])
def test_corner_rows_are_all_there(length):
    spec = spec_of("softmax", length=length)
    rows = {tuple(row.tolist()) for row in corner_rows(spec)}
    for code in (-128, -1, 0, 127):
        assert (code,) in rows
        assert (code,) * length in rows
    for code in range(-128, 127):
        # One maximum among elements at this code.
        assert any(sorted(row) == [code] * (length - 1) + [127] for row in rows)
    assert {len(row) for row in rows} == {1, length}
    maxima = {row.index(127) for row in rows if 127 in row}
    assert maxima == set(range(length)), "the maximum must be at every place"


def test_back_to_back_rows_are_of_the_maximum_length():
    rows = back_to_back(spec_of("softmax", length=20))
    assert [len(row) for row in rows] == [20] * 5
    assert len({tuple(row.tolist()) for row in rows}) == 5


def test_softmax_runs_hold_corners_and_the_maximum_length():
    spec = spec_of("softmax", length=20)
    assert isinstance(spec, SoftmaxSpec)
    rows = run_called(stimuli(spec), "all rows at full rate").rows
    corners = {tuple(row.tolist()) for row in corner_rows(spec)}
    present = {tuple(row.tolist()) for row in rows}
    assert len(corners & present) >= 12
    for code in (-128, -1, 0, 127):
        assert {(code,), (code,) * 20} <= present
    assert {len(row) for row in rows} > {1, 20}
