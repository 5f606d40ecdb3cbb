"""Registers behind the multipliers and block RAMs of an ECP5, moved into them.

Both have output registers of their own. Yosys knows them for other families (``xilinx_dsp``,
``ice40_dsp``), not for this one: so a product, or a word that is read, goes to registers of the
fabric, and a block RAM takes 5.6 ns to its outputs. `pack` moves such registers into the block
before place and route, where that changes nothing but the time: all outputs of the block that are
used go to one register each, and nowhere else, and these have one clock and one enable, and no
reset. The function and the clocks it takes are the same.
"""

import json
from collections import defaultdict
from typing import Any, NamedTuple

from nnlut_train.errors import StepError

__all__ = ["pack"]

#: Of a flip-flop that can be moved; the block's registers are 0 at power-on as well.
_PLAIN = {"CLKMUX": "CLK", "REGSET": "RESET"}


class _Outputs(NamedTuple):
    """Outputs of a block that have one common register.

    Parameters
    ----------
    prefix : str
        Their names begin with it, and end with a number.
    clock, enable, reset : str
        The register's ports.
    parameters : dict
        What the block has where the register is used.
    own_clock : str
        Port of the block whose clock the register must have; empty where it has one of its own.
    """

    prefix: str
    clock: str
    enable: str
    reset: str
    parameters: dict[str, str]
    own_clock: str = ""


_PRODUCT = _Outputs(
    "P", "CLK0", "CE0", "RST0",
    {"REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0"},
)  # fmt: skip
_BLOCKS = {
    "MULT18X18D": [_PRODUCT],
    "DP16KD": [
        _Outputs(f"DO{port}", f"CLK{port}", f"OCE{port}", f"RST{port}",
                 {f"REGMODE_{port}": "OUTREG"}, f"CLK{port}")
        for port in "AB"
    ],
    "PDPW16KD": [_Outputs("DO", "CLKR", "OCER", "RST", {"REGMODE": "OUTREG"}, "CLKR")],
}  # fmt: skip


def pack(netlist: bytes, top: str, step: str) -> bytes:
    """Move registers into multipliers and block RAMs.

    Parameters
    ----------
    netlist : bytes
        JSON of Yosys, after ``synth_ecp5``, flat.
    top : str
        Its module.
    step : str
        What the run is for; error messages begin with it.

    Returns
    -------
    bytes
        The same with fewer flip-flops.

    Raises
    ------
    StepError
        The netlist cannot be read.
    """
    try:
        design = json.loads(netlist)
        module = design["modules"][top]
        cells: dict[str, Any] = module["cells"]
        users: dict[Any, list[tuple[str, str]]] = defaultdict(list)
        for name, cell in cells.items():
            for port, bits in cell["connections"].items():
                if cell.get("port_directions", {}).get(port) != "output":
                    for bit in bits:
                        users[bit].append((name, port))
        for port in module["ports"].values():
            for bit in port["bits"]:
                users[bit].append(("", ""))
        for cell in list(cells.values()):
            for outputs in _BLOCKS.get(cell["type"], ()):
                _pack(cell, outputs, cells, users)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StepError(f"{step}: Yosys' netlist cannot be read: {error!r}") from error
    return json.dumps(design).encode()


def _pack(
    cell: dict[str, Any], outputs: _Outputs, cells: dict[str, Any],
    users: dict[Any, list[tuple[str, str]]],
) -> None:  # fmt: skip
    ties = cell["connections"]
    used = {
        port: users[bits[0]]
        for port, bits in ties.items()
        if port.removeprefix(outputs.prefix).isdigit() and users.get(bits[0])
    }
    names = {port: readers[0][0] for port, readers in used.items()}
    registers = [cells.get(name, {}) for name in names.values()]
    if not registers or any(len(readers) > 1 for readers in used.values()):
        return
    kinds = set()
    for (_, into), register in zip((r[0] for r in used.values()), registers, strict=True):
        if register.get("type") != "TRELLIS_FF" or into != "DI":
            return
        settings, wires = register["parameters"], register["connections"]
        always = settings.get("CEMUX", "CE") == "1"
        plain = all(settings.get(key, value) == value for key, value in _PLAIN.items())
        if not plain or not (always or settings.get("CEMUX", "CE") == "CE"):
            return
        if wires.get("LSR", ["0"]) != ["0"]:
            return
        kinds.add((wires["CLK"][0], "1" if always else wires.get("CE", ["1"])[0]))
    if len(kinds) > 1:
        return
    ((clock, enable),) = kinds
    if outputs.own_clock and ties[outputs.own_clock] != [clock]:
        return
    if ties.get(outputs.reset, ["0"]) != ["0"]:
        return
    for port, name in names.items():
        ties[port] = cells.pop(name)["connections"]["Q"]
    cell["parameters"].update(outputs.parameters)
    ties.update({outputs.clock: [clock], outputs.enable: [enable], outputs.reset: ["0"]})
    directions = cell.setdefault("port_directions", {})
    directions.update(dict.fromkeys((outputs.clock, outputs.enable, outputs.reset), "input"))
