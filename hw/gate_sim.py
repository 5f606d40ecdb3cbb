"""Gates in simulation: equal to the golden vectors, and how often each net switches.

The netlist runs in Icarus Verilog without delays, so there are no glitches. Yosys writes models of
its cells from the liberty functions. Registers start with random values, as real ones do: X would
be carried through gates that give the same for 0 and for 1.
"""

import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nnlut_train import interrupt
from nnlut_train.errors import StepError

from . import clockgate, yosys
from .celldata import details, reduced
from .gate_bench import WINDOW, testbench
from .liberty import Library
from .netlist import Netlist
from .timing import Activity
from .vcd import toggles

if TYPE_CHECKING:
    from sim.vectors import Vectors

    from .activity import Stimuli

__all__ = ["Measured", "activity", "compare", "version"]

_SAID = re.compile(r"^RESULT (\w+) sent (\d+) got (\d+) clocks (\d+)", re.MULTILINE)
_WRONG = re.compile(r"^WRONG (.*)$", re.MULTILINE)
_REGISTER = re.compile(rb"^  reg (\S+);$", re.MULTILINE)
#: Chance, in percent, of a stall on each side in a clock.
STALL = 33


@dataclass(frozen=True)
class Measured:
    """How nets switch.

    Parameters
    ----------
    rates : dict
        Transitions a clock and share of the time at 1 of each net.
    activity : Activity
        Their average, and what it is of.
    iverilog : str
        Version of the simulator.
    """

    rates: dict[int | str, tuple[float, float]]
    activity: Activity
    iverilog: str


def version() -> str | None:
    """Return the version of Icarus Verilog; None where it is not installed."""
    program = shutil.which("iverilog")
    return None if program is None else _version(program)


@functools.cache
def _version(program: str) -> str:
    done = interrupt.run([program, "-V"], capture_output=True, text=True, errors="replace")
    number = re.match(r"Icarus Verilog version (\S+)", done.stdout)
    if number is None:
        raise StepError(f"{program} does not tell its version, as Icarus Verilog does")
    return f"Icarus Verilog {number[1]}"


def compare(
    verilog: str, top: str, libraries: Sequence[Library], vectors: "Vectors", user_bits: int,
    *, step: str = "netlist",
) -> int:  # fmt: skip
    """Compare what gates give with golden vectors, at full rate and with random stalls.

    Parameters
    ----------
    verilog, top, libraries
        The netlist (`hw.asic.Gates.verilog`), its module, and the libraries of its cells.
    vectors : Vectors
        Beats in and out.
    user_bits : int
        Bits of ``tuser``.
    step : str
        What it is for; error messages begin with it.

    Returns
    -------
    int
        Beats compared, all equal.

    Raises
    ------
    StepError
        A beat differs, is missing or too many, or Icarus Verilog is missing or failed.
    """
    script = "read_verilog netlist.v\nwrite_json netlist.json\n"
    written = yosys.run(script, {"netlist.v": verilog}, ["netlist.json"], step=step)
    netlist = Netlist.from_json(written["netlist.json"], top, step)
    with _Simulation(verilog, netlist, top, libraries, vectors, user_bits, step) as simulation:
        return sum(simulation.run(stall)[1] for stall in (0, STALL))


def activity(
    verilog: str, netlist: Netlist, top: str, libraries: Sequence[Library], stimuli: "Stimuli",
    *, step: str,
) -> Measured:  # fmt: skip
    """Count how often each net switches while `stimuli` pass at full rate; errors of `compare`.

    Counted is from the first result to the last argument, when all stages are busy; of data that
    is shorter than that, from the first argument to the last result.
    """
    found = version()
    if found is None:
        raise StepError(_MISSING)
    known = details(libraries, {kind for kind, _ in netlist.cells.values()})
    vectors = stimuli.vectors
    with _Simulation(
        verilog, netlist, top, libraries, vectors, stimuli.user_bits, step
    ) as simulation:
        said, beats = simulation.run(0, dump=True)
        window = dict(re.findall(r"^TIME (\w+) (\d+)$", said, re.MULTILINE))
        times = {name: int(time) for name, time in window.items()}
        start, end = times["result"], times["sent"]
        if end - start < WINDOW:
            start, end = times["accepted"], times["done"]
        counted = toggles(simulation.folder / "gates.vcd", netlist, start, end)
    nets = netlist.nets(known)
    clocks = (end - start) // 10
    rates: dict[int | str, tuple[float, float]] = {
        bit: (count / clocks, high / (end - start)) for bit, (count, high) in counted.items()
    }
    missing = nets - rates.keys()
    if missing:
        name = netlist.names.get(next(iter(missing)))
        raise StepError(f"{step}: the simulation does not show the net {name}")
    mean = sum(rates[bit][0] for bit in nets) / max(1, len(nets))
    return Measured(
        rates, Activity(stimuli.source, beats, clocks, len(nets), round(mean, 6)), found
    )


