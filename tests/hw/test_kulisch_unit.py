"""The softmax by an exact sum, bit-exact against its golden model."""

import numpy as np
import pytest
from benching import check

from hw.cost import FpgaCost
from hw.design import design
from hw.request import Request
from hw.synth import synthesize_all
from hw.verilog import to_verilog
from sim.stimuli import Stimulus, stimuli


def kulisch(bits=6, **options):
    return design(Request("softmax", bits, method="kulisch", **options), "direct")


def spread(spec):
    """Rows whose sums need every group of leading zeros, and short ones behind a long one."""
    low, high, n = spec.input.min, spec.input.max, spec.length
    up = np.linspace(low, high, n).astype(np.int64)
    levels = [np.full(size, code) for code in (low, -1, high) for size in (1, n)]
    return [up, up[::-1], *levels, up, *(up[:1] for _ in range(12)), up[:2], up]


@pytest.mark.parametrize(
    ("bits", "options"),
    [
        (4, {"length": 1}), (8, {"length": 3}), (6, {"length": 16, "input_frac": 3}),
        (6, {"length": 8, "input_frac": 12, "output_bits": 4}), (6, {"length": 9, "mask": True}),
        (5, {"length": 16, "output_bits": 9}),
    ],
)  # fmt: skip
def test_one_element_a_clock(bits, options):
    spec = kulisch(bits, **options)
    runs = [run for run in stimuli(spec) if len(run.rows) < 60]
    runs.append(Stimulus("spread", spread(spec)))
    report = check(spec, runs)
    assert report.throughput == 1.0
    constant = report.latency[1] - 1
    assert report.latency == {n: n + constant for n in {1, (spec.length + 1) // 2, spec.length}}


@pytest.mark.parametrize("lanes", [2, 8])
def test_several_elements_a_clock(lanes):
    report = check(kulisch(length=2 * lanes, lanes=lanes, mask=lanes == 2))
    assert report.throughput == lanes


def test_takes_what_was_promised():
    request = Request("softmax", 8, method="kulisch", length=64)
    verilog = to_verilog(design(request, "direct"), request.name, "test")
    gates, luts = synthesize_all(verilog, request.name, ["generic", "xilinx"])
    # 60 % of the smallest peer with a row store: MASE, 20,729 GE in the same library.
    assert gates.area < 0.6 * 20_729
    assert isinstance(luts, FpgaCost)
    # Look-up tables, as memory too.
    assert luts.luts + luts.lutram <= 450
    assert luts.dsp <= 2
    assert luts.bram <= 1


def test_without_block_ram():
    request = Request("softmax", 4, method="kulisch", length=4)
    verilog = to_verilog(design(request, "direct"), request.name, "test")
    (luts,) = synthesize_all(verilog, request.name, ["xilinx"], bram="off")
    assert luts.bram == 0
