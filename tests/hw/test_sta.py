import shutil

import pytest
from timed_library import library

from hw import asic, celldata, liberty, sta
from hw.netlist import Netlist
from hw.yosys import run as run_yosys
from nnlut_train.errors import StepError

needs_sta = pytest.mark.skipif(shutil.which("sta") is None, reason="OpenSTA is not installed")

# A register, two gates, a register; and an output behind one gate.
CHAIN = """\
module top(aclk, a, b, y, z);
  input aclk;
  input a;
  input b;
  output y;
  output z;
  wire \\unit.first[2] ;
  wire n;
  wire m;
  wire unnamed;
  DFF r (.C(aclk), .D(a), .Q(\\unit.first[2] ));
  NAND2 g (.A(\\unit.first[2] ), .B(b), .Y(n));
  INV h (.A(n), .Y(m));
  DFF s (.C(aclk), .D(m), .Q(z));
  INV o (.A(z), .Y(y));
endmodule
"""


def analyse(tmp_path, text, clock=2.0, *, verilog=CHAIN, rates=None):
    path = tmp_path / "timed.lib"
    path.write_text(text)
    libraries = liberty.read_all([path])
    netlist = netlist_of(verilog)
    if callable(rates):
        rates = rates(netlist)
    around = sta.Surroundings("BUF", 4.0)
    return sta.analyse(verilog, netlist, "top", libraries, clock, around, rates, step="test")


def netlist_of(verilog):
    script = "read_verilog n.v\nwrite_json n.json\n"
    written = run_yosys(script, {"n.v": verilog}, ["n.json"])["n.json"]
    return Netlist.from_json(written, "top", "test")


@needs_sta
@pytest.mark.parametrize("unit", ["1ns", "1ps"])
def test_path_by_hand(tmp_path, unit):
    timing = analyse(tmp_path, library(unit))
    # 0.2 out of the register, a NAND and an inverter of 0.1 each; setup 0.1.
    assert timing.path.delay_ns == pytest.approx(0.4)
    assert timing.slack_ns == pytest.approx(2.0 - 0.4 - 0.1)
    assert timing.fmax_mhz == pytest.approx(2000.0)
    assert (timing.path.start, timing.path.end) == ("unit.first[2]", "z")
    assert timing.sta.startswith("OpenSTA ")
    assert timing.power is None


@needs_sta
def test_slack_may_be_negative_and_fmax_stays(tmp_path):
    timing = analyse(tmp_path, library(), 0.25)
    assert timing.slack_ns == pytest.approx(-0.25)
    assert timing.fmax_mhz == pytest.approx(2000.0)


@needs_sta
def test_ports_are_timed_too(tmp_path):
    direct = """\
module top(aclk, a, y);
  input aclk;
  input a;
  output y;
  wire n;
  INV g (.A(a), .Y(n));
  INV h (.A(n), .Y(y));
endmodule
"""
    timing = analyse(tmp_path, library(), verilog=direct)
    # Two inverters; of the buffer in front of an input, what its load adds: here nothing.
    assert timing.path.delay_ns == pytest.approx(0.2)
    assert timing.slack_ns == pytest.approx(1.8)
    assert (timing.path.start, timing.path.end) == ("a", "y")


@needs_sta
def test_power_by_hand(tmp_path):
    # What a register gives is not what OpenSTA would make of what it is given.
    toggles = {
        "a": 0.5,
        "b": 0.25,
        "unit.first[2]": 0.5,
        "n": 0.375,
        "m": 0.375,
        "z": 0.9,
        "y": 0.9,
    }

    def rates(netlist):
        return {netlist.signals[name][0]: (rate, 0.5) for name, rate in toggles.items()}

    power = analyse(tmp_path, library(), 2.0, rates=rates).power
    # Clock pins: two edges of 0.02 pJ in 2 ns, each. Gates: 0.01 pJ a transition of the output,
    # in 2 ns; OpenSTA takes those that the inputs would make: 0.5 / 2 + 0.25 / 2 of the NAND.
    clock = 2 * 2 * 0.02 / 2
    gates = 0.01 * (0.375 + 0.375 + 0.9) / 2
    assert power.internal == pytest.approx(clock + gates, rel=1e-3)
    # C V^2 / 2 a transition, C being 1 fF a pin, and 4 fF at an output.
    picofarads = {"a": 1, "b": 1, "unit.first[2]": 1, "n": 1, "m": 1, "z": 1 + 4, "y": 4}
    switching = sum(0.5 * c * 1e-3 * toggles[name] / 2 for name, c in picofarads.items())
    assert power.switching == pytest.approx(switching, rel=1e-3)
    # 1 nW a cell.
    assert power.leakage == pytest.approx(5e-6, rel=1e-3)
    assert power.total == pytest.approx(power.internal + power.switching + power.leakage, rel=1e-4)


@needs_sta
def test_power_is_proportional_to_activity(tmp_path):
    def rates(rate):
        return lambda netlist: {bits[0]: (rate, 0.5) for bits in netlist.signals.values()}

    still, half, whole = (
        analyse(tmp_path, library(), rates=rates(rate)).power for rate in (0.0, 0.5, 1.0)
    )
    assert still.switching == 0.0
    assert still.internal == pytest.approx(2 * 2 * 0.02 / 2)
    assert whole.switching == pytest.approx(2 * half.switching)
    assert whole.internal - still.internal == pytest.approx(2 * (half.internal - still.internal))


@needs_sta
def test_errors_of_opensta_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(StepError, match=r"^test: OpenSTA: Error: .*Library timed is missing one"):
        analyse(tmp_path, library().replace("slew_lower_threshold_pct_rise : 20;", ""))
    (log,) = tmp_path.glob("nnlut-sta-*.log")
    assert "Error" in log.read_text()


def test_without_opensta(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (sta.find(), sta.version()) == (None, None)
    monkeypatch.setenv("STA", "no-such-program")
    with pytest.raises(StepError, match="STA must be set to an OpenSTA program, not no-such-prog"):
        sta.find()


def test_program_that_is_not_opensta(tmp_path, monkeypatch):
    program = tmp_path / "sta"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    monkeypatch.setenv("STA", str(program))
    with pytest.raises(StepError, match="does not tell its version"):
        sta.version()


def test_two_clocks_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sta, "find", lambda: "/bin/true")
    verilog = CHAIN.replace("DFF s (.C(aclk)", "DFF s (.C(b)")
    with pytest.raises(StepError, match="a unit must have one clock, not aclk, b"):
        analyse(tmp_path, library(), verilog=verilog)


@needs_sta
def test_inverting_flip_flops_are_named_by_what_is_behind_them(tmp_path):
    path = tmp_path / "timed.lib"
    path.write_text(library(inverting=3))
    design = """\
module top(input aclk, input [1:0] a, output [1:0] y);
  reg [1:0] deep;
  reg [1:0] wide;
  always @(posedge aclk) begin deep <= a; wide <= deep + wide; end
  assign y = wide;
endmodule
"""
    cost = asic.gates(design, "top", liberty.read_all([path]), own=False, clock_ns=1.0).cost
    assert cost.cells["DFFN"] == 4
    assert cost.timing.path.start.startswith(("deep", "wide", "y"))
    assert cost.timing.path.end.startswith(("wide", "y"))
    assert cost.timing.power is None


def test_details_are_there_for_each_cell(tmp_path):
    path = tmp_path / "timed.lib"
    path.write_text(library())
    libraries = liberty.read_all([path])
    assert celldata.details(libraries, libraries[0].cells).keys() == libraries[0].cells.keys()
    assert celldata.has_timing(libraries)
