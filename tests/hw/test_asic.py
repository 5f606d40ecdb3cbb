import json
import shutil

import pytest
from timed_library import library

from hw import asic, cache, liberty, synth
from hw.cellchoice import driver, inferior_flip_flops, ties
from hw.celldata import capacitance_unit_ff, details, reduced, time_unit_ps
from hw.cost import AsicCost
from hw.timing import Activity, CriticalPath, GateTiming, Power
from nnlut_train.errors import UsageError

COUNTER = """\
module top(input aclk, input en, output reg [3:0] q, output [1:0] fixed);
  always @(posedge aclk) if (en) q <= q + 1;
  assign fixed = 2'b10;
endmodule
"""


def libraries_of(tmp_path, *texts):
    paths = []
    for number, text in enumerate(texts):
        paths.append(tmp_path / f"timed{number}.lib")
        paths[-1].write_text(text)
    return liberty.read_all(paths)


@pytest.fixture
def timed(tmp_path):
    return libraries_of(tmp_path, library())


def test_cells_that_serve(timed):
    assert ties(timed) == [("TIE0", "Y"), ("TIE1", "Y")]
    # Four loads of 1 fF.
    assert driver(timed) == ("BUF", 4.0)
    assert (time_unit_ps(timed[0]), capacitance_unit_ff(timed[0])) == (1000.0, 1000.0)
    nand, flop = (details(timed, ["NAND2", "DFF"])[name] for name in ("NAND2", "DFF"))
    assert (nand.inputs, nand.outputs) == (["A", "B"], ["Y"])
    assert nand.pins["Y"].function == "!(A & B)"
    assert [flop.pins[name].clock for name in "CD"] == [True, False]
    assert flop.flip_flop.statements == {"clocked_on": "C", "next_state": "D"}


@pytest.mark.parametrize(
    ("inverting", "refused"), [(3, ["DFF"]), (3.9, ["DFF"]), (4.1, ["DFFN"]), (0, [])]
)
def test_cheapest_flip_flop_counts_its_inverter(tmp_path, inverting, refused):
    assert inferior_flip_flops(libraries_of(tmp_path, library(inverting=inverting))) == refused


def test_libraries_without_what_a_clock_needs(tmp_path):
    own = liberty.read_all([synth.GENERIC_LIBERTY])
    assert ties(own) == [None, None]
    with pytest.raises(UsageError, match=r"generic\.lib must have a capacitive_load_unit"):
        driver(own)
    without = library().replace('function : "A"; ', "").replace('function : "A";', "")
    with pytest.raises(UsageError, match=r"needs a library with a buffer, but timed0\.lib has"):
        driver(libraries_of(tmp_path, without))


def test_reduced_library_has_the_cells_asked_for_only(timed, tmp_path):
    (other,) = libraries_of(tmp_path, reduced(timed[0], ["INV", "DFF"], power=True))
    assert list(other.cells) == ["INV", "DFF"]
    # The power of a clock pin in a state that does not exist is gone, the other states' is there.
    assert "0.5" not in other.content.decode()
    assert "0.5" in timed[0].content.decode()
    assert other.content.decode().count("when") == 2
    assert reduced(timed[0], ["MISSING"]) == ""


def test_clock_takes_tie_cells_and_the_cheapest_flip_flop(tmp_path):
    libraries = libraries_of(tmp_path, library(inverting=3))
    with_clock = asic.gates(COUNTER, "top", libraries, own=False, clock_ns=2.0).cost
    assert with_clock.cells["TIE0"] == with_clock.cells["TIE1"] == 1
    assert with_clock.cells["DFFN"] == with_clock.flip_flops == 4
    assert with_clock.clock_ns == 2.0
    without = asic.gates(COUNTER, "top", libraries, own=False).cost
    assert without.flip_flops == 4
    assert "TIE0" not in without.cells
    assert without.clock_ns is None
    assert "timing" not in without.to_json()


def test_netlist_is_plain(timed):
    found = asic.gates(COUNTER, "top", timed, own=False, clock_ns=2.0, netlist=True)
    assert found.verilog.lstrip().startswith("module top(")
    for word in ("signed", "always", "  reg ", "Generated", "1'h"):
        assert word not in found.verilog
    # It is what was counted.
    for cell, count in found.cost.cells.items():
        assert found.verilog.count(f"  {cell} ") == count
    assert asic.gates(COUNTER, "top", timed, own=False, clock_ns=2.0).cost == found.cost


def test_netlist_is_taken_from_the_cache(timed, tmp_path, monkeypatch):
    with cache.use(tmp_path / "cache"):
        first = asic.gates(COUNTER, "top", timed, own=False, clock_ns=2.0, netlist=True)
        monkeypatch.setattr("hw.yosys.run", None)
        assert asic.gates(COUNTER, "top", timed, own=False, clock_ns=2.0, netlist=True) == first
        # What else it depends on is another entry, which is made.
        for change in ({"clock_ns": 3.0}, {"netlist": False, "clock_ns": None}):
            with pytest.raises(TypeError):
                asic.gates(COUNTER, "top", timed, own=False, **{"clock_ns": 2.0, **change})
        with pytest.raises(TypeError):
            asic.gates(COUNTER + "\n", "top", timed, own=False, clock_ns=2.0, netlist=True)


def test_library_without_delays_has_no_timing():
    own = liberty.read_all([synth.GENERIC_LIBERTY])
    plain = asic.gates(COUNTER, "top", own, own=True).cost
    cost = asic.gates(COUNTER, "top", own, own=True, clock_ns=2.0).cost
    assert (cost.area, cost.cells) == (plain.area, plain.cells)
    assert cost.untimed == "no timing and no power: generic.lib has no delays"
    assert cost.summary().endswith(f"at 2 ns: {cost.untimed}")


def test_without_opensta_there_is_no_timing(timed, monkeypatch):
    which = shutil.which
    monkeypatch.setattr("shutil.which", lambda name: None if name == "sta" else which(name))
    cost = synth.synthesize(
        COUNTER, "top", "generic", liberty=[], clock_ns=None
    )  # fmt: skip
    assert cost.untimed is None
    cost = asic.gates(COUNTER, "top", timed, own=False, clock_ns=2.0).cost
    assert cost.untimed == "no timing and no power: OpenSTA (sta) is not installed"
    assert AsicCost.from_json(json.loads(json.dumps(cost.to_json()))) == cost


@pytest.mark.parametrize("clock", [0.0, -1.0, float("inf"), float("nan")])
def test_clock_that_is_none(timed, clock):
    with pytest.raises(UsageError, match="the clock's period must be above 0 ns, not "):
        asic.gates(COUNTER, "top", timed, own=False, clock_ns=clock)


def test_cost_with_timing_comes_back_equal():
    cost = AsicCost(
        "top", "liberty", "Yosys", "flip-flops", {"INV": 3}, 0, 3.0, 0.0, 3.0, "um2",
        ({"file": "a.lib", "name": "a", "sha256": "0"},), 2.0,
        GateTiming("OpenSTA 2", 0.5, 666.667, CriticalPath("a", "b", 1.5),
                   Power(1.0, 2.0, 3.0, 6.0), Activity("data", 9, 8, 7, 0.5), "Icarus Verilog 11"),
    )  # fmt: skip
    assert AsicCost.from_json(json.loads(json.dumps(cost.to_json()))) == cost
    assert "slack +0.500 ns, fmax 666.7 MHz, 6 mW" in cost.summary()
    text = "\n".join(cost.lines())
    for part in ("liberty at 2 ns: ", "longest path 1.500 ns: a to b", "activity of data: 9 beats"):
        assert part in text
