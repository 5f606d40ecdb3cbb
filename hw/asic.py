"""What a design takes as gates: mapped to liberty cells by Yosys and ABC, timed by OpenSTA.

Without a clock the netlist is the smallest one that ABC finds, and constants are free. With one,
ABC aims at its period, inserts buffers and chooses sizes, the cheapest flip-flop of the library is
taken, and constants come from its tie cells. Values that registers have at power-on are dropped
in both, as a gate has none; the contents of ROMs stay.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnlut_train.errors import StepError, UsageError

from . import cellchoice, celldata, clockgate, sta, yosys
from .cache import cached, digest
from .cost import AsicCost
from .liberty import Library
from .netlist import Netlist, plain
from .stat import STAT, cell_counts, read_stat

if TYPE_CHECKING:
    from .activity import Stimuli

__all__ = ["Gates", "gates"]

_NETLIST = """\
rename -unescape c:*
setundef -zero
splitnets
opt_clean -purge
write_verilog -noattr -noexpr -simple-lhs netlist.v
design -reset
read_verilog netlist.v
write_json netlist.json
"""
_FILES = ("netlist.v", "netlist.json")


@dataclass(frozen=True)
class Gates:
    """Gates: what they cost, and their netlist where it was asked for.

    Parameters
    ----------
    cost : AsicCost
        The cost.
    verilog : str
        The netlist, of the library's cells only, or nothing.
    """

    cost: AsicCost
    verilog: str


def gates(
    verilog: str, top: str, libraries: Sequence[Library], *, own: bool,
    clock_ns: float | None = None, stimuli: "Stimuli | None" = None, netlist: bool = False,
    clock_gating: bool = False,
) -> Gates:  # fmt: skip
    """Map a design to gates; with a clock, time them, and with stimuli tell their power.

    Parameters
    ----------
    verilog, top
        The design, and its top module.
    libraries : sequence of Library
        What to map to.
    own : bool
        Whether they are the project's own, whose areas are gate equivalents.
    clock_ns : float, optional
        Period to aim at. Timing is given where the libraries have delays and OpenSTA is there.
    stimuli : Stimuli, optional
        With a clock: data to simulate the gates with, for their power.
    netlist : bool
        Whether the netlist is wanted.
    clock_gating : bool
        With a clock: stop that of registers which keep their value (`hw.clockgate`).

    Raises
    ------
    UsageError
        The clock is not above 0, or the libraries lack what it needs.
    StepError
        A tool failed, or the netlist has a cell that is not known.
    """
    if clock_ns is not None and not 0 < clock_ns < math.inf:
        raise UsageError(f"the clock's period must be above 0 ns, not {clock_ns:g}")
    why = None if clock_ns is None else _untimed(libraries)
    # Without delays ABC can aim at nothing, and the netlist is the one without a clock.
    timed = clock_ns is not None and celldata.has_timing(libraries)
    around = sta.Surroundings(*cellchoice.driver(libraries)) if timed else None
    wanted = netlist or (around is not None and why is None)
    names = [f"cells{index}.lib" for index in range(len(libraries))]
    gate = clockgate.choose(libraries) if clock_gating and timed else None
    script = _script(top, names, libraries, clock_ns if timed else None, around, gate)
    simulator = None
    if wanted and why is None and clock_ns is not None and stimuli is not None:
        from . import gate_sim

        simulator = gate_sim.version()
        if simulator is None:
            why = "no power: Icarus Verilog (iverilog), which measures activity, is not installed"
    key = {
        "result": "gates 1", "design": digest(verilog), "top": top, "own": own,
        "script": script + _NETLIST * wanted, "constraint": _constraint(around),
        "libraries": [[library.file, library.name, library.sha256] for library in libraries],
        "clock_ns": clock_ns, "why": why, "yosys": yosys.version(),
        "sta": None if clock_ns is None else sta.version(), "iverilog": simulator,
        "stimuli": None if simulator is None or stimuli is None else stimuli.digest(),
    }  # fmt: skip

    def make() -> dict[str, Any]:
        found = _make(verilog, top, libraries, names, script, own, clock_ns, around, why, wanted,
                      stimuli if simulator else None)  # fmt: skip
        return {"cost": found.cost.to_json(), "netlist": found.verilog}

    found = cached(key, make)
    return Gates(AsicCost.from_json(found["cost"]), found["netlist"])


def _untimed(libraries: Sequence[Library]) -> str | None:
    """Return why there is no timing, in one line, or None."""
    if not celldata.has_timing(libraries):
        files = ", ".join(library.file for library in libraries)
        return f"no timing and no power: {files} has no delays"
    if sta.find() is None:
        return "no timing and no power: OpenSTA (sta) is not installed"
    return None


def _constraint(around: sta.Surroundings | None) -> str:
    if around is None:
        return ""
    return f"set_driving_cell {around.cell}\nset_load {around.load_ff:g}\n"


def _script(
    top: str, names: Sequence[str], libraries: Sequence[Library], clock_ns: float | None,
    around: sta.Surroundings | None, gate: clockgate.ClockGate | None,
) -> str:  # fmt: skip
    every = " ".join(f"-liberty {name}" for name in names)
    # dfflibmap is to see only the files that have flip-flops.
    storing = " ".join(
        f"-liberty {name}"
        for name, library in zip(names, libraries, strict=True)
        if library.has_flip_flop
    )
    refused = target = ties = names_kept = ""
    if clock_ns is not None and around is not None:
        refused = "".join(
            f"-dont_use {name} " for name in cellchoice.inferior_flip_flops(libraries)
        )
        target = f"-D {1e3 * clock_ns:.9g} -constr abc.constr "
        # What inverting flip-flops give has no name of the design's.
        names_kept = "rename -wire -suffix _reg t:$_*DFF*\n"
        low, high = cellchoice.ties(libraries)
        if low and high:
            ties = (
                f"setundef -zero\nhilomap -singleton -locell {' '.join(low)} "
                f"-hicell {' '.join(high)}\nopt_clean -purge\n"
            )
    gated = straight = ""
    if gate is not None:
        gated = clockgate.script(gate)
        if cellchoice.inverts(libraries):
            names_kept += clockgate.INVERT
            straight = clockgate.STRAIGHTEN
    # The second `setattr` is for the registers that memories have become.
    return f"""\
