"""Clock gates: the cells that stop the clock of registers which keep their value.

Yosys' ``clockgate`` puts one in front of registers with the same enable, in place of a multiplexer
a bit. Such a cell (an integrated clock gating cell, ICG) is a latch, open while the clock is low,
and an AND. Yosys neither models its ``statetable`` nor takes a cell that the library keeps from
logic by ``dont_use``, as clock cells often are; so it is found, and modelled, here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nnlut_train.errors import UsageError

from .celldata import Detail, details
from .liberty import Library

__all__ = ["FEWEST", "FILES", "INVERT", "STRAIGHTEN", "ClockGate", "choose", "gate_of", "model",
           "script"]  # fmt: skip

#: Fewest registers with one enable that are worth a gate: it is as large as three multiplexers.
FEWEST = 3
#: Liberty's names of gates of a rising edge whose latch is in front of the AND.
_KINDS = ("latch_posedge", "latch_posedge_precontrol")
_PINS = ("clock_gate_clock_pin", "clock_gate_enable_pin", "clock_gate_out_pin")
_TEST = "clock_gate_test_pin"
# A register whose argument is another's result keeps the inverse: of flip-flops that invert, two
# in a row then need no inverter. Pairs of inverters go before ABC, which would leave a buffer.
_INVERTED = r"""
module \$_DFF_P_ (input D, input C, output Q);
  wire d, q;
  \$_NOT_ before (.A(D), .Y(d));
  \$_DFF_P_ _TECHMAP_REPLACE_ (.D(d), .C(C), .Q(q));
  \$_NOT_ after (.A(q), .Y(Q));
endmodule
"""
_PAIR = r"""
module inverter_pair (input A, output Y);
  wire inner;
  \$_NOT_ first (.A(A), .Y(inner));
  \$_NOT_ second (.A(inner), .Y(Y));
endmodule
"""
_WIRE = "module inverter_pair (input A, output Y); assign Y = A; endmodule\n"
#: Files that the commands of `INVERT` and `STRAIGHTEN` read.
FILES = {"inverted.v": _INVERTED, "pair.v": _PAIR, "wire.v": _WIRE}
#: Commands that keep the inverse in registers behind others, before flip-flops are mapped.
INVERT = """\
select -set given t:$_DFF_P_ %co1:+[Q] w:* %i
select -set behind @given %co1:+[D] t:$_DFF_P_ %i
techmap -max_iter 1 -map inverted.v @behind
opt_clean
"""
#: Commands that take pairs of inverters out, after flip-flops are mapped.
STRAIGHTEN = """\
extract -map pair.v
techmap -map wire.v
opt_clean
"""


@dataclass(frozen=True)
class ClockGate:
    """A cell that gates a clock, by the names of its pins.

    Parameters
    ----------
    cell : str
        Its name.
    clock, enable, out : str
        The clock, what lets the next pulse through, and the gated clock.
    test : str or None
        What lets all pulses through.
    """

    cell: str
    clock: str
    enable: str
    out: str
    test: str | None


def gate_of(name: str, detail: Detail) -> ClockGate | None:
    """Return the gate that a cell is, if it is one that is understood."""
    if detail.statements.get("clock_gating_integrated_cell") not in _KINDS:
        return None
    found = {role: [pin for pin, roles in detail.roles.items() if role in roles]
             for role in (*_PINS, _TEST)}  # fmt: skip
    if any(len(found[role]) != 1 for role in _PINS) or len(found[_TEST]) > 1:
        return None
    clock, enable, out = (found[role][0] for role in _PINS)
    test = found[_TEST][0] if found[_TEST] else None
    if set(detail.inputs) != {clock, enable} | ({test} - {None}) or detail.outputs != [out]:
        return None
    return ClockGate(name, clock, enable, out, test)


def choose(libraries: Sequence[Library]) -> ClockGate:
    """Return the smallest clock gate, also one that is kept from logic by ``dont_use``.

    Raises
    ------
    UsageError
        If the libraries have none.
    """
    areas = {name: cell.area for library in libraries for name, cell in library.cells.items()
             if cell.latch and cell.area is not None}  # fmt: skip
    found = [(areas[name], name, gate) for name, detail in details(libraries, areas).items()
             if (gate := gate_of(name, detail)) is not None]  # fmt: skip
    if not found:
        files = ", ".join(library.file for library in libraries)
        raise UsageError(
            "--clock-gating needs a library with a clock gate (clock_gating_integrated_cell of "
            f"{' or '.join(_KINDS)}), but {files} has none"
        )
    return min(found, key=lambda one: one[:2])[2]


def script(gate: ClockGate) -> str:
    """Return Yosys' commands that gate clocks, for a design of its own simple cells."""
    pins = f"{gate.enable}:{gate.clock}:{gate.out}"
    test = f"-tie_lo {gate.test} " if gate.test else ""
    # A reset that is logic in front of the register leaves one enable for all of a word.
    return f"""\
dfflegalize -cell $_DFF_P_ x -cell $_DFFE_PP_ x
opt_expr
opt_merge
opt_clean
clockgate -pos {gate.cell} {pins} {test}-min_net_size {FEWEST}
opt_clean
"""


def model(gate: ClockGate) -> str:
    """Return a Verilog model without delays."""
    pins = [gate.clock, gate.enable] + ([gate.test] if gate.test else [])
    opens = f"{gate.enable} | {gate.test}" if gate.test else gate.enable
    return f"""
module {gate.cell}({", ".join([*pins, gate.out])});
  input {", ".join(pins)};
  output {gate.out};
  reg held;
  initial held = $random;
  always @* if (!{gate.clock}) held = {opens};
  assign {gate.out} = {gate.clock} & held;
endmodule
"""
