"""Which cells of a library serve for what: constants, the surroundings, flip-flops."""

import statistics
from collections.abc import Collection, Mapping, Sequence

from nnlut_train.errors import UsageError

from .celldata import Detail, capacitance_unit_ff, details
from .liberty import Library

__all__ = ["driver", "inferior_flip_flops", "inverts", "ties"]


def _usable(libraries: Sequence[Library]) -> dict[str, float]:
    """Return the areas of the cells that may be used."""
    return {
        name: cell.area
        for library in libraries
        for name, cell in library.cells.items()
        if cell.usable and cell.area is not None
    }


def _gates(libraries: Sequence[Library]) -> set[str]:
    return {name for library in libraries for name, cell in library.cells.items()
            if not (cell.flip_flop or cell.latch)}  # fmt: skip


def ties(libraries: Sequence[Library]) -> list[tuple[str, str] | None]:
    """Return cell and pin that give a constant 0, and those that give 1; None where there is none.

    A tie cell has no input, and one output whose function is the constant; the smallest is taken.
    """
    areas = _usable(libraries)
    found: dict[str, tuple[float, str, str]] = {}
    every = details(libraries, areas.keys() & _gates(libraries))
    for name, detail in every.items():
        if not detail.inputs and len(detail.outputs) == 1:
            (pin,) = detail.outputs
            function = detail.pins[pin].function.strip("() ")
            if function in ("0", "1"):
                found[function] = min(
                    found.get(function, (float("inf"), "", "")), (areas[name], name, pin)
                )
    return [found[value][1:] if value in found else None for value in "01"]


def _single(detail: Detail, functions: Collection[str]) -> bool:
    """Whether a cell has one input and one output, of one of `functions` of it."""
    if len(detail.inputs) != 1 or len(detail.outputs) != 1:
        return False
    (pin,), (output,) = detail.inputs, detail.outputs
    function = detail.pins[output].function.replace(" ", "").replace("(", "").replace(")", "")
    return function in {each.format(pin) for each in functions}


def driver(libraries: Sequence[Library]) -> tuple[str, float]:
    """Return what stands for the surroundings: a buffer's name, and four times its input's load.

    The buffer is the smallest of the median strength, which is what it may drive. The load is in
    femtofarads, as ABC takes it.

    Raises
    ------
    UsageError
        If the libraries have no buffer, or do not tell their unit of capacitance.
    """
    areas = _usable(libraries)
    every = details(libraries, areas.keys() & _gates(libraries))
    buffers = {name: detail.pins[detail.outputs[0]].max_capacitance
               for name, detail in every.items() if _single(detail, ["{0}"])}  # fmt: skip
    if not buffers:
        raise UsageError(f"a clock needs a library with a buffer, but {_files(libraries)} has none")
    strength = statistics.median_low(buffers.values())
    name = min((areas[name], name) for name, found in buffers.items() if found == strength)[1]
    (pin,) = every[name].inputs
    owner = next(library for library in libraries if name in library.cells)
    femto = capacitance_unit_ff(owner)
    return name, round(4 * every[name].pins[pin].capacitance * femto, 6)


def inferior_flip_flops(libraries: Sequence[Library]) -> list[str]:
    """Return the plain D flip-flops that `dfflibmap` must not take, so that it takes the cheapest.

    Plain is: rising edge, no set, clear, enable or scan. The cost of one that inverts includes an
    inverter; Yosys itself would rather take a larger one that does not invert.
    """
    costs = _plain_flip_flops(libraries)
    best = _best(costs)
    return sorted(costs.keys() - {best})


def inverts(libraries: Sequence[Library]) -> bool:
    """Whether the cheapest plain D flip-flop gives the inverse of its input."""
    best = _best(_plain_flip_flops(libraries))
    return best is not None and _inverts(details(libraries, {best})[best]) is True


def _best(costs: Mapping[str, float]) -> str | None:
    return min(costs, key=lambda name: (costs[name], name), default=None)


def _plain_flip_flops(libraries: Sequence[Library]) -> dict[str, float]:
    """Return the costs of the plain D flip-flops."""
    areas = _usable(libraries)
    flops = {name for library in libraries for name, cell in library.cells.items()
             if cell.flip_flop}  # fmt: skip
    every = details(libraries, areas.keys())
    inverters = [areas[name] for name, detail in every.items()
                 if name not in flops and _single(detail, ["!{0}", "{0}'"])]  # fmt: skip
    inverter = min(inverters, default=None)
    costs: dict[str, float] = {}
    for name in flops & every.keys():
        inverted = _inverts(every[name])
        if inverted is None or (inverted and inverter is None):
            continue
        costs[name] = areas[name] + (inverter if inverted else 0.0)
    return costs


def _inverts(cell: Detail) -> bool | None:
    """Whether a plain D flip-flop gives the inverse of its input; None if it is not a plain one."""
    flop = cell.flip_flop
    if flop is None or flop.statements.keys() & {"clear", "preset", "clocked_on_also"}:
        return None
    clock, following = flop.statements.get("clocked_on"), flop.statements.get("next_state", "")
    data = following.replace(" ", "").strip("()")
    parity = data.startswith("!") != data.endswith("'")
    if clock not in cell.inputs or data.strip("!'") not in cell.inputs or len(cell.inputs) != 2:
        return None
    outputs = [cell.pins[name].function.strip("() ") for name in cell.outputs]
    if len(outputs) != 1 or outputs[0] not in flop.names:
        return None
    return parity != (outputs[0] != flop.names[0])


def _files(libraries: Sequence[Library]) -> str:
    return ", ".join(library.file for library in libraries)
