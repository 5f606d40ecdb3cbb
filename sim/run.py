"""Simulate a unit: ``python -m sim.run --op softmax --bits 8``.

The Amaranth unit is held against its golden model; or, with ``--build DIR``, the Verilog that
`hw.build` exported is held against its test vectors in Icarus Verilog or in Verilator.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hw import options
from hw.design import design
from hw.manifest import Build, load_build
from hw.report import description
from hw.request import Request
from hw.units import unit_of
from nnlut_train import cli
from nnlut_train.errors import InfeasibleError, UsageError

from .bench import run_bench
from .stress import stress_verilog
from .verilator import verilate_build, verilate_random
from .verilog import simulate_verilog

__all__ = ["main", "parser"]


def parser() -> argparse.ArgumentParser:
    """Return the parser of ``python -m sim.run``."""
    command = cli.ArgumentParser(
        prog="python -m sim.run",
        description="Simulate a unit against its golden model under full rate, random stalls, "
        "back-to-back rows, rows of length 1 and of the maximum, and reset in mid-row; measure "
        "latency and throughput, and check them against what the specification states.",
    )
    options.add_request(command)
    group = command.add_argument_group("how to simulate it")
    group.add_argument(
        "--vcd", type=Path, metavar="FILE",
        help="write the waveform to FILE; with --arch auto, which simulates every architecture, "
             "to one file each: FILE.vcd becomes FILE.pwl.vcd and FILE.direct.vcd",
    )  # fmt: skip
    group.add_argument(
        "--build", type=Path, metavar="DIR",
        help="simulate the Verilog of this build against its test vectors",
    )  # fmt: skip
    group.add_argument(
        "--simulator", choices=("icarus", "verilator"),
        help="with --build: in Icarus Verilog, or in Verilator by a generated C++ program "
             "(default: icarus)",
    )  # fmt: skip
    group.add_argument(
        "--beats", type=int, metavar="N",
        help="with --build: N beats of random rows instead, with random stalls on both sides",
    )  # fmt: skip
    return command


def _main(argv: Sequence[str] | None) -> None:
    arguments = parser().parse_args(argv)
    if (arguments.build is None) == (arguments.op is None):
        raise UsageError("either --op or --build must be given, and not both")
    if arguments.build is not None:
        _simulate_build(arguments)
        return
    for name in ("beats", "simulator"):
        if getattr(arguments, name) is not None:
            raise UsageError(f"--{name} goes with --build, not with --op")
    request = options.request(arguments)
    archs = request.wanted
    vcds = {arch: _vcd(arguments.vcd, arch if len(archs) > 1 else "") for arch in archs}
    for arch in archs:
        try:
            _simulate(request, arch, vcds[arch])
        except InfeasibleError as error:
            if len(archs) == 1:
                raise
            print(f"{request.name}, --arch {arch}: {error}")


def _simulate_build(arguments: argparse.Namespace) -> None:
    """Simulate the Verilog of a build."""
    if arguments.vcd is not None:
        raise UsageError("--vcd goes with --op, not with --build")
    # What was built is in the manifest; only the seed is of the simulation, too.
    for option in options.given(arguments):
        if option != "--seed":
            raise UsageError(f"{option} goes with --op, not with --build")
    if not 0 <= arguments.seed < 2**32:
        raise UsageError(f"--seed must be 0 to {2**32 - 1}, not {arguments.seed}")
    build = load_build(arguments.build)
    if arguments.beats is not None and arguments.beats < 1:
        raise UsageError(f"--beats must be at least 1, not {arguments.beats}")
    if arguments.simulator == "verilator":
        _verilate(build, arguments.beats, arguments.seed)
        return
    if arguments.beats is None:
        beats = simulate_verilog(build, seed=arguments.seed)
        print(f"{build.verilog}: {beats:,} results equal to the test vectors in Icarus Verilog,")
        print("at full rate and with random stalls on both sides")
        return
    done = stress_verilog(
        build.spec(), build.verilog, build.name, arguments.beats, seed=arguments.seed
    )
    print(f"{build.verilog}: {done.beats:,} beats in {done.rows:,} rows equal to the golden")
    print(f"model's, in {done.clocks:,} clocks of Icarus Verilog, with random stalls")


def _verilate(build: Build, beats: int | None, seed: int) -> None:
    """Simulate the Verilog of a build in Verilator."""
    if beats is None:
        done = verilate_build(build, seed=seed)
        print(f"{build.verilog}: {done.beats:,} beats equal to the test vectors in Verilator, at")
        print("full rate and with random stalls on both sides,", end=" ")
    else:
        done = verilate_random(build.spec(), build.verilog, build.name, beats, seed=seed)
        print(f"{build.verilog}: {done.beats:,} beats in {done.rows:,} rows equal to the golden")
        print(f"model's, in {done.clocks:,} clocks of Verilator, with random stalls,", end=" ")
    print(f"{done.beats / done.seconds:,.0f} beats a second")


def _vcd(path: Path | None, arch: str) -> Path | None:
    """Return the waveform's file for `arch`; it must not exist yet."""
    if path is None:
        return None
    if arch and path.name:
        path = path.with_suffix(f".{arch}{path.suffix}")
    if path.exists() or not path.absolute().parent.is_dir():
        raise UsageError(f"--vcd must name a new file in a folder that exists, not {path}")
    return path


def _simulate(request: Request, arch: str, vcd: Path | None) -> None:
    spec = design(request, arch, progress=True)
    report = run_bench(spec, unit_of(spec), seed=request.seed, vcd=vcd)
    print(f"{request.name}: {description(request)}, --arch {arch}\n")
    width = max(len(run.name) for run in report.runs)
    print(f"  {'run':<{width}} {'rows':>6} {'results':>8} {'clocks':>7}")
    for run in report.runs:
        print(f"  {run.name:<{width}} {run.rows:>6,} {run.results:>8,} {run.clocks:>7,}")
    print(f"\n  all {report.results:,} results equal to the golden model's")
    for length, clocks in report.latency.items():
        print(f"  latency of a row of {length}: {clocks} clocks, as stated")
    print(f"  throughput: {report.throughput:g} results a clock, as stated")
    if vcd is not None:
        print(f"  waveform: {vcd}")
    print()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return cli.run_main("sim.run", _main, argv)


if __name__ == "__main__":
    sys.exit(main())
