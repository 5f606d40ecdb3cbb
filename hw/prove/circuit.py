"""Verilog as a circuit of AND gates, inverters and registers, by Yosys.

A circuit's *literals* are AIGER's (A. Biere, "The AIGER And-Inverter Graph format", 2007): twice a
variable's number, plus 1 where it is inverted; 0 is false and 1 is true. What registers hold at
power-on is not part of a circuit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from nnlut_train.errors import StepError

from .. import yosys

__all__ = ["Circuit", "Register", "compiled"]

_BIT = re.compile(r"(.*?)(?:\[(\d+)\])?")
_SCRIPT = """\
{read}
hierarchy -check -top {top}
setattr -mod -unset keep_hierarchy
proc
flatten
setattr -unset init w:*
opt
memory -nomap
setattr -unset init w:*
memory_map
setattr -unset init w:*
opt -full
techmap
opt -fast
simplemap
{after}
dffunmap
setundef -undriven -zero
setundef -zero
aigmap
opt_clean
check -assert -noinit
write_aiger -ascii -symbols circuit.aag
"""


@dataclass(frozen=True)
class Register:
    """A register of one bit.

    Parameters
    ----------
    names : tuple of str
        Its signals in the flattened design, such as ``unit.s1_code[3]``.
    now, following : int
        Literals of what it holds, and of what it takes at the clock's edge.
    """

    names: tuple[str, ...]
    now: int
    following: int

    @property
    def label(self) -> str:
        """The name that tells most: rather the design's than one that Yosys made up."""
        return min(self.names, key=lambda name: (name.startswith("_"), "$" in name, len(name)))


@dataclass(frozen=True)
class Circuit:
    """A synchronous circuit.

    Parameters
    ----------
    inputs, outputs : dict
        Port to its literals, lowest bit first.
    registers : tuple of Register
        Its registers.
    signals : dict
        Output, by its name with the bit in brackets, to its literal.
    ands : tuple of (int, int, int)
        Each AND gate: the even literal that it drives, and its two inputs; in an order in which
        every gate stands behind those that drive it.
    """

    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]
    registers: tuple[Register, ...]
    signals: dict[str, int]
    ands: tuple[tuple[int, int, int], ...]


def compiled(
    sources: Mapping[str, str | bytes], top: str, *, step: str, read: str = "", after: str = ""
) -> Circuit:
    """Compile Verilog to a circuit.

    Parameters
    ----------
    sources : mapping
        File name to text.
    top : str
        The top module.
    step : str
        What it is for; error messages begin with it.
    read : str
        Yosys commands that read `sources`; by default all as Verilog.
    after : str
        Yosys commands on the flattened gates and registers.

    Raises
    ------
    StepError
        Yosys failed, or the design is no synchronous circuit.
    """
    read = read or "\n".join(f"read_verilog {name}" for name in sources)
    written = yosys.run(
        _SCRIPT.format(read=read, top=top, after=after), sources, ["circuit.aag"],
        step=step,
    )  # fmt: skip
    try:
        return _parsed(written["circuit.aag"].decode())
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise StepError(f"{step}: Yosys' circuit cannot be read: {error!r}") from error


def _parsed(text: str) -> Circuit:
    lines = iter(text.split("\n"))
    kind, _, *counts = next(lines).split()
    if kind != "aag" or any(map(int, counts[4:])):
        raise ValueError("the header")
    rows = [[tuple(map(int, next(lines).split())) for _ in range(int(count))]
            for count in counts[:4]]  # fmt: skip
    inputs, latches, outputs, gates = rows
    names = {key: name for line in lines if " " in line for key, name in [line.split(" ", 1)]}
    # A register that is nothing but logic's, as where a fault is planted, has no name.
    registers = tuple(Register(tuple(names.get(f"l{index}", f"register_{index}").split()), *row[:2])
                      for index, row in enumerate(latches))  # fmt: skip
    ands = []
    known = {0, *(row[0] for row in inputs), *(register.now for register in registers)}
    for gate, left, right in sorted(gates):
        if left & ~1 not in known or right & ~1 not in known:
            raise ValueError(f"gate {gate} stands before what drives it")
        known.add(gate)
        ands.append((gate, left, right))
    signals = {names[f"o{index}"]: row[0] for index, row in enumerate(outputs)}
    return Circuit(_ports("i", inputs, names), _ports("o", outputs, names), registers, signals,
                   tuple(ands))  # fmt: skip


def _ports(kind: str, rows: list[tuple[int, ...]], names: dict[str, str]) -> dict[str, list[int]]:
    ports: dict[str, dict[int, int]] = {}
    for index, (literal, *_) in enumerate(rows):
        found = _BIT.fullmatch(names[f"{kind}{index}"])
        if found is None:
            raise ValueError(f"the name of port {index}")
        ports.setdefault(found[1], {})[int(found[2] or 0)] = literal
    return {name: [bits[bit] for bit in sorted(bits)] for name, bits in ports.items()}
