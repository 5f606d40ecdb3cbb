"""Power behind clock gates, for an OpenSTA that takes every clock pin to see every edge.

OpenSTA of 2019 takes no activity of a net that its clock reaches: the clock of a register behind a
gate counts as two transitions a clock, whether the gate is open or not. So, for the power only,
each such register becomes a copy of its cell, whose clock pin has the energy and the capacitance of
the share of the edges that came through in simulation; and so the output of each gate.
"""

import re
from collections.abc import Mapping

from nnlut_train.errors import StepError

from .celldata import Detail, cell_text, scaled_pin
from .clockgate import gate_of
from .liberty import Library
from .netlist import Netlist

__all__ = ["Copies", "added", "copies"]

#: A share of the edges is rounded to so many parts of all.
PARTS = 1000
#: Copies: of a cell, for a share; name to type and share in `PARTS`.
Copies = dict[str, tuple[str, int]]


def copies(
    verilog: str, netlist: Netlist, known: Mapping[str, Detail],
    rates: Mapping[int | str, tuple[float, float]], step: str,
) -> tuple[str, Copies]:  # fmt: skip
    """Return the netlist with copies of the cells behind gates, and of the gates.

    Raises
    ------
    StepError
        A gate's clock is itself gated, or a gated clock is used as data.
    """
    shares: dict[int | str, int] = {}
    gates = {kind: gate for kind in {kind for kind, _ in netlist.cells.values()}
             if (gate := gate_of(kind, known[kind])) is not None}  # fmt: skip
    for kind, pins in netlist.cells.values():
        if kind in gates and gates[kind].out in pins:
            net = pins[gates[kind].out]
            shares[net] = min(PARTS, round(rates[net][0] / 2 * PARTS))
    found: Copies = {}
    renamed: dict[str, str] = {}
    for name, (kind, pins) in netlist.cells.items():
        gated = [pin for pin, net in pins.items() if net in shares]
        if not gated:
            continue
        (pin,) = gated
        own = gates[kind].out if kind in gates else known[kind].clock
        if pin != own:
            raise StepError(f"{step}: a gated clock must drive registers only, not {name}.{pin}")
        share = shares[pins[pin]]
        if share < PARTS:
            renamed[name] = copy = f"{kind}__{share}"
            found[copy] = kind, share

    def rename(head: re.Match[str]) -> str:
        return f"  {renamed[head[2]]} {head[2]} (" if head[2] in renamed else head[0]

    return re.sub(r"^  (\w+) (\S+) \($", rename, verilog, flags=re.MULTILINE), found


def added(text: str, found: Copies, library: Library, known: Mapping[str, Detail]) -> str:
    """Return a library's text, in which OpenSTA has the original cells, with their copies."""
    parts = []
    for copy, (kind, share) in sorted(found.items()):
        if kind not in library.cells:
            continue
        gate = gate_of(kind, known[kind])
        pin = known[kind].clock if gate is None else gate.out
        assert pin is not None
        cell = cell_text(text, kind)
        if gate is not None:
            # What a pulse that stays inside takes is asked for where the output is 0.
            cell = re.sub(rf"\*\s*!{re.escape(gate.out)}\b", " ", cell)
        parts.append(scaled_pin(cell, kind, copy, pin, share / PARTS))
    return text.rstrip().removesuffix("}") + "".join(parts) + "}\n"
