"""Softmaxes whose exp table sees less than the exact distance: the model, and the proved bound."""

import itertools
import json

import numpy as np
import pytest
from faults import spec_of
from naive import naive_softmax

from nnlut_train.formats import Format
from sim.accuracy import softmax_accuracy
from sim.bound import softmax_bound
from sim.golden import spec_from_json
from sim.stimuli import corner_rows, random_rows

#: Fewer bits, fewer fraction bits, both; all is rounded to 0 or 1 step; nothing but saturation.
FORMATS = [
    {"bits": 8, "distance_bits": 6},
    {"bits": 8, "distance_bits": 8, "distance_frac": 3},
    {"bits": 8, "distance_bits": 5, "distance_frac": 4},
    {"bits": 7, "distance_bits": 4, "distance_frac": -4},
    {"bits": 12, "input_frac": 6, "distance_bits": 8, "output_bits": 8},
    {"bits": 12, "input_frac": 12, "distance_bits": 6, "output_bits": 8},
]
ids = [f"{each['bits']} to {each['distance_bits']}" for each in FORMATS]


@pytest.mark.parametrize("fold", ["auto", "none"])
@pytest.mark.parametrize("options", FORMATS, ids=ids)
def test_the_model_is_its_naive_formulation(options, fold):
    spec = spec_of("softmax", arch="pwl", length=9, fold=fold, **options)
    rows = [*random_rows(spec, 12, np.random.default_rng(1)), *list(corner_rows(spec))[::97]]
    # Every distance up to some steps: each tie of the rounding, and the ends.
    high, step = spec.input.max, max(1, (1 << spec.distance_shift) // 2)
    seen = [d for d in range(0, spec.distance.max + 1, step) if d < 12 * step]
    seen += [spec.exp.input.max << spec.distance_shift, spec.distance.max]
    rows += [np.array([high, high - min(d, spec.distance.max)]) for d in seen]
    for row in rows:
        assert spec.compute(row).tolist() == naive_softmax(spec, row.tolist())


def test_a_distance_is_rounded_half_up_and_saturated():
    spec = spec_of("softmax", 12, "direct", length=4, distance_bits=8)
    assert (str(spec.distance), str(spec.exp.input), spec.distance_shift) == ("u12.8", "u8.4", 4)
    exact = np.array([0, 7, 8, 23, 24, 25, 4071, 4072, 4087, 4088, 4095])
    assert spec.narrowed(exact).tolist() == [0, 0, 1, 1, 2, 2, 254, 255, 255, 255, 255]


@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_the_same_distances_give_the_same_tables(arch):
    narrow = spec_of("softmax", 12, arch, length=20, distance_bits=8, output_bits=8)
    usual = spec_of("softmax", 8, arch, length=20)
    assert narrow.input == Format(True, 12, 8)
    assert (narrow.exp, narrow.reciprocal) == (usual.exp, usual.reciprocal)
    assert narrow.latency_of(20) == usual.latency_of(20)
    # Of logits that the 8 bits hold, the results are the same.
    rows = np.random.default_rng(0).integers(-128, 128, (50, 20))
    assert (narrow.compute(rows << 4) == usual.compute(rows)).all()


def test_masked_elements_are_not_there():
    spec = spec_of("softmax", 8, "direct", length=12, distance_bits=5, mask=True)
    rng = np.random.default_rng(2)
    for row in random_rows(spec, 40, rng):
        mask = rng.random(len(row)) < 0.4
        result = spec.compute(row, mask)
        assert not result[mask].any()
        if not mask.all():
            assert result[~mask].tolist() == spec.compute(row[~mask]).tolist()


def test_it_is_read_back_as_it_was():
    spec = spec_of("softmax", 8, "pwl", length=4, distance_bits=5)
    assert spec_from_json(json.loads(json.dumps(spec.describe()))) == spec


@pytest.mark.parametrize("arch", ["pwl", "direct"])
@pytest.mark.parametrize("options", FORMATS, ids=ids)
def test_the_bound_holds(options, arch):
    for length in (1, 2, 128):
        spec = spec_of("softmax", arch=arch, length=length, **options)
        found = softmax_accuracy(spec, count=500)
        # Half an ulp is of rounding; rows of one element have the largest code, and no error.
        assert (0.5 if length > 1 else 0) <= softmax_bound(spec) < np.inf
        assert found.max_ulp <= softmax_bound(spec)


@pytest.mark.parametrize(
    "options",
    [
        {"input_frac": 2, "distance_bits": 4, "distance_frac": 0},
        {"input_frac": 1, "distance_bits": 4, "distance_frac": -1},
        {"distance_bits": 4, "distance_frac": -4},
        {"bits": 5, "input_frac": 2, "distance_bits": 4},
        {"bits": 5, "input_frac": 2, "distance_bits": 4, "distance_frac": 2},
    ],
)
@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_the_bound_is_close_to_the_worst_of_all_rows(options, arch):
    spec = spec_of("softmax", **{"bits": 4, "length": 4, "output_bits": 8} | options, arch=arch)
    # The order of a row's elements makes no difference.
    rows = [
        np.array(row)
        for length in range(1, 5)
        for row in itertools.combinations_with_replacement(spec.input.codes().tolist(), length)
    ]
    worst = softmax_accuracy(spec, rows).max_ulp
    assert 5 < worst <= softmax_bound(spec) <= worst + 1.5


def test_the_bound_counts_rounding_and_saturation():
    exact = spec_of("softmax", 8, "direct", length=32)
    bounds = {}
    for name, options in {
        "rounded": {"distance_bits": 8, "distance_frac": 3},
        "saturated": {"distance_bits": 7, "distance_frac": 4},
        "both": {"distance_bits": 6, "distance_frac": 3},
    }.items():
        spec = spec_of("softmax", 8, "direct", length=32, **options)
        bounds[name] = softmax_bound(spec)
        rows = [*random_rows(spec, 500, np.random.default_rng(0)), *corner_rows(spec)]
        assert softmax_accuracy(spec, rows).max_ulp <= bounds[name]
    # Half a step of 1/8, and 31 elements that count as exp(-127/16), not as nearly nothing.
    assert softmax_bound(exact) + 2 < bounds["rounded"] < 8
    tail = 31 * (np.exp(-127 / 16) - np.exp(-255 / 16)) * 256
    assert bounds["saturated"] == pytest.approx(softmax_bound(exact) + tail, rel=0.2)
    assert bounds["both"] > max(bounds["rounded"], bounds["saturated"])
