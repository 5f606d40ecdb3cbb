"""Faults in a unit's Verilog: which there can be, and a netlist that has many of them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hw import yosys
from nnlut_train.errors import StepError

__all__ = ["CONTROL", "CONTROL_BITS", "Mutant", "candidates", "planted", "prepared", "sample"]

#: The input by which a fault is chosen; 0 is none.
CONTROL = "mutant"
CONTROL_BITS = 16
#: Faults of the clock are no faults of the unit: there is one, and nothing is in its way.
CLOCKS = ("CLK", "RD_CLK", "WR_CLK")

#: To cells as the Verilog has them: adders, comparators, multiplexers, registers of any width. What
#: no output depends on goes, as in every synthesis, and ROMs become logic, so that their contents
#: can be wrong, too.
PREPARE = """\
read_verilog unit.v
hierarchy -check -top {top}
proc
flatten
opt_expr
opt_clean
opt -noff
wreduce
opt_clean
memory_collect
memory_map -rom-only
delete t:$scopeinfo
opt_clean
"""


@dataclass(frozen=True)
class Mutant:
    """One fault at one place.

    Parameters
    ----------
    mode : str
        What is done to the bit: ``inv``, ``const0``, ``const1``; ``cnot0`` and ``cnot1`` invert it
        where another bit of the same cell is 0 or 1.
    cell, port : str
        Where it is.
    bit, control : int
        Of the port; of its cell, for ``cnot0`` and ``cnot1`` (else -1).
    wire : str
        What the bit is called in the netlist, if anything.
    source : str
        Lines of the Verilog that it is from.
    """

    mode: str
    cell: str
    port: str
    bit: int
    control: int
    wire: str
    source: str

    def command(self, top: str, number: int) -> str:
        """Return Yosys' command that plants it, in effect where `CONTROL` is `number`."""
        chosen = f" -ctrlbit {self.control}" if self.control >= 0 else ""
        return (
            f"mutate -mode {self.mode} -ctrl {CONTROL} {CONTROL_BITS} {number} -module {top} "
            f"-cell {self.cell} -port {self.port} -portbit {self.bit}{chosen}"
        )

    def key(self) -> str:
        """Return what no other mutant of the same netlist has."""
        return f"{self.mode} {self.cell} {self.port} {self.bit} {self.control}"


def _mutant(line: str) -> Mutant:
    words = line.split()  # names from Verilog have no blanks
    options: dict[str, list[str]] = {}
    for name, value in zip(words[1::2], words[2::2], strict=True):
        options.setdefault(name.lstrip("-"), []).append(value)

    def one(name: str, default: str = "") -> str:
        return options.get(name, [default])[0]

    wire = one("wire")
    return Mutant(
        one("mode"), one("cell"), one("port"), int(one("portbit")), int(one("ctrlbit", "-1")),
        f"{wire}[{one('wirebit')}]" if wire else "",
        " ".join(source.removeprefix("unit.v:") for source in options.get("src", [])),
    )  # fmt: skip


def prepared(verilog: str, top: str) -> str:
    """Return the netlist in which faults are planted, as RTLIL.

    Parameters
    ----------
    verilog : str
        What `hw.verilog.to_verilog` wrote.
    top : str
        Name of its top module.
    """
    script = PREPARE.format(top=top) + "write_rtlil netlist.il\n"
    return yosys.run(script, {"unit.v": verilog}, ["netlist.il"])["netlist.il"].decode()


def candidates(netlist: str, top: str) -> list[Mutant]:
    """Return all faults that Yosys can plant: every mode at every bit of every port of every cell.

    Raises
    ------
    StepError
        If there are none.
    """
    script = "read_rtlil netlist.il\nmutate -list 10000000 -o all.txt\n"
    text = yosys.run(script, {"netlist.il": netlist}, ["all.txt"])["all.txt"].decode()
    found = [_mutant(line) for line in text.splitlines()]
    found = [mutant for mutant in found if mutant.port not in CLOCKS]
    if not found:
        raise StepError(f"Yosys found no place for a fault in {top}")
    return sorted(found, key=Mutant.key)


def sample(everything: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return `count` of the mutants, spread over the cells.

    The cells take turns, in an order that is drawn anew for each round; each gives one of its
    mutants, drawn at random: so one gate of the control counts as much as an adder. The first of
    a larger sample are the smaller sample.
    """
    draw = random.Random(seed)
    cells: dict[str, list[Mutant]] = {}
    for mutant in everything:
        cells.setdefault(mutant.cell, []).append(mutant)
    for group in cells.values():
        draw.shuffle(group)
    chosen: list[Mutant] = []
    while cells and len(chosen) < count:
        for name in draw.sample(sorted(cells), len(cells)):
            chosen.append(cells[name].pop())
            if not cells[name]:
                del cells[name]
    return chosen[:count]


def planted(netlist: str, top: str, mutants: Mapping[int, Mutant], finish: str, output: str) -> str:
    """Return the netlist with faults, each in effect for a value of the input `CONTROL`.

    Parameters
    ----------
    netlist : str
        From `prepared`.
    top : str
        Its top module.
    mutants : mapping of int to Mutant
        By the value; from 1 on.
    finish : str
        Yosys' commands that write `output`.
    output : str
        The file that is returned.
    """
    commands = "".join(mutant.command(top, number) + "\n" for number, mutant in mutants.items())
    script = f"read_rtlil netlist.il\n{commands}opt_clean\n{finish}\n"
    return yosys.run(script, {"netlist.il": netlist}, [output])[output].decode()
