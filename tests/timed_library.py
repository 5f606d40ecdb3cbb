"""A small liberty library with delays and power, as the tests need one that is not a foundry's."""

__all__ = ["library"]

_HEAD = """\
library (timed) {
  delay_model : table_lookup;
  time_unit : "UNIT"; voltage_unit : "1V"; current_unit : "1mA"; leakage_power_unit : "1nW";
  capacitive_load_unit (1,pf); pulling_resistance_unit : "1kohm";
  nom_voltage : 1.0; nom_process : 1; nom_temperature : 25;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  slew_lower_threshold_pct_rise : 20; slew_lower_threshold_pct_fall : 20;
  slew_upper_threshold_pct_rise : 80; slew_upper_threshold_pct_fall : 80;
  slew_derate_from_library : 1;
  operating_conditions (typical) { process : 1; temperature : 25; voltage : 1.0; }
  default_operating_conditions : typical;
  lu_table_template (table) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0.001, 10"); index_2 ("0.0001, 10"); }
"""


def _table(name: str, value: float) -> str:
    # Flat: the value is what a test counts with.
    rows = f'"{value:.6g}, {value:.6g}", "{value:.6g}, {value:.6g}"'
    return f"{name} (table) {{ values ({rows}); }}"


def _arcs(pins: str, delay: float, extra: str = "", *, energy: float = 0.0) -> str:
    text = ""
    for pin in pins:
        text += f'      timing () {{ related_pin : "{pin}"; {extra}\n        '
        text += " ".join(_table(name, delay) for name in ("cell_rise", "cell_fall"))
        text += " " + " ".join(_table(f"{way}_transition", delay / 10) for way in ("rise", "fall"))
        text += " }\n"
        if energy:
            text += f'      internal_power () {{ related_pin : "{pin}"; rise_power (scalar) {{ '
            text += f'values ("{energy}"); }} fall_power (scalar) {{ values ("{energy}"); }} }}\n'
    return text


def _gate(name: str, area: float, pins: str, function: str, delay: float) -> str:
    inputs = "".join(
        f"    pin ({pin}) {{ direction : input; capacitance : 0.001; }}\n" for pin in pins
    )
    return (
        f"  cell ({name}) {{ area : {area}; cell_leakage_power : 1;\n{inputs}"
        f'    pin (Y) {{ direction : output; max_capacitance : 10; function : "{function}";\n'
        f"{_arcs(pins, delay, energy=0.01)}    }} }}\n"
    )


def _flip_flop(name: str, area: float, output: str, extra: str, ns: float) -> str:
    constraints = " ".join(
        f'{way}_constraint (scalar) {{ values ("{0.1 * ns}"); }}' for way in ("rise", "fall")
    )
    return (
        f"  cell ({name}) {{ area : {area}; cell_leakage_power : 1;\n"
        f'    ff (IQ, IQN) {{ clocked_on : "C"; next_state : "D"; {extra} }}\n'
        "    pin (C) { direction : input; clock : true; capacitance : 0.001;\n"
        '      internal_power () { when : "D"; rise_power (scalar) { values ("0.02"); } '
        'fall_power (scalar) { values ("0.02"); } }\n'
        '      internal_power () { when : "!D"; rise_power (scalar) { values ("0.02"); } '
        'fall_power (scalar) { values ("0.02"); } }\n'
        '      internal_power () { rise_power (scalar) { values ("0.5"); } '
        'fall_power (scalar) { values ("0.5"); } } }\n'
        "    pin (D) { direction : input; capacitance : 0.001;\n"
        f'      timing () {{ related_pin : "C"; timing_type : setup_rising; {constraints} }} }}\n'
        f'    pin (Q) {{ direction : output; max_capacitance : 10; function : "{output}";\n'
        f"{_arcs('C', 0.2 * ns, 'timing_type : rising_edge;')}    }} }}\n"
    )


def library(unit: str = "1ns", *, ties: bool = True, inverting: float = 0.0) -> str:
    """Return the text of a library.

    Gates take 0.1 ns, a buffer 0.05 ns, a flip-flop 0.2 ns and a setup of 0.1 ns, whatever they
    drive; each edge of a gate's output takes 0.01 pJ, each of a flip-flop's clock 0.02 pJ. A state
    that does not exist would take 0.5 pJ.

    Parameters
    ----------
    unit : str
        Unit of time: ``1ns`` or ``1ps``.
    ties : bool
        Whether there are tie cells.
    inverting : float
        Area of a flip-flop DFFN with an inverted output, if above 0; the other's is 5.
    """
    ns = 1.0 if unit == "1ns" else 1000.0
    text = _HEAD.replace("UNIT", unit)
    text += _gate("INV", 1, "A", "!A", 0.1 * ns) + _gate("BUF", 2, "A", "A", 0.05 * ns)
    text += _gate("NAND2", 2, "AB", "!(A & B)", 0.1 * ns)
    text += _gate("NOR2", 2, "AB", "!(A | B)", 0.1 * ns)
    text += _gate("XOR2", 4, "AB", "A ^ B", 0.1 * ns)
    if ties:
        for value in "01":
            text += f"  cell (TIE{value}) {{ area : 1; pin (Y) {{ direction : output; "
            text += f'max_capacitance : 10; function : "{value}"; }} }}\n'
    text += _flip_flop("DFF", 5, "IQ", "", ns)
    if inverting:
        text += _flip_flop("DFFN", inverting, "IQN", "", ns)
    return text + "}\n"
