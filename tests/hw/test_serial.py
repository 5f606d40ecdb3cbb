"""Lanes that take turns: the results of lanes side by side, from fewer units, in more clocks."""

import numpy as np
import pytest
from benching import check
from faults import spec_of

from hw.design import design
from hw.request import Request
from hw.synth import synthesize
from hw.verilog import to_verilog
from nnlut_train.errors import UsageError
from sim.golden import LanesSpec, SerialSpec, WritableSpec, spec_from_json
from sim.stimuli import Stimulus

PAIRS = [(lanes, interval) for lanes in (2, 4, 16) for interval in (2, 4, 16) if interval <= lanes]


@pytest.mark.parametrize(("lanes", "interval"), PAIRS)
def test_a_beat_takes_so_many_clocks(lanes, interval):
    spec = SerialSpec(spec_of("sigmoid", 6, entries=4), lanes, interval)
    report = check(spec)  # under every standard stimulus; the clocks of steady ones are held to it
    assert report.throughput == lanes / interval
    assert report.latency == {1: spec.unit.latency}


@pytest.mark.parametrize("op", ["gelu", "exp", "reciprocal"])
def test_results_are_those_of_one_lane(op):
    unit = spec_of(op, 6)
    spec = SerialSpec(unit, 4, 2)
    rng = np.random.default_rng(1)
    rows = [rng.choice(spec.input.grid(), length) for length in range(1, 20)]
    for row in rows:
        assert spec.compute(row).tolist() == unit.compute(row).tolist()
    check(spec, [Stimulus("stalls", rows, source_stall=0.3, sink_stall=0.3)])


def test_one_function_serves_a_beat():
    spec = design(Request("gelu,exp", bits=6, lanes=4, interval=4), "pwl")
    assert isinstance(spec, SerialSpec)
    check(spec)


def test_tables_change_between_beats_only():
    spec = WritableSpec(SerialSpec(spec_of("gelu", 5, entries=3), 4, 4))
    assert spec.interval == 4
    check(spec)


def test_it_is_smaller():
    area = {}
    for interval in (1, 4):
        request = Request("gelu", bits=6, lanes=4, interval=interval)
        spec = design(request, "pwl")
        area[interval] = synthesize(to_verilog(spec, "unit", ""), "unit", "generic").size
    assert area[4] < area[1] / 2


def test_manifest():
    spec = SerialSpec(spec_of("gelu", 6), 4, 2)
    assert spec_from_json(spec.describe()) == spec
    assert spec.group == 2
    assert isinstance(design(Request("gelu", lanes=4), "pwl"), LanesSpec)


@pytest.mark.parametrize("interval", [0, 1, 3, 8])
def test_bad_interval(interval):
    with pytest.raises(UsageError, match="divisor of the 4 lanes and at least 2"):
        SerialSpec(spec_of("gelu", 6), 4, interval)


def test_bad_request():
    with pytest.raises(UsageError, match="--interval must be a divisor of --lanes 4, not 3"):
        Request("gelu", lanes=4, interval=3)
    with pytest.raises(UsageError, match="--interval goes with unary functions, not with softmax"):
        Request("softmax", lanes=4, interval=2)
