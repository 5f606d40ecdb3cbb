"""What a design costs: area of gates, or the resources of an FPGA, by Yosys.

``python -m hw.synth BUILD_DIR --target generic --target ice40`` prints a table of a folder that
`hw.build` made; `synthesize` does the same for a text. Targets:

generic
    Gates of ``constraints/generic.lib``, in gate equivalents (GE; a two-input NAND is 1). With
    liberty files of the user's it is gates of those, in um2, and the result's target is
    ``liberty``. Memories become flip-flops and gates. Values that registers have at power-on are
    dropped first, as a gate has none; the contents of ROMs stay.
ice40, ecp5, xilinx
    ``synth_ice40``, ``synth_ecp5``, and ``synth_xilinx`` for the 7 series. How their cells are
    counted is in `hw.cells`; an ECP5 CCU2C, for one, is 2 LUTs, and a wide multiplexer none.

What is not known is an error, never a zero.
"""

import argparse
import contextvars
import json
import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnlut_train import cli
from nnlut_train.errors import UsageError

from . import cache, gate_options, yosys
from . import cells as fpga_cells
from . import liberty as liberty_files
from .asic import gates
from .cost import Cost, table
from .devices import DEFAULTS, DEVICES
from .fpga import fpga_cost
from .manifest import load_build
from .place import SEEDS, Placing

if TYPE_CHECKING:
    from .activity import Stimuli

TARGETS = ("generic", *fpga_cells.FAMILIES)
BRAM_POLICIES = ("auto", "off")
GENERIC_LIBERTY = Path(__file__).parent.parent / "constraints" / "generic.lib"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


def synthesize(
    verilog: str, top: str, target: str, *, liberty: Sequence[Path] = (), bram: str = "auto",
    placing: Placing | None = None, clock_ns: float | None = None,
    stimuli: "Stimuli | None" = None, clock_gating: bool = False,
) -> Cost:  # fmt: skip
    """Synthesise a design for one target.

    Parameters
    ----------
    verilog : str
        The design, with all its modules.
    top : str
        Its top module.
    target : str
        One of `TARGETS`.
    liberty : sequence of Path
        Liberty files, gzipped or not, to map to in place of the project's own; only for the
        target generic.
    bram : str
        ``auto`` or ``off``: whether Yosys may use block RAMs of an FPGA.
    placing : Placing, optional
        Place and route with nextpnr, too, where the target has a device that it knows.
    clock_ns : float, optional
        For gates: the clock's period, to aim at and to tell timing for; see `hw.asic`.
    stimuli : Stimuli, optional
        With `clock_ns`: data that the gates' power is for, such as `hw.activity.realistic` gives.
    clock_gating : bool
        With `clock_ns`: stop the clock of registers that keep their value; see `hw.clockgate`.

    Returns
    -------
    Cost
        A `FpgaCost` or an `AsicCost`.

    Raises
    ------
    UsageError
        An argument is not one of its values, or a file is not a liberty cell library.
    StepError
        Yosys failed, or its netlist has a cell that is not known.
    """
    return synthesize_all(
        verilog, top, [target], liberty=liberty, bram=bram, placing=placing, clock_ns=clock_ns,
        stimuli=stimuli, clock_gating=clock_gating,
    )[0]  # fmt: skip


def synthesize_all(
    verilog: str, top: str, targets: Sequence[str], *, liberty: Sequence[Path] = (),
    bram: str = "auto", placing: Placing | None = None, clock_ns: float | None = None,
    stimuli: "Stimuli | None" = None, clock_gating: bool = False,
) -> list[Cost]:  # fmt: skip
    """Synthesise a design for several targets at once, one Yosys a core.

    Parameters are those of `synthesize`; the results are in the order of `targets`, each target
    once.

    Raises
    ------
    UsageError, StepError
        As in `synthesize`.
    """
    costs, _ = _synthesize(
        verilog, top, targets, liberty, bram, placing, clock_ns=clock_ns, stimuli=stimuli,
        clock_gating=clock_gating,
    )  # fmt: skip
    return costs


def libraries_of(liberty: Sequence[Path]) -> list[liberty_files.Library]:
    """Return the libraries of the target generic: the user's, or else the project's own."""
    return liberty_files.read_all(liberty or [GENERIC_LIBERTY])


