"""The units of REXP and the 2D LUT, bit-exact against their golden models."""

import numpy as np
import pytest
from benching import check
from vasyltsov import METHODS, ONES, softmax_of

from hw.verilog import to_verilog
from sim.stimuli import Stimulus, corner_rows, random_rows

both = pytest.mark.parametrize("method", METHODS)


@pytest.mark.parametrize("precision", ONES)
@both
def test_precisions(method, precision):
    report = check(softmax_of(method, precision, length=12))
    assert report.latency == {n: 2 * n + 9 for n in (1, 6, 12)}
    assert report.throughput == 1.0


@pytest.mark.parametrize("length", [1, 2, 17])
@both
def test_lengths(method, length):
    check(softmax_of(method, length=length))


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize(("lanes", "length"), [(1, 5), (2, 2), (2, 10), (4, 8)])
@both
def test_lanes_and_masks(method, lanes, length, mask):
    report = check(softmax_of(method, "uint4", length=length, lanes=lanes, mask=mask))
    assert report.throughput == lanes


@both
def test_lanes_and_masks_of_wide_codes(method):
    check(softmax_of(method, "int16", length=8, lanes=2, mask=True, bits=12))


@pytest.mark.parametrize(("bits", "frac"), [(4, 0), (4, 6), (8, -3), (8, 7), (6, 2)])
@both
def test_input_scales(method, bits, frac):
    check(softmax_of(method, bits=bits, input_frac=frac, length=6))


@pytest.mark.parametrize("entries", [1, 2, 3, 33])
@both
def test_numbers_of_sums(method, entries):
    """Equal logits, one by one more: every sum that the table has, and larger ones."""
    spec = softmax_of(method, entries=entries, length=entries + 3)
    counts = sorted({1, 2, entries // 2 + 1, entries, entries + 1, entries + 3})
    check(spec, [Stimulus("equal logits", [np.full(count, 7) for count in counts])])


@pytest.mark.parametrize("lanes", [1, 2])
def test_rexp_has_one_multiplier_a_lane_and_lut2d_none(lanes):
    for method, multipliers in (("rexp", lanes), ("lut2d", 0)):
        text = to_verilog(softmax_of(method, length=8, lanes=lanes), "top", "a test")
        assert text.count(" * ") == multipliers


@both
def test_the_default_length(method):
    spec, rng = softmax_of(method), np.random.default_rng(3)
    assert spec.length == 128
    runs = [
        Stimulus("full rate", [*list(corner_rows(spec))[1:8:2], *random_rows(spec, 6, rng)]),
        Stimulus("stalls", list(random_rows(spec, 4, rng)), source_stall=0.3, sink_stall=0.3),
    ]
    assert check(spec, runs).latency == {n: 2 * n + 9 for n in (1, 64, 128)}
