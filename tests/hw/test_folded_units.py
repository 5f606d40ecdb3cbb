"""Units of folded tables, bit-exact against their golden model at every code."""

import numpy as np
import pytest
from faults import folded_spec
from folded import folded_direct, folded_pwl, spec_of, table_of
from hypothesis import given, settings

from hw.units import unit_of
from nnlut_train.folding import FOLDS
from nnlut_train.functions import FUNCTIONS
from sim.bench import run_bench
from sim.golden import DirectSpec, PwlSpec
from sim.stimuli import Stimulus, stimuli

SYMMETRIC = [name for name, function in FUNCTIONS.items() if function.reduction in FOLDS]
LATENCY = {"pwl": 3, "direct": 2}
slow = settings(derandomize=True, deadline=None, max_examples=40)


@pytest.mark.parametrize("arch", ["pwl", "direct"])
@pytest.mark.parametrize("op", SYMMETRIC)
def test_every_symmetric_function(op, arch):
    spec = folded_spec(op, 8, arch)
    report = run_bench(spec, unit_of(spec))
    assert report.latency == {1: LATENCY[arch]}
    assert report.throughput == 1.0
    full = next(run for run in report.runs if run.name == "all rows at full rate")
    assert full.beats == 256


@pytest.mark.parametrize("arch", ["pwl", "direct"])
@pytest.mark.parametrize("op", SYMMETRIC)
def test_12_bits_at_every_code(op, arch):
    spec = folded_spec(op, 12, arch)
    runs = [run for run in stimuli(spec) if run.name == "all rows at full rate"]
    assert run_bench(spec, unit_of(spec), runs).beats == 1 << 12


@pytest.mark.parametrize(
    ("op", "input_frac", "output_frac", "arch"),
    [("gelu", 7, 3, "pwl"), ("gelu", 0, 6, "direct"), ("gelu", 0, 6, "pwl"), ("tanh", 2, 9, "pwl"),
     ("tanh", 2, 9, "direct"), ("tanh", 9, 2, "pwl"), ("tanh", 9, 2, "direct"),
     ("sigmoid", -2, 8, "pwl"), ("sigmoid", -2, 8, "direct"), ("sigmoid", 5, -1, "pwl"),
     ("softplus", 5, -3, "pwl"), ("softplus", 5, -3, "direct"), ("silu", -3, -5, "pwl")],
)  # fmt: skip
def test_unusual_formats(op, input_frac, output_frac, arch):
    spec = folded_spec(op, 7, arch, input_frac=input_frac, output_frac=output_frac)
    run_bench(spec, unit_of(spec))


@pytest.mark.parametrize("arch", ["pwl", "direct"])
@pytest.mark.parametrize("kind", FOLDS)
@pytest.mark.parametrize("magnitude", [3, 4, 5])
def test_every_kind_of_fold(kind, arch, magnitude):
    table = table_of(kind, arch, magnitude=magnitude)
    if arch == "pwl":
        # By hand: the output has 3 fraction bits, the sum 4.
        m = min(16, 2**magnitude - 1)
        core = 15 * m + 11 if m >= 6 else 0
        wanted = {"even": core, "odd": -core, "complement": 16 - core, "relu": -core}[kind]
        assert table.lookup(np.array([-16])).tolist() == [max(-256, min(255, (wanted + 1) >> 1))]
    spec = spec_of(table)
    assert run_bench(spec, unit_of(spec)).latency == {1: LATENCY[arch]}


@pytest.mark.parametrize("arch", ["pwl", "direct"])
@pytest.mark.parametrize("kind", FOLDS)
def test_the_ends_of_the_input_and_of_the_magnitude(kind, arch):
    spec = spec_of(table_of(kind, arch))
    codes = [-16, 15, -8, 8, -7, 7, -1, 0, 1, -15]
    rows = [np.array(codes), np.array([-16]), np.array(codes[::-1])]
    runs = [Stimulus(f"{s}", rows, source_stall=s, sink_stall=s) for s in (0, 0.6)]
    run_bench(spec, unit_of(spec), runs)
    # What saturates has the same magnitude.
    plain = spec.compute(np.array([-16, -8, -7]))
    assert len(set(plain.tolist())) == 1


@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_reset_at_many_points(arch):
    spec = folded_spec("tanh", 6, arch)
    rows = [np.arange(-10, 10)]
    runs = [Stimulus(f"reset after {at}", rows, 0, 0.4, reset_after=at) for at in range(1, 9)]
    run_bench(spec, unit_of(spec), runs)


def at_every_code(spec):
    codes = np.random.default_rng(0).permutation(spec.input.codes())
    run_bench(spec, unit_of(spec), [Stimulus("all", [codes], source_stall=0.1, sink_stall=0.1)])


@slow
@given(folded_pwl())
def test_any_folded_lines(table):
    at_every_code(PwlSpec(table))


@slow
@given(folded_direct())
def test_any_folded_direct_table(table):
    at_every_code(DirectSpec(table))
