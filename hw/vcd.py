"""Transitions counted in a value change dump (IEEE 1364) of a netlist."""

import re
from pathlib import Path

from nnlut_train.errors import StepError

from .netlist import Netlist

__all__ = ["toggles"]

_VARIABLE = re.compile(r"^\$var\s+\S+\s+(\d+)\s+(\S+)\s+(.*?)\s+\$end")
_RANGE = re.compile(r"\s*\[\d+:\d+\]$")


def toggles(path: Path, netlist: Netlist, start: int, end: int) -> dict[int | str, tuple[int, int]]:
    """Count the transitions between 0 and 1 of each net, and how long it is 1.

    Parameters
    ----------
    path : Path
        The dump; its variables are signals of `netlist`.
    netlist : Netlist
        The netlist.
    start, end : int
        Counted is at times from `start`, which is included, to `end`, which is not.

    Returns
    -------
    dict
        Net to transitions, and to units of time.

    Raises
    ------
    StepError
        A variable is no signal of the netlist.
    """
    bits: dict[str, list[int | str]] = {}
    with path.open(encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("$enddefinitions"):
                break
            if (variable := _VARIABLE.match(line)) is None:
                continue
            name = _RANGE.sub("", variable[3]).lstrip("\\")
            if name not in netlist.signals or len(netlist.signals[name]) != int(variable[1]):
                raise StepError(f"{path.name}: {name} is no signal of the netlist")
            bits.setdefault(variable[2], netlist.signals[name])
        nets = sorted({bit for found in bits.values() for bit in found if not isinstance(bit, str)})
        place = {bit: index for index, bit in enumerate(nets)}
        # A net with several names is counted under the first of them only.
        seen: set[int | str] = set()
        scalars: dict[str, int] = {}
        vectors: dict[str, list[tuple[int, int]]] = {}
        for code, found in bits.items():
            fresh = [(index, place[bit]) for index, bit in enumerate(found)
                     if not isinstance(bit, str) and bit not in seen]  # fmt: skip
            seen |= set(found)
            if len(found) == 1:
                if fresh:
                    scalars[code] = fresh[0][1]
            else:
                vectors[code] = fresh
        value, since = ["x"] * len(nets), [start] * len(nets)
        count, high = [0] * len(nets), [0] * len(nets)
        time = 0

        def change(net: int, new: str) -> None:
            old = value[net]
            if new == old:
                return
            if time >= start and old == "1":
                high[net] += time - since[net]
            if time >= start:
                since[net] = time
                count[net] += old + new in ("01", "10")
            value[net] = new

        for line in file:
            first = line[0]
            if first in "01xz":
                net = scalars.get(line[1:].rstrip())
                if net is not None:
                    change(net, first)
            elif first == "b":
                word, code = line[1:].split()
                found = vectors.get(code)
                if found:
                    # Left out leading digits are 0, or repeat an x or z.
                    fill = word[0] if word[0] in "xz" else "0"
                    size = len(bits[code])
                    word = word.rjust(size, fill)
                    for index, net in found:
                        change(net, word[size - 1 - index])
            elif first == "#":
                time = int(line[1:])
                if time >= end:
                    break
    for net, old in enumerate(value):
        if old == "1":
            high[net] += end - since[net]
    return {bit: (count[index], high[index]) for bit, index in place.items()}
