"""Static timing analysis and power of gates, by OpenSTA.

OpenSTA is the program that the environment variable STA names, or else ``sta`` (Debian, Ubuntu:
package opensta). What is timed is the unit with its registers: inputs arrive with the clock's
edge, driven by a buffer of the library; outputs have four loads of it and no time outside. Wires
have neither delay nor capacitance, and the clock is ideal.

Of the distributions' OpenSTA, which is of 2019, five things are worked around: errors do not end
it, so its output is searched for them; activity that is set is overruled (`hw.sta_power`), that of
gated clocks, too (`hw.gated_power`); the power of an input pin in no stated case is added to that
of the stated ones (`hw.celldata.reduced`); and internal energy of both edges is charged to each
transition. The last is measured on a netlist with a known answer, and taken out.
"""

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnlut_train import interrupt, scratch
from nnlut_train.errors import StepError

from . import gated_power, sta_power
from .celldata import Detail, capacitance_unit_ff, details, reduced, time_unit_ps
from .liberty import Library
from .netlist import Netlist
from .sta_reference import REFERENCE, REFERENCE_MW
from .timing import CriticalPath, GateTiming, Power

__all__ = ["Surroundings", "analyse", "find", "version"]

_VALUE = r"([-+]?\d+\.\d+(?:e[-+]?\d+)?)"
_ARRIVAL = re.compile(rf"^\s*{_VALUE}\s+data arrival time", re.MULTILINE)
_SLACK = re.compile(rf"^\s*{_VALUE}\s+slack", re.MULTILINE)
# A long name stands alone on its line.
_POINT = r"^{}: (\S+)\s+\("
_TOTAL = re.compile(rf"^Total\s+{_VALUE}\s+{_VALUE}\s+{_VALUE}\s+{_VALUE}", re.MULTILINE)
_ERROR = re.compile(r"^.*\bError\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class Surroundings:
    """What drives the inputs and loads the outputs.

    Parameters
    ----------
    cell : str
        The buffer in front of each input.
    load_ff : float
        At each output, in femtofarads.
    """

    cell: str
    load_ff: float


def find() -> str | None:
    """Return the path of OpenSTA; None where there is none.

    Raises
    ------
    StepError
        STA is set, but to no program.
    """
    named = os.environ.get("STA")
    path = shutil.which(named or "sta")
    if named and path is None:
        raise StepError(f"STA must be set to an OpenSTA program, not {named}")
    return None if path is None else os.path.abspath(path)


def version() -> str | None:
    """Return OpenSTA's version, such as ``OpenSTA 2.0.17``; None where there is none."""
    program = find()
    return None if program is None else _version(program)


@functools.cache
def _version(program: str) -> str:
    try:
        done = interrupt.run(
            [program, "-version"], capture_output=True, text=True, errors="replace"
        )
    except OSError as error:
        raise StepError(f"{program} cannot be run: {error.strerror}") from error
    number = re.search(r"^\d+(?:\.\d+)+\S*", done.stdout, re.MULTILINE)
    if done.returncode != 0 or number is None:
        raise StepError(f"{program} does not tell its version, as OpenSTA does")
    return f"OpenSTA {number[0]}"


def _run(program: str, script: str, files: Mapping[str, str], step: str) -> str:
    with tempfile.TemporaryDirectory(prefix="nnlut-sta-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="latin-1")
        (Path(folder) / "run.tcl").write_text(script + "exit\n", encoding="latin-1")
        done = interrupt.run(
            [program, "-no_init", "-no_splash", "-exit", "run.tcl"], cwd=folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
        )  # fmt: skip
    wrong = _ERROR.search(done.stdout)
    if done.returncode != 0 or wrong is not None:
        said = wrong[0] if wrong else (done.stdout.strip().splitlines() or ["nothing"])[-1]
        handle, log = tempfile.mkstemp(prefix="nnlut-sta-", suffix=".log", dir=scratch.keep())
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(done.stdout)
        raise StepError(f"{step}: OpenSTA: {said.strip()} (log: {log})")
    return done.stdout


@functools.cache
def _internal_factor(program: str) -> float:
    """Return by what OpenSTA's internal power is too high: 1 of newer versions, 2 of older."""
    said = _run(program, REFERENCE["run.tcl"], REFERENCE, "reference netlist")
    total = _TOTAL.search(said)
    if total is None:
        raise StepError("reference netlist: OpenSTA gives no power")
    factor = 1e3 * float(total[1]) / REFERENCE_MW["internal"]
    switching = 1e3 * float(total[2]) / REFERENCE_MW["switching"]
    if min(abs(factor - 1), abs(factor - 2)) > 0.01 or abs(switching - 1) > 0.01:
        raise StepError(
            f"reference netlist: OpenSTA's power is {factor:g} (internal) and {switching:g} "
            "(switching) times what it must be, so its numbers are not understood"
        )
    return round(factor)


def analyse(
    verilog: str, netlist: Netlist, top: str, libraries: Sequence[Library], clock_ns: float,
    around: Surroundings, rates: Mapping[int | str, tuple[float, float]] | None = None,
    *, step: str,
) -> GateTiming | None:  # fmt: skip
    """Analyse a netlist.

    Parameters
    ----------
    verilog, netlist, top
        The netlist, as text and as data, and its module.
    libraries : sequence of Library
        Those of its cells.
    clock_ns : float
        Period of the clock.
    around : Surroundings
        What it is used in.
    rates : mapping, optional
        Transitions a clock and share of the time at 1 of each net; with it power is given.
    step : str
        What it is for; error messages begin with it.

    Returns
    -------
    GateTiming or None
        Without the parts that simulation knows; None where OpenSTA is not installed.

    Raises
    ------
    StepError
        OpenSTA failed, or its answer is not understood.
    """
    program = find()
    if program is None:
        return None
    used = {kind for kind, _ in netlist.cells.values()} | {around.cell}
    known = details(libraries, used)
    clocks = netlist.clocks(known)
    if len(clocks) > 1:
        raise StepError(f"{step}: a unit must have one clock, not {', '.join(clocks)}")
    texts = {library: text for library in libraries
             if (text := reduced(library, used, power=True))}  # fmt: skip
    # The program's units are those of the first library that it reads.
    first = next(iter(texts))
    unit_ps = time_unit_ps(first)
    period = f"{clock_ns * 1e3 / unit_ps:.9g}"
    files = {f"cells{number}.lib": text for number, text in enumerate(texts.values())}
    read = "".join(f"read_liberty {name}\n" for name in files)
    loads = _loads(netlist, around.load_ff / capacitance_unit_ff(first))
    script = read + f"read_verilog netlist.v\nlink_design {top}\n"
    script += f"create_clock -name clock -period {period}"
    script += f" [get_ports {clocks[0]}]\n" if clocks else "\n"
    for name, (direction, _) in netlist.ports.items():
        port = f"[get_ports {{{name}}}]"
        if direction == "output":
            script += f"set_output_delay 0 -clock clock {port}\n"
        elif name not in clocks:
            script += f"set_input_delay 0 -clock clock {port}\n"
            script += f"set_driving_cell -lib_cell {around.cell} {port}\n"
    script += loads + "report_checks -path_delay max -format full -digits 6\n"
    said = _run(program, script, {**files, "netlist.v": verilog}, step)
    path, slack = _path(said, netlist, known, unit_ps, step)
    shortest = clock_ns - slack
    timing = GateTiming(
        _version(program), round(slack, 6), round(1e3 / shortest, 3) if shortest > 0 else 0.0, path
    )
    if rates is None:
        return timing
    verilog, found = gated_power.copies(verilog, netlist, known, rates, step)
    for number, library in enumerate(texts):
        files[f"cells{number}.lib"] = gated_power.added(
            files[f"cells{number}.lib"], found, library, known
        )
    owner = next(library for library in libraries if around.cell in library.cells)
    source = sta_power.source_cell(owner, around.cell, known[around.cell])
    at = f"cells{list(texts).index(owner)}.lib"
    files[at] = files[at].rstrip().removesuffix("}") + source + "}\n"
    outer, clock = sta_power.wrapper(netlist, top, clocks)
    activity = sta_power.activities(netlist, clocks, rates, step)
    files |= {"netlist.v": verilog + outer, "activity.tcl": activity}
    script = (
        read
        + f"""\
read_verilog netlist.v
link_design {sta_power.TOP}
create_clock -name clock -period {period} [get_ports {clock}]
{loads}source activity.tcl
report_power -digits 9
"""
    )
    total = _TOTAL.search(_run(program, script, files, step))
    if total is None:
        raise StepError(f"{step}: OpenSTA gives no power")
    internal, switching, leakage = (1e3 * float(total[i]) for i in (1, 2, 3))
    internal /= _internal_factor(program)
    power = Power(*(float(f"{value:.6g}") for value in (
        internal, switching, leakage, internal + switching + leakage)))  # fmt: skip
    return replace(timing, power=power)


def _loads(netlist: Netlist, load: float) -> str:
    return "".join(
        f"set_load {load:.9g} [get_ports {{{name}}}]\n"
        for name, (direction, _) in netlist.ports.items() if direction == "output"
    )  # fmt: skip


def _path(
    said: str, netlist: Netlist, known: Mapping[str, Detail], unit_ps: float, step: str
) -> tuple[CriticalPath, float]:
    arrival, slack = _ARRIVAL.search(said), _SLACK.search(said)
    ends = [re.search(_POINT.format(which), said, re.M) for which in ("Startpoint", "Endpoint")]
    if arrival is None or slack is None or None in ends:
        raise StepError(f"{step}: OpenSTA finds no path")
    start, end = (_point(found[1], netlist, known) for found in ends if found)
    nano = unit_ps / 1e3
    return CriticalPath(start, end, round(float(arrival[1]) * nano, 6)), float(slack[1]) * nano


def _point(name: str, netlist: Netlist, known: Mapping[str, Detail]) -> str:
    """Return the name of what a register gives, or else of the port.

    What an inverting flip-flop gives has the design's name behind an inverter only, if at all; the
    flip-flop is named after it.
    """
    if name not in netlist.cells:
        return name
    kind, pins = netlist.cells[name]
    outputs = [pins[pin] for pin in known[kind].outputs if pin in pins]
    for output in outputs:
        behind = [
            others[known[cell].outputs[0]]
            for cell, others in netlist.cells.values()
            if output in others.values()
            and len(known[cell].inputs) == len(known[cell].outputs) == 1
            and others.get(known[cell].inputs[0]) == output
            and known[cell].outputs[0] in others
        ]
        for net in (output, *behind):
            if not netlist.unnamed(net):
                return netlist.names[net]
    return name.removesuffix("_reg")
