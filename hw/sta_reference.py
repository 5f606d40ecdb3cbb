"""A netlist of two cells whose power is worked out by hand: what OpenSTA's numbers mean.

A flip-flop drives an inverter, and that a load of 1 pF, at 1 V and a period of 10 ns; all nets
make one transition a clock.

* Internal: a clock pin takes 1 pJ at its rising and 3 pJ at its falling edge, so 4 pJ a clock:
  0.4 mW. The inverter takes 1 and 3 pJ for its output's edges, so 2 pJ a transition: 0.2 mW.
* Switching: C V^2 / 2 a transition: 0.05 mW for 1 pF, and 0.0001 mW for the inverter's 2 fF.
"""

__all__ = ["REFERENCE", "REFERENCE_MW"]

REFERENCE_MW = {"internal": 0.6, "switching": 0.0501}

_LIBERTY = """\
library (reference) {
  delay_model : table_lookup;
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA"; leakage_power_unit : "1nW";
  capacitive_load_unit (1,pf); pulling_resistance_unit : "1kohm";
  nom_voltage : 1.0; nom_process : 1; nom_temperature : 25;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  slew_lower_threshold_pct_rise : 20; slew_lower_threshold_pct_fall : 20;
  slew_upper_threshold_pct_rise : 80; slew_upper_threshold_pct_fall : 80;
  slew_derate_from_library : 1;
  operating_conditions (typical) { process : 1; temperature : 25; voltage : 1.0; }
  default_operating_conditions : typical;
  cell (INV) {
    area : 1; cell_leakage_power : 1;
    pin (A) { direction : input; capacitance : 0.002; }
    pin (Y) { direction : output; function : "!A";
      timing () { related_pin : "A"; timing_sense : negative_unate;
        cell_rise (scalar) { values ("0.1"); } cell_fall (scalar) { values ("0.1"); }
        rise_transition (scalar) { values ("0.01"); } fall_transition (scalar) { values ("0.01"); }
      }
      internal_power () { related_pin : "A";
        rise_power (scalar) { values ("1.0"); } fall_power (scalar) { values ("3.0"); } } } }
  cell (DFF) {
    area : 5; cell_leakage_power : 2;
    ff (IQ, IQN) { clocked_on : "C"; next_state : "D"; }
    pin (C) { direction : input; clock : true; capacitance : 0.002;
      internal_power () {
        rise_power (scalar) { values ("1.0"); } fall_power (scalar) { values ("3.0"); } } }
    pin (D) { direction : input; capacitance : 0.002;
      timing () { related_pin : "C"; timing_type : setup_rising;
        rise_constraint (scalar) { values ("0.1"); } fall_constraint (scalar) { values ("0.1"); }
      } }
    pin (Q) { direction : output; function : "IQ";
      timing () { related_pin : "C"; timing_type : rising_edge;
        cell_rise (scalar) { values ("0.2"); } cell_fall (scalar) { values ("0.2"); }
        rise_transition (scalar) { values ("0.01"); } fall_transition (scalar) { values ("0.01"); }
      } } }
}
"""
_VERILOG = """\
module top(clk, a, y);
  input clk;
  input a;
  output y;
  wire q;
  DFF r (.C(clk), .D(a), .Q(q));
  INV i (.A(q), .Y(y));
endmodule
"""
_SCRIPT = """\
read_liberty reference.lib
read_verilog reference.v
link_design top
create_clock -name clk -period 10 [get_ports clk]
set_load 1.0 [get_ports y]
sta::set_power_input_port_activity [get_ports a] 1 0.5
foreach pin {r/D r/Q i/A i/Y} { sta::set_power_pin_activity [get_pins $pin] 1 0.5 }
report_power -digits 9
"""

#: The files of the reference, and its script.
REFERENCE = {"reference.lib": _LIBERTY, "reference.v": _VERILOG, "run.tcl": _SCRIPT}