read_verilog design.v
setattr -mod -unset keep_hierarchy
hierarchy -check -top {top}
proc
setattr -unset init w:*
synth -flatten -noabc -top {top}
setattr -unset init w:*
{gated}{names_kept}dfflibmap {refused}{storing}
{straight}abc {target}{every}
opt_clean -purge
{ties}tee -q -o {STAT} stat -top {top} {every} -json
"""


def _make(
    verilog: str, top: str, libraries: Sequence[Library], names: Sequence[str], script: str,
    own: bool, clock_ns: float | None, around: sta.Surroundings | None, why: str | None,
    wanted: bool, stimuli: "Stimuli | None",
) -> Gates:  # fmt: skip
    target = "generic" if own else "liberty"
    step = f"synthesis of {top} for {target}"
    files: dict[str, bytes | str | Path] = {"design.v": verilog}
    files.update((name, library.content) for name, library in zip(names, libraries, strict=True))
    if around is not None:
        files["abc.constr"] = _constraint(around)
        files |= clockgate.FILES
    written = yosys.run(
        script + _NETLIST * wanted, files, [STAT, *(_FILES if wanted else ())], step=step
    )
    design = read_stat(written[STAT], step)
    cost = replace(_areas(design, top, target, libraries, step), clock_ns=clock_ns, untimed=why)
    if not wanted:
        return Gates(cost, "")
    text = plain(written["netlist.v"].decode())
    netlist = Netlist.from_json(written["netlist.json"], top, step)
    if clock_ns is None or around is None:
        return Gates(cost, text)
    measured = None
    if stimuli is not None:
        from . import gate_sim

        measured = gate_sim.activity(text, netlist, top, libraries, stimuli, step=step)
    timing = sta.analyse(
        text, netlist, top, libraries, clock_ns, around, measured and measured.rates, step=step
    )
    if timing is not None and measured is not None:
        timing = replace(timing, activity=measured.activity, iverilog=measured.iverilog)
    return Gates(replace(cost, timing=timing), text)


def _areas(
    design: Mapping[str, Any], top: str, target: str, libraries: Sequence[Library], step: str
) -> AsicCost:
    cells = cell_counts(design, step)
    known = {name: cell for library in libraries for name, cell in library.cells.items()}
    area = {True: 0.0, False: 0.0}
    flip_flops = 0
    for name, count in cells.items():
        if name not in known:
            raise StepError(
                f"{step}: cell type {name} is in none of "
                f"{', '.join(library.file for library in libraries)}"
            )
        cell = known[name]
        if cell.area is None:
            raise StepError(f"{step}: cell {name} has no area")
        area[cell.flip_flop or cell.latch] += cell.area * count
        flip_flops += count * cell.flip_flop
    total = area[True] + area[False]
    # Yosys adds up the same areas with a parser of its own.
    said = design.get("area", 0.0)
    if not isinstance(said, float | int) or not math.isclose(total, said, abs_tol=1e-4):
        raise StepError(f"{step}: the cells' areas add up to {total:g}, not to Yosys' {said}")
    return AsicCost(
        design=top,
        target=target,
        yosys=yosys.version(),
        bram_policy="flip-flops",
        cells=cells,
        flip_flops=flip_flops,
        area=round(total, 6),
        sequential_area=round(area[True], 6),
        combinational_area=round(area[False], 6),
        unit="GE" if target == "generic" else "um2",
        libraries=tuple(
            {"file": library.file, "name": library.name, "sha256": library.sha256}
            for library in libraries
        ),
    )
