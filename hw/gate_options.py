"""What ``python -m hw.synth`` offers for gates: netlist, simulation, activity; and its cache."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnlut_train.errors import UsageError

from . import cache, gate_sim
from .liberty import Library
from .manifest import Build

__all__ = ["add", "arguments", "check", "folder", "simulate", "write"]


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--netlist", metavar="FILE", type=Path, help="write the netlist of gates here, as Verilog"
    )
    parser.add_argument(
        "--simulate",
        action="store_true",
        help="simulate the gates in Icarus Verilog against the vectors of the build, at full rate "
        "and with stalls: all results must be equal",
    )
    parser.add_argument(
        "--vectors",
        metavar="FILE",
        type=Path,
        help="with --clock-ns: a .npy file of integer codes, (codes,) or (rows, codes), that the "
        "gates' power is for. Default: data with the distributions of MiniLM",
    )
    parser.add_argument(
        "--clock-gating",
        action="store_true",
        help="with --clock-ns and --liberty: stop the clock of registers that keep their value, by "
        "the library's clock gates",
    )
    parser.add_argument(
        "--cache",
        metavar="DIR",
        type=Path,
        help="keep results here; by default in NNLUT_CACHE, else in nnlut in the user's folder "
        "for caches",
    )
    parser.add_argument("--no-cache", action="store_true", help="keep and use no results")


def check(options: argparse.Namespace, targets: Sequence[str]) -> None:
    """Check the options.

    Raises
    ------
    UsageError
        One needs another that is not there.
    """
    for name in ("netlist", "simulate", "vectors"):
        if getattr(options, name) and "generic" not in targets:
            raise UsageError(f"--{name} goes with the target generic, which is not among --target")
    if options.vectors is not None and options.clock_ns is None:
        raise UsageError("--vectors goes with --clock-ns: there is no power without a clock")
    if options.clock_gating and (options.clock_ns is None or not options.liberty):
        raise UsageError("--clock-gating goes with --clock-ns and --liberty")
    if options.netlist is not None and not options.netlist.absolute().parent.is_dir():
        raise UsageError(
            f"--netlist must name a file in a folder that exists, not {options.netlist}"
        )
    if options.cache is not None and options.no_cache:
        raise UsageError("--cache and --no-cache exclude each other")


def folder(options: argparse.Namespace) -> Path | None:
    """Return where results are kept, if they are."""
    if options.no_cache:
        return None
    return options.cache or cache.default_folder()


def arguments(
    options: argparse.Namespace, build: Build, targets: Sequence[str]
) -> dict[str, Any]:  # fmt: skip
    """Return the arguments of `hw.asic.gates` that the options stand for.

    Raises
    ------
    UsageError
        The build or the user's data cannot be read.
    """
    stimuli = None
    if options.clock_ns is not None and options.liberty:
        from .activity import realistic, user_stimuli

        spec = build.spec()
        stimuli = user_stimuli(spec, options.vectors) if options.vectors else realistic(spec)
    wanted = options.netlist is not None or options.simulate
    return {"clock_ns": options.clock_ns, "stimuli": stimuli, "netlist": wanted,
            "clock_gating": options.clock_gating}  # fmt: skip


def write(path: Path, netlist: str) -> None:
    """Write the netlist.

    Raises
    ------
    UsageError
        The file cannot be written.
    """
    try:
        path.write_text(netlist, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"--netlist must name a file that can be written, not {path}: {error.strerror}"
        ) from error


def simulate(build: Build, netlist: str, libraries: Sequence[Library]) -> dict[str, Any]:
    """Simulate gates against the vectors of their build.

    Returns
    -------
    dict
        ``beats`` compared, all equal, and the version of the simulator.

    Raises
    ------
    UsageError
        The build's vectors cannot be read.
    StepError
        A result differs, or Icarus Verilog is missing.
    """
    from sim.vectors import load_vectors

    beats = gate_sim.compare(
        netlist, build.name, libraries,
        load_vectors(build.folder / "vectors" / "vectors.npz"), build.spec().user_bits,
        step=build.name,
    )  # fmt: skip
    return {"beats": beats, "iverilog": gate_sim.version()}
