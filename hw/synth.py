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

import json
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nnlut_train import cli
from nnlut_train.errors import StepError, UsageError

from . import cells as fpga_cells
from . import liberty as liberty_files
from . import yosys
from .cost import AsicCost, Cost, FpgaCost, table
from .manifest import load_build

TARGETS = ("generic", *fpga_cells.FAMILIES)
BRAM_POLICIES = ("auto", "off")
GENERIC_LIBERTY = Path(__file__).parent.parent / "constraints" / "generic.lib"
# `synth_ice40` and `synth_ecp5` flatten, and place no pads, unless told otherwise.
_FPGA_COMMANDS = {
    "ice40": "synth_ice40",
    "ecp5": "synth_ecp5",
    "xilinx": "synth_xilinx -family xc7 -flatten -noiopad",
}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


def synthesize(
    verilog: str, top: str, target: str, *, liberty: Sequence[Path] = (), bram: str = "auto"
) -> Cost:
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
    return synthesize_all(verilog, top, [target], liberty=liberty, bram=bram)[0]


def synthesize_all(
    verilog: str,
    top: str,
    targets: Sequence[str],
    *,
    liberty: Sequence[Path] = (),
    bram: str = "auto",
) -> list[Cost]:
    """Synthesise a design for several targets at once, one Yosys a core.

    Parameters are those of `synthesize`; the results are in the order of `targets`, each target
    once.

    Raises
    ------
    UsageError, StepError
        As in `synthesize`.
    """
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
    libraries: list[liberty_files.Library] = []
    if "generic" in targets:
        libraries = liberty_files.read_all(liberty or [GENERIC_LIBERTY])
    # Asked before the threads start: the very first call compiles Yosys and caches it, which
    # several at once would each do.
    yosys.version()

    def one(target: str) -> Cost:
        if target == "generic":
            return _gates(verilog, top, libraries, own=not liberty)
        return _fpga(verilog, top, target, bram)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, len(targets))) as pool:
        return list(pool.map(one, targets))


def _fpga(verilog: str, top: str, target: str, bram: str) -> FpgaCost:
    no_bram = " -nobram" if bram == "off" else ""
    script = f"""\
read_verilog design.v
{_FPGA_COMMANDS[target]}{no_bram} -top {top}
tee -q -o stat.json stat -top {top} -json
"""
    design = _stat(script, {"design.v": verilog}, top, target)
    cells = _cells(design, top, target)
    counts = fpga_cells.resources(target, cells)
    return FpgaCost(
        design=top,
        target=target,
        yosys=yosys.version(),
        bram_policy=bram,
        cells=cells,
        bram_kinds=fpga_cells.block_rams(target, cells),
        **counts,
    )


def _gates(
    verilog: str, top: str, libraries: Sequence[liberty_files.Library], *, own: bool
) -> AsicCost:
    target = "generic" if own else "liberty"
    names = [f"cells{index}.lib" for index in range(len(libraries))]
    every = " ".join(f"-liberty {name}" for name in names)
    # dfflibmap is to see only the files that have flip-flops.
    storing = " ".join(
        f"-liberty {name}"
        for name, library in zip(names, libraries, strict=True)
        if library.has_flip_flop
    )
    # The second `setattr` is for the registers that memories have become.
    script = f"""\
read_verilog design.v
hierarchy -check -top {top}
proc
setattr -unset init w:*
synth -flatten -noabc -top {top}
setattr -unset init w:*
dfflibmap {storing}
abc {every}
opt_clean -purge
tee -q -o stat.json stat -top {top} {every} -json
"""
    files: dict[str, bytes | str | Path] = {"design.v": verilog}
    files.update((name, library.content) for name, library in zip(names, libraries, strict=True))
    design = _stat(script, files, top, target)
    cells = _cells(design, top, target)
    known = {name: cell for library in libraries for name, cell in library.cells.items()}
    area = {True: 0.0, False: 0.0}
    flip_flops = 0
    for name, count in cells.items():
        if name not in known:
            raise StepError(
                f"synthesis of {top} for {target}: cell type {name} is in none of "
                f"{', '.join(library.file for library in libraries)}"
            )
        cell = known[name]
        if cell.area is None:
            raise StepError(f"synthesis of {top} for {target}: cell {name} has no area")
        area[cell.flip_flop or cell.latch] += cell.area * count
        flip_flops += count * cell.flip_flop
    total = area[True] + area[False]
    # Yosys adds up the same areas with a parser of its own.
    said = design.get("area", 0.0)
    if not isinstance(said, float | int) or not math.isclose(total, said, abs_tol=1e-4):
        raise StepError(
            f"synthesis of {top} for {target}: the cells' areas add up to {total:g}, not to "
            f"Yosys' {said}"
        )
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
        unit="GE" if own else "um2",
        libraries=tuple(
            {"file": library.file, "name": library.name, "sha256": library.sha256}
            for library in libraries
        ),
    )


def _stat(
    script: str, files: Mapping[str, bytes | str | Path], top: str, target: str
) -> dict[str, Any]:
    """Run a script that writes ``stat.json`` and give what that says of the whole design."""
    step = f"synthesis of {top} for {target}"
    written = yosys.run(script, files, ["stat.json"], step=step)["stat.json"]
    try:
        design = json.loads(written)["design"]
    except (ValueError, KeyError, TypeError) as error:
        raise StepError(f"{step}: Yosys' statistics cannot be read: {error!r}") from error
    if not isinstance(design, dict):
        raise StepError(f"{step}: Yosys' statistics of the design are {design!r}")
    return design


def _cells(design: Mapping[str, Any], top: str, target: str) -> dict[str, int]:
    """Give the cell counts of a netlist, sorted by cell type."""
    cells = design.get("num_cells_by_type")
    if not isinstance(cells, dict):
        raise StepError(f"synthesis of {top} for {target}: Yosys' statistics have no cell types")
    # $scopeinfo keeps the names of flattened modules; it is no hardware.
    return {cell: cells[cell] for cell in sorted(cells) if cell != "$scopeinfo"}


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
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results here, too")
    options = parser.parse_args(argv)
    if options.json is not None and not options.json.absolute().parent.is_dir():
        raise UsageError(f"--json must name a file in a folder that exists, not {options.json}")
    build = load_build(options.build)
    name = build.name
    costs = synthesize_all(
        build.verilog.read_text(encoding="utf-8"),
        name,
        options.target or ["generic"],
        liberty=options.liberty,
        bram=options.bram,
    )
    print(f"{name}, {costs[0].yosys}, block RAM {options.bram}\n")
    print(table(costs))
    if options.json is not None:
        report = {"design": name, "results": [cost.to_json() for cost in costs]}
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