_MISSING = (
    "Icarus Verilog (iverilog) was not found: install it (Debian, Ubuntu: apt-get install iverilog)"
)


class _Simulation:
    """A compiled simulation, in a folder of its own; a context manager."""

    def __init__(
        self, verilog: str, netlist: Netlist, top: str, libraries: Sequence[Library],
        vectors: "Vectors", user_bits: int, step: str,
    ) -> None:  # fmt: skip
        if shutil.which("iverilog") is None:
            raise StepError(_MISSING)
        self._step = f"{step}: simulation of the gates"
        self._temporary = tempfile.TemporaryDirectory(prefix="nnlut-gates-")
        self.folder = Path(self._temporary.name)
        try:
            self._prepare(verilog, netlist, top, libraries, vectors, user_bits)
        except BaseException:
            self._temporary.cleanup()
            raise

    def __enter__(self) -> "_Simulation":
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    def _prepare(
        self, verilog: str, netlist: Netlist, top: str, libraries: Sequence[Library],
        vectors: "Vectors", user_bits: int,
    ) -> None:  # fmt: skip
        ports = netlist.ports
        for name in ("aclk", "aresetn", "s_axis_tdata", "m_axis_tdata"):
            if name not in ports:
                raise StepError(f"{self._step}: the module must have the port {name}")
        widths = (len(ports["s_axis_tdata"][1]), len(ports["m_axis_tdata"][1]))
        files = vectors.files(widths, user_bits)
        used = {kind for kind, _ in netlist.cells.values()}
        bench = testbench(
            {name: (direction, len(bits)) for name, (direction, bits) in ports.items()}, top,
            (len(vectors.input), len(vectors.output)),
        )  # fmt: skip
        sources = {"gates.v": verilog.encode(), "cells.v": _models(libraries, used, self._step),
                   "bench.v": bench.encode()}  # fmt: skip
        sources |= {name: files[name] for name in ("input.hex", "output.hex")}
        for name, content in sources.items():
            (self.folder / name).write_bytes(content)
        self._tool(["iverilog", "-g2005", "-o", "gates.vvp", "bench.v", "gates.v", "cells.v"])

    def _tool(self, command: Sequence[str]) -> str:
        done = interrupt.run(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        if done.returncode != 0:
            said = done.stdout.strip().splitlines() or ["nothing"]
            raise StepError(f"{self._step}: {command[0]} failed: {said[0]}")
        return done.stdout

    def run(self, stall: int, *, dump: bool = False) -> tuple[str, int]:
        """Run it; return what it said, and how many beats it compared."""
        said = self._tool(["vvp", "-n", "gates.vvp", f"+stall={stall}", *["+dump"] * dump])
        result, wrong = _SAID.search(said), _WRONG.search(said)
        if wrong is not None:
            raise StepError(f"{self._step}: {wrong[1]}")
        if result is None or result[1] != "equal":
            lines = said.strip().splitlines() or ["nothing"]
            raise StepError(f"{self._step}: it ended with {lines[-1]}")
        return said, int(result[3])


def _models(libraries: Sequence[Library], used: set[str], step: str) -> bytes:
    """Return Verilog models of cells, from their liberty functions; clock gates are known."""
    known = details(libraries, used)
    gates = [gate for name in sorted(known) if (gate := clockgate.gate_of(name, known[name]))]
    used = used - {gate.cell for gate in gates}
    files: Mapping[str, str] = {
        f"cells{number}.lib": text for number, library in enumerate(libraries)
        if (text := reduced(library, used))
    }  # fmt: skip
    script = "".join(f"read_liberty -overwrite {name}\n" for name in files)
    # Yosys models the inverse of a state as a state of its own.
    script += "opt_merge\nopt_clean -purge\nwrite_verilog -noattr models.v\n"
    models = yosys.run(
        script, {name: text.encode("latin-1") for name, text in files.items()}, ["models.v"],
        step=step,
    )["models.v"]  # fmt: skip
    models = _REGISTER.sub(rb"\g<0>\n  initial \1 = $random;", models)
    return models + "".join(clockgate.model(gate) for gate in gates).encode()
