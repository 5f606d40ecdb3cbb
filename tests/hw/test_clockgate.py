"""Clock gates: found in a library, put in, simulated, and what they save by hand."""

import shutil

import pytest
from timed_library import library

from hw import asic, celldata, clockgate, gate_sim, gated_power, liberty, sta
from hw.design import design
from hw.netlist import Netlist
from hw.request import Request
from hw.verilog import to_verilog
from hw.yosys import run as run_yosys
from nnlut_train.errors import StepError, UsageError
from sim.vectors import make_vectors

needs_sta = pytest.mark.skipif(shutil.which("sta") is None, reason="OpenSTA is not installed")
needs_iverilog = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog is not installed"
)

# A pulse through takes 0.03 pJ an edge, and the clock pin 0.005 pJ an edge at any time.
ICG = """\
  cell (ICG) { area : 6; cell_leakage_power : 1; dont_use : true;
    clock_gating_integrated_cell : "latch_posedge";
    statetable ("K E", "IQ") { table : "L L : - : L , L H : - : H , H - : - : N "; }
    pin (IQ) { direction : internal; internal_node : "IQ"; }
    pin (K) { direction : input; clock : true; clock_gate_clock_pin : true; capacitance : 0.002;
      internal_power () { rise_power (scalar) { values ("0.005"); }
        fall_power (scalar) { values ("0.005"); } } }
    pin (E) { direction : input; clock_gate_enable_pin : true; capacitance : 0.001;
      timing () { related_pin : "K"; timing_type : setup_rising;
        rise_constraint (scalar) { values ("0.1"); } fall_constraint (scalar) { values ("0.1"); }
      } }
    pin (G) { direction : output; clock_gate_out_pin : true; max_capacitance : 10;
      state_function : "K & IQ";
      timing () { related_pin : "K"; timing_sense : positive_unate;
        cell_rise (table) { values ("0.1, 0.1", "0.1, 0.1"); }
        cell_fall (table) { values ("0.1, 0.1", "0.1, 0.1"); }
        rise_transition (table) { values ("0.01, 0.01", "0.01, 0.01"); }
        fall_transition (table) { values ("0.01, 0.01", "0.01, 0.01"); } }
      internal_power () { related_pin : "K"; rise_power (scalar) { values ("0.03"); }
        fall_power (scalar) { values ("0.03"); } } } }
}
"""
# A register behind a gate, and one that is not.
GATED = """\
module top(aclk, e, a, y, z);
  input aclk;
  input e;
  input a;
  output y;
  output z;
  wire g;
  ICG i (
    .K(aclk),
    .E(e),
    .G(g)
  );
  DFF r (
    .C(g),
    .D(a),
    .Q(y)
  );
  DFF s (
    .C(aclk),
    .D(a),
    .Q(z)
  );
endmodule
"""


@pytest.fixture
def gated(tmp_path):
    path = tmp_path / "gated.lib"
    path.write_text(library(inverting=3).rstrip().removesuffix("}") + ICG)
    return liberty.read_all([path])


def test_the_gate_is_found_though_logic_must_not_use_it(gated):
    assert clockgate.choose(gated) == clockgate.ClockGate("ICG", "K", "E", "G", None)


def test_a_library_without_a_gate(tmp_path):
    path = tmp_path / "plain.lib"
    path.write_text(library())
    with pytest.raises(UsageError, match=r"a clock gate .* plain\.lib has none"):
        clockgate.choose(liberty.read_all([path]))


@needs_iverilog
def test_gated_registers_hold_what_they_held(gated):
    request = Request("gelu", bits=4, entries=4, tables="writable", arch="pwl", fold="none")
    spec = design(request, "pwl")
    verilog = to_verilog(spec, request.name, "test")

    def mapped(gating):
        return asic.gates(
            verilog, request.name, gated, own=False, clock_ns=5.0, netlist=True,
            clock_gating=gating,
        )  # fmt: skip

    plain, found = mapped(False), mapped(True)
    assert "ICG" not in plain.cost.cells
    assert found.cost.cells["ICG"] > 4
    assert found.cost.area < plain.cost.area
    # Registers in a row need no inverters between them.
    assert found.cost.cells["DFFN"] == found.cost.flip_flops
    vectors = make_vectors(spec)
    assert gate_sim.compare(
        found.verilog, request.name, gated, vectors, spec.user_bits
    ) == 2 * len(vectors.output)  # fmt: skip


def power(libraries, edges):
    """Return the power of GATED at 2 ns, whose gate lets so many edges a clock through."""
    script = "read_verilog n.v\nwrite_json n.json\n"
    written = run_yosys(script, {"n.v": GATED}, ["n.json"])["n.json"]
    netlist = Netlist.from_json(written, "top", "test")
    rates = {bits[0]: (0.0, 0.0) for bits in netlist.signals.values()}
    rates[netlist.signals["g"][0]] = (edges, 0.25)
    around = sta.Surroundings("BUF", 4.0)
    return sta.analyse(GATED, netlist, "top", libraries, 2.0, around, rates, step="test").power


@needs_sta
@pytest.mark.parametrize("edges", [0.0, 0.5, 2.0])
def test_power_by_hand(gated, edges):
    found = power(gated, edges)
    # In 2 ns: the free register's clock and the gate's, two edges each; and the edges let through,
    # at the gate and at the register behind it.
    internal = (2 * 0.02 + 2 * 0.005 + edges * (0.03 + 0.02)) / 2
    assert found.internal == pytest.approx(internal, rel=1e-3)
    # The gated net has one clock pin of 1 fF.
    assert found.switching == pytest.approx(0.5 * 1e-3 * edges / 2, rel=1e-3, abs=1e-9)


def test_a_gated_clock_is_no_data(gated):
    wrong = GATED.replace(".C(aclk),\n    .D(a)", ".C(aclk),\n    .D(g)")
    script = "read_verilog n.v\nwrite_json n.json\n"
    written = run_yosys(script, {"n.v": wrong}, ["n.json"])["n.json"]
    netlist = Netlist.from_json(written, "top", "test")
    known = celldata.details(gated, {"ICG", "DFF"})
    rates = {bits[0]: (0.0, 0.0) for bits in netlist.signals.values()}
    with pytest.raises(StepError, match=r"gated clock must drive registers only, not s\.D"):
        gated_power.copies(wrong, netlist, known, rates, "test")
