"""Simulation of the exported Verilog in Verilator: a generated C++ harness, no bus models.

The harness is ``harness.cpp``; what is generated is the header that names the unit's ports.
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from hw.axi import ports
from hw.manifest import Build
from nnlut_train import interrupt
from nnlut_train.errors import StepError
from sim.golden import Spec, WritableSpec

from .scenes import Scene, encoded, loading_scenes, scene_of, vector_scenes
from .stress import random_run
from .vectors import load_vectors

__all__ = ["Simulation", "check_verilator", "compiled", "simulate", "verilate_build",
           "verilate_random"]  # fmt: skip

#: Warnings are about style: the exported Verilog is Yosys', not written by hand.
FLAGS = ("--cc", "--exe", "--build", "-O3", "-Wno-fatal", "-Wno-lint", "-Wno-style",
         "--x-assign", "fast", "--prefix", "Vtop", "--top-module")  # fmt: skip
#: Share of the clocks in which both sides stall, of random rows: as in `sim.stress`.
STALL = 0.25


@dataclass(frozen=True)
class Simulation:
    """A run that found nothing wrong.

    Parameters
    ----------
    beats, rows : int
        What came out; all was compared.
    clocks : int
        How long it took in the simulation.
    seconds : float
        How long the simulation took, without compiling and reading.
    """

    beats: int
    rows: int
    clocks: int
    seconds: float


def check_verilator() -> None:
    """Check that there is Verilator, and a C++ compiler, which it needs.

    Raises
    ------
    StepError
        If one is missing.
    """
    if shutil.which("verilator") is None:
        raise StepError(
            "Verilator (verilator) was not found: install it (Debian, Ubuntu: "
            "apt-get install verilator)"
        )
    if shutil.which("g++") is None and shutil.which("c++") is None:
        raise StepError(
            "a C++ compiler was not found: install it (Debian, Ubuntu: apt-get install g++)"
        )


def _header(spec: Spec, mutants: bool) -> str:
    """Return what ``harness.cpp`` includes as ``ports.h``."""
    widths = {port.name: port.width for port in ports(spec)}
    keep = "s_axis_tkeep" in widths
    numbers = {
        "IN_BYTES": widths["s_axis_tdata"] // 8, "OUT_BYTES": widths["m_axis_tdata"] // 8,
        "IN_KEEP": -(-widths["s_axis_tkeep"] // 8) if keep else 0,
        "OUT_KEEP": -(-widths["m_axis_tkeep"] // 8) if keep else 0,
        "USER_MASK": (1 << spec.user_bits) - 1,
    }  # fmt: skip
    present = {
        "KEEP": keep, "USER": bool(spec.user_bits), "OVERLONG": "overlong" in widths,
        "HOLES": "holes" in widths, "LITE": isinstance(spec, WritableSpec), "MUTANT": mutants,
    }  # fmt: skip
    if present["LITE"]:
        numbers["ADDRESS_MASK"] = (1 << widths["s_axil_awaddr"]) - 1
    lines = ['#include "Vtop.h"', "using TOP = Vtop;"]
    lines += [f"#define HAS_{name}" for name, there in present.items() if there]
    lines += [f"constexpr unsigned {name} = {number}u;" for name, number in numbers.items()]
    return "\n".join(lines) + "\n"


def compiled(
    spec: Spec,
    verilog: str,
    name: str,
    folder: Path,
    *,
    mutants: bool = False,
    optimise: str = "-O2",
) -> Path:
    """Compile a unit's Verilog with the harness.

    Parameters
    ----------
    spec : Spec
        The unit.
    verilog : str
        What `hw.verilog.to_verilog` wrote for it.
    name : str
        Name of its top module.
    folder : Path
        An empty folder to work in.
    mutants : bool
        The top module has the input ``mutant``, too: see `sim.mutants`.
    optimise : str
        Of the C++ compiler.

    Returns
    -------
    Path
        The program; `simulate` says how to call it.

    Raises
    ------
    StepError
        If Verilator is missing, or cannot compile it.
    """
    check_verilator()
    for file in ("harness.cpp", "harness_lite.h"):
        (folder / file).write_bytes(resources.files("sim").joinpath(file).read_bytes())
    (folder / "ports.h").write_text(_header(spec, mutants))
    # Verilator 5.006 drops the last line of some files without a final newline.
    (folder / "unit.v").write_text(verilog.rstrip("\n") + "\n")
    _run(
        ["verilator", *FLAGS, name, "-CFLAGS", f"-std=c++17 {optimise} -I{folder.resolve()}",
         "-MAKEFLAGS", f"OPT_FAST={optimise} OPT_SLOW=-O0 OPT_GLOBAL=-O0", "--Mdir", "obj",
         "unit.v", "harness.cpp"],
        folder,
    )  # fmt: skip
    return folder / "obj" / "Vtop"


def _run(command: Sequence[str | Path], folder: Path) -> str:
    """Run a program in `folder` and return what it prints."""
    done = interrupt.run(
        [str(word) for word in command], cwd=folder, capture_output=True, text=True,
        errors="replace",
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        cause = next(
            (line for line in lines if "rror" in line), lines[-1] if lines else "no message"
        )
        raise StepError(f"{Path(command[0]).name} failed: {cause.strip()}")
    return done.stdout


def simulate(
    spec: Spec, verilog: str, name: str, scenes: Sequence[Scene], *, dump: Path | None = None
) -> Simulation:
    """Run scenes through a unit's Verilog.

    Parameters
    ----------
    spec : Spec
        The unit.
    verilog : str
        What `hw.verilog.to_verilog` wrote for it.
    name : str
        Name of its top module.
    scenes : sequence of Scene
        What it is driven by.
    dump : Path, optional
        A file for the beats that come out, a line each in hexadecimal, in the fields of
        ``output.hex`` (`sim.vectors.hex_fields`).

    Raises
    ------
    StepError
        If a beat differs, is lost, doubled or changes while stalled; or Verilator is missing.
    """
    with tempfile.TemporaryDirectory(prefix="nnlut-verilator-") as temporary:
        folder = Path(temporary)
        program = compiled(spec, verilog, name, folder)
        (folder / "scenes.bin").write_bytes(encoded(spec, scenes))
        command: list[str | Path] = [program, "scenes.bin"]
        found = json.loads(_run(command + (["--dump", "beats"] if dump else []), folder))
        if found["fault"]:
            scene = scenes[found["scene"]].name
            raise StepError(
                f"the Verilog differs from its model: {scene}, clock {found['clock']}: "
                f"{found['fault']}"
            )
        if dump is not None:
            shutil.copyfile(folder / "beats", dump)
    return Simulation(found["beats"], found["rows"], found["clocks"], found["seconds"])


def verilate_build(build: Build, *, seed: int = 0, dump: Path | None = None) -> Simulation:
    """Simulate a build's Verilog against its vectors, at full rate and with random stalls.

    Of a writable unit, other tables are loaded in traffic, too.

    Parameters
    ----------
    build : Build
        What `hw.build` wrote.
    seed : int
        Seed of the stalls.
    dump : Path, optional
        See `simulate`.

    Raises
    ------
    StepError
        If a result differs, or Verilator is missing.
    """
    check_verilator()
    spec = build.spec()
    scenes = vector_scenes(spec, load_vectors(build.folder / "vectors" / "vectors.npz"), seed)
    if isinstance(spec, WritableSpec):
        scenes += loading_scenes(spec, seed)
    return simulate(spec, build.verilog.read_text(), build.name, scenes, dump=dump)


def verilate_random(
    spec: Spec, verilog: Path, name: str, beats: int = 100_000, *, seed: int = 0,
    stall: float = STALL, dump: Path | None = None,
) -> Simulation:  # fmt: skip
    """Run random rows through a unit's Verilog: those of `sim.stress.stress_verilog`.

    Parameters
    ----------
    spec, verilog, name, beats, seed
        As of `sim.stress.stress_verilog`.
    stall : float
        Share of the clocks in which each side stalls; 0 for full rate.
    dump : Path, optional
        See `simulate`.

    Raises
    ------
    StepError
        As `simulate`.
    """
    check_verilator()
    run = replace(random_run(spec, beats, seed), source_stall=stall, sink_stall=stall)
    return simulate(spec, verilog.read_text(), name, [scene_of(spec, run, seed)], dump=dump)