def _synthesize(
    verilog: str, top: str, targets: Sequence[str], liberty: Sequence[Path], bram: str,
    placing: Placing | None, **gate_options: Any,
) -> tuple[list[Cost], str]:  # fmt: skip
    """Return the costs, and the netlist of gates where it was asked for."""
    targets = list(dict.fromkeys(targets))
    if not targets:
        raise UsageError(f"at least one target must be given, of {', '.join(TARGETS)}")
    for target in targets:
        if target not in TARGETS:
            raise UsageError(f"target must be one of {', '.join(TARGETS)}, not {target}")
    if bram not in BRAM_POLICIES:
        raise UsageError(f"bram must be one of {', '.join(BRAM_POLICIES)}, not {bram}")
    if not _IDENTIFIER.fullmatch(top):
        raise UsageError(f"the top module must be a Verilog identifier, not {top!r}")
    if liberty and "generic" not in targets:
        raise UsageError(
            f"liberty files are for the target generic, which must be among the targets, "
            f"not only {', '.join(targets)}"
        )
    if placing is not None:
        placing.check(targets)
    libraries = libraries_of(liberty) if "generic" in targets else []
    # Asked before the threads start: the very first call compiles Yosys and caches it, which
    # several at once would each do.
    yosys.version()

    def one(target: str) -> tuple[Cost, str]:
        if target == "generic":
            found = gates(verilog, top, libraries, own=not liberty, **gate_options)
            return found.cost, found.verilog
        return fpga_cost(verilog, top, target, bram, placing), ""

    with ThreadPoolExecutor(min(os.cpu_count() or 1, len(targets))) as pool:
        # Each thread uses the cache that this one uses.
        runs = [pool.submit(contextvars.copy_context().run, one, target) for target in targets]
        results = [run.result() for run in runs]
    return [cost for cost, _ in results], "".join(text for _, text in results)


def _placing(options: argparse.Namespace) -> Placing | None:
    if not options.pnr:
        return None
    seeds = SEEDS if options.seeds is None else options.seeds
    return Placing(tuple(options.device or ()), seeds, options.clock_ns, progress=True)


def _main(argv: Sequence[str] | None) -> None:
    parser = cli.ArgumentParser(
        prog="python -m hw.synth", description="Area or FPGA resources of a design, by Yosys."
    )
    parser.add_argument(
        "build", metavar="BUILD_DIR", type=Path, help="folder that hw.build has written"
    )
    parser.add_argument(
        "--target",
        nargs="+",
        action="extend",
        choices=TARGETS,
        metavar="T",
        help=f"what to synthesise for: {', '.join(TARGETS)}. Default: generic",
    )
    parser.add_argument(
        "--liberty",
        metavar="FILE",
        nargs="+",
        action="extend",
        type=Path,
        default=[],
        help="cell libraries for the target generic, gzipped or not; area is then in um2 instead "
        "of gate equivalents",
    )
    parser.add_argument(
        "--bram",
        choices=BRAM_POLICIES,
        default="auto",
        help="whether Yosys may use block RAMs of an FPGA (default: auto)",
    )
    parser.add_argument(
        "--clock-ns",
        type=float,
        metavar="NS",
        help="clock period that is asked for: the slack is told; gates are made for it",
    )
    parser.add_argument(
        "--pnr",
        action="store_true",
        help=f"place and route with nextpnr, too, for the targets {' and '.join(DEFAULTS)}: the "
        "clock that is reached, and what of the device is used",
    )
    parser.add_argument(
        "--device",
        nargs="+",
        action="extend",
        choices=tuple(DEVICES),
        metavar="D",
        help=f"with --pnr: {', '.join(DEVICES)}. Default: "
        + ", ".join(f"{device.name} for {target}" for target, device in DEFAULTS.items()),
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help=f"with --pnr: placements. Default: {SEEDS}"
    )
    gate_options.add(parser)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results here, too")
    options = parser.parse_args(argv)
    if options.json is not None and not options.json.absolute().parent.is_dir():
        raise UsageError(f"--json must name a file in a folder that exists, not {options.json}")
    if not options.pnr and (options.device or options.seeds is not None):
        raise UsageError("--device and --seeds go with --pnr")
    targets = options.target or ["generic"]
    gate_options.check(options, targets)
    build = load_build(options.build)
    name = build.name
    with cache.use(gate_options.folder(options)):
        costs, netlist = _synthesize(
            build.text(), name, targets, options.liberty,
            options.bram, _placing(options), **gate_options.arguments(options, build, targets),
        )  # fmt: skip
    print(f"{name}, {costs[0].yosys}, block RAM {options.bram}\n")
    print(table(costs))
    report: dict[str, Any] = {"design": name, "results": [cost.to_json() for cost in costs]}
    if options.netlist is not None:
        gate_options.write(options.netlist, netlist)
    if options.simulate:
        checked = gate_options.simulate(build, netlist, libraries_of(options.liberty))
        print(f"\n{checked['beats']:,} beats of the golden vectors through the gates, all equal")
        report["simulation"] = checked
    if options.json is not None:
        try:
            options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"--json must name a file that can be written, not {options.json}: {error.strerror}"
            ) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``python -m hw.synth``; see `nnlut_train.cli.run_main` for the exit status."""
    return cli.run_main("hw.synth", _main, argv)


if __name__ == "__main__":
    sys.exit(main())
