"""The netlist in which OpenSTA keeps to the activity it is told.

OpenSTA of 2019 propagates activity from input ports through the gates behind them, up to the
registers, over what was set for these gates. So for the power each input comes out of a register
that takes no power itself and drives like the buffer that is in front of the inputs; nothing is
propagated then. The nets of the inputs are charged to the unit, which they are not otherwise.
"""

import re
from collections.abc import Mapping, Sequence

from nnlut_train.errors import StepError

from .celldata import Detail, pin_text
from .liberty import Library
from .netlist import Netlist

__all__ = ["SOURCE", "TOP", "activities", "source_cell", "wrapper"]

SOURCE, TOP = "NNLUT_SOURCE", "nnlut_power"
_CLOCK = "nnlut_clock"


def source_cell(library: Library, buffer: str, detail: Detail) -> str:
    """Return a register without power, in liberty, that drives as `buffer` does.

    Parameters
    ----------
    library : Library
        The one that has the buffer; its table templates are used.
    buffer : str
        The buffer.
    detail : Detail
        Its pins.
    """
    (given,), (output,) = detail.inputs, detail.outputs
    arcs = pin_text(library, buffer, output, "timing")
    arcs = re.sub(r"\b(timing_sense|timing_type|when|sdf_cond)\s*:[^;\n]*;?", " ", arcs)
    arcs = re.sub(rf"\brelated_pin\s*:\s*\"?{re.escape(given)}\"?\s*;", 'related_pin : "C"; '
                  "timing_type : rising_edge;", arcs)  # fmt: skip
    pins = "".join(
        f"pin ({name}) {{ direction : input; capacitance : 0; {more} }}\n"
        for name, more in (("C", "clock : true;"), ("D", ""))
    )
    return (
        f"cell ({SOURCE}) {{ area : 0; cell_leakage_power : 0;\n"
        f'ff (IQ, IQN) {{ clocked_on : "C"; next_state : "D"; }}\n{pins}'
        f'pin (Q) {{ direction : output; function : "IQ";\n{arcs}\n}} }}\n'
    )


def wrapper(netlist: Netlist, top: str, clocks: Sequence[str]) -> tuple[str, str]:
    """Return Verilog of a module `TOP` around `top`, and the name of its clock port."""
    clock = clocks[0] if clocks else _CLOCK
    outputs = [name for name, (direction, _) in netlist.ports.items() if direction == "output"]
    lines = [f"module {TOP}({', '.join([clock, *outputs])});", f"  input {clock};"]
    sources = []
    for name, (direction, bits) in netlist.ports.items():
        width = f"[{len(bits) - 1}:0] " if len(bits) > 1 else ""
        if direction == "output":
            lines.append(f"  output {width}{name};")
        elif name != clock:
            lines.append(f"  wire {width}{name};")
            for index, net in enumerate(_bits(netlist, name)):
                instance = f"  {SOURCE} {_source(name, index)}"
                sources.append(f"{instance} (.C({clock}), .D({net}), .Q({net}));")
    pins = ", ".join(f".{name}({name})" for name in netlist.ports)
    return "\n".join([*lines, *sources, f"  {top} dut ({pins});", "endmodule\n"]), clock


def _bits(netlist: Netlist, name: str) -> list[str]:
    size = len(netlist.ports[name][1])
    return [name] if size == 1 else [f"{name}[{index}]" for index in range(size)]


def _source(name: str, index: int) -> str:
    return f"source_{name}_{index}"


def activities(
    netlist: Netlist, clocks: Sequence[str], rates: Mapping[int | str, tuple[float, float]],
    step: str,
) -> str:  # fmt: skip
    """Return Tcl that sets transitions a clock and share of the time at 1 of every pin in `TOP`.

    Raises
    ------
    StepError
        A net's rate is not known.
    """
    ideal = {bit for name in clocks for bit in netlist.ports[name][1]}
    lines = ["proc p {pin a d} {sta::set_power_pin_activity [get_pins $pin] $a $d}\n"]

    def tell(pin: str, bit: int | str) -> None:
        if isinstance(bit, str):
            toggles, duty = 0.0, float(bit == "1")
        elif bit in rates:
            toggles, duty = rates[bit]
        else:
            raise StepError(f"{step}: no activity is known of the net {netlist.names.get(bit)}")
        lines.append(f"p {pin} {toggles:.6g} {duty:.6g}\n")

    for name, (direction, bits) in netlist.ports.items():
        if direction == "input" and name not in clocks:
            for index, bit in enumerate(bits):
                for pin in "DQ":
                    tell(f"{_source(name, index)}/{pin}", bit)
    for name, (_, pins) in netlist.cells.items():
        for pin, bit in pins.items():
            if bit not in ideal:
                tell(f"dut/{name}/{pin}", bit)
    return "".join(lines)
