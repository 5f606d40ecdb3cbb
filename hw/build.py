"""The main job: from a learned table to proven, synthesised Verilog.

``python -m hw.build --op softmax --bits 8`` fits the tables, builds the unit, simulates it against
its golden model, synthesises it, writes ``build/softmax_int8/`` and prints what it is and costs.
``python -m hw.build --plan FILE`` does so with every unit of a plan (`hw.plan`), whose tables are
there already.
"""

import argparse
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import amaranth
import numpy as np

from nnlut_train import cli
from nnlut_train.errors import UsageError
from sim.bench import run_bench
from sim.cocotb_files import cocotb_files
from sim.golden import Spec, WritableSpec
from sim.golden.register_files import files_of
from sim.golden.register_map import register_map
from sim.measure import how_proved
from sim.vectors import hex_fields, make_vectors

from . import liberty as liberty_files
from . import options, report, yosys
from .axi import data_bytes, ports
from .choosing import choose, designs, find, step
from .clocked import Clocked, Try, check_clock, meet_all, timed
from .cost import Cost
from .html import page
from .manifest import check_folder, check_parent, split_tables, write_folder
from .plan import Plan
from .request import Request
from .result import Candidate, Result
from .shared_report import separate_units, shared_to_json, submit_separate
from .synth import TARGETS, synthesize
from .units import unit_of
from .verilog import to_verilog

__all__ = ["build", "main"]


def _proved(candidate: Candidate) -> dict[str, float | str | None]:
    """Return the proven bound as JSON can hold it, null where there is none, and its proof."""
    bound = candidate.bound_ulp
    if bound is None or not math.isfinite(bound):
        return {"bound_ulp": None, "proved": None}
    return {"bound_ulp": bound, "proved": how_proved(candidate.spec)}


def build(
    request: Request, folder: Path | None = None, *, spec: Spec | None = None,
    arch: str | None = None, plan: Plan | None = None,
    targets: Sequence[str] = ("generic",), liberty: Sequence[Path] = (), bram: str = "auto",
    max_area: float | None = None, clock_ns: float | None = None,
    told: Callable[[str, Try], None] = lambda arch, tried: None, command: str = "",
) -> Result:  # fmt: skip
    """Build what `request` asks for into `folder`.

    Parameters
    ----------
    request : Request
        What to build.
    folder : Path, optional
        Where; ``build/<name>`` by default.
    spec : Spec, optional
        The specification to build, of this request; by default tables are fitted.
    arch : str, optional
        The architecture of `spec`; it goes with it.
    plan : Plan, optional
        The plan that has the unit; the build tells which sites it serves.
    targets : sequence of str
        For what to report the cost, each one of `hw.synth.TARGETS`. Architectures are compared on
        the first.
    liberty : sequence of Path
        Cell libraries that replace the project's own in the target ``generic``.
    bram : str
        Block-RAM policy for FPGAs, ``auto`` or ``off``.
    max_area : float, optional
        Largest cost on the first target that a unit may have: area, or LUTs.
    clock_ns : float, optional
        Clock period on the first target, which the fewest stages that meet it are found for.
    told : callable, optional
        Gets the architecture and every number of stages that is tried for `clock_ns`.
    command : str
        For the manifest: the command line that this is.

    Raises
    ------
    UsageError
        If an argument is wrong, or `folder` holds something else.
    StepError
        If a step fails; nothing is written then.
    """
    began = time.monotonic()
    if (spec is None) != (arch is None):
        raise UsageError("spec and arch must be given together")
    folder = Path("build") / request.name if folder is None else folder
    earlier = check_folder(folder)
    if liberty and "generic" not in targets:
        raise UsageError("--liberty goes with the target generic, which is not among --target")
    if liberty:
        liberty_files.read_all(liberty)  # before the long work: a wrong file is told at once
    if clock_ns is not None:
        if spec is not None or request.stages is not None:
            raise UsageError("--clock-ns goes without --stages and without --plan")
        check_clock(next(iter(targets)), clock_ns, bool(liberty))
    tool = yosys.version()
    description = report.description(request)
    first, *others = dict.fromkeys(targets)
    with ThreadPoolExecutor(os.cpu_count()) as pool:

        def submit(verilog: str, target: str) -> Future[Cost]:
            cells = liberty if target == "generic" else ()
            return pool.submit(synthesize, verilog, request.name, target, liberty=cells, bram=bram)

        alone, specs, refused = [], {} if spec is None else {arch: spec}, {}
        if spec is None:
            with step("fit the tables"):
                specs, refused = designs(request)
                alone = separate_units(request, progress=True) if len(request.ops) > 1 else []
        separate = submit_separate(
            alone, lambda text, top: pool.submit(
                synthesize, text, top, first, liberty=liberty if first == "generic" else (),
                bram=bram,
            )
        )  # fmt: skip

        def export(spec: Spec) -> str:
            return to_verilog(spec, request.name, description)

        def search(specs: dict[str, Spec]) -> dict[str, Clocked]:
            assert clock_ns is not None
            return meet_all(
                specs, clock_ns, export,
                lambda text: timed(text, request.name, first, clock_ns, liberty, bram),
                refused, told,
            )  # fmt: skip

        candidates, clocked = find(
            request, specs, export, lambda text: submit(text, first),
            None if clock_ns is None else search,
        )  # fmt: skip
        chosen = choose(request, candidates, max_area) if spec is None else candidates[0]
        more = [submit(chosen.verilog, target) for target in others]
        with step("simulate"):
            bench = run_bench(chosen.spec, unit_of(chosen.spec), seed=request.seed)
            vectors = make_vectors(chosen.spec, request.seed)
            cocotb = dict(cocotb_files(chosen.spec, request.name, request.seed))
        with step("synthesise"):
            reported = [chosen.cost, *(cost.result() for cost in more)]
            replaced = separate()
    spec_json, files = split_tables(chosen.spec)
    entry, more_files = plan.entry(request.name) if plan else ({}, {})
    files |= more_files
    files[f"{request.name}.v"] = chosen.verilog.encode()
    lanes, user_bits = chosen.spec.lanes, chosen.spec.user_bits
    widths = tuple(8 * lanes * data_bytes(f) for f in (chosen.spec.input, chosen.spec.output))
    registers = register_map(chosen.spec) if isinstance(chosen.spec, WritableSpec) else None
    files |= files_of(registers, request.name) if registers else {}
    files |= {f"vectors/{name}": data for name, data in vectors.files(widths, user_bits).items()}
    files |= {f"cocotb/{name}": data for name, data in cocotb.items()}
    manifest = {
        "description": description,
        "command": command,
        **({"plan": entry} if plan else {}),
        "verilog": f"{request.name}.v",
        "architecture": chosen.arch,
        "ports": [port.to_json() for port in ports(chosen.spec)],
        "latency": report.latency(chosen.spec)
        | {"measured": {str(length): clocks for length, clocks in bench.latency.items()}},
        "throughput": {"elements_per_clock": bench.throughput},
        "lanes": lanes,
        "accuracy": chosen.accuracy.to_json() | _proved(chosen),
        "simulation": [
            {"run": run.name, "rows": run.rows, "beats": run.beats, "results": run.results}
            for run in bench.runs
        ],
        **({"clock": clocked[chosen.arch].to_json()} if clocked else {}),
        "cost": [cost.to_json() for cost in reported],
        "other_architectures": {
            c.arch: {"cost": c.cost.to_json(), "max_ulp": c.accuracy.max_ulp, **_proved(c)}
            for c in candidates if c is not chosen
        } | {each: {"refused": why} for each, why in refused.items()},
        "folds": {
            name: table.fold.to_json() for name, table in chosen.spec.tables() if table.fold
        },
        "spec": spec_json,
        **({"registers": registers.to_json()} if registers else {}),
        "vectors": {
            "beats": len(vectors.input),
            "input.hex": hex_fields(widths[0], keep=lanes > 1, user_bits=user_bits),
            "output.hex": hex_fields(widths[1], keep=lanes > 1, user_bits=0),
        },
        "tools": {"amaranth": amaranth.__version__, "numpy": np.__version__, "yosys": tool},
    }  # fmt: skip
    if replaced:
        manifest["shared"] = shared_to_json(
            chosen.spec.bare, chosen.accuracy, chosen.cost, replaced
        )
    files["report.html"] = page(request, chosen.spec, manifest, bench.trace, files)
    with step("write"):
        write_folder(folder, request.name, manifest, files)
    rest = [c for c in candidates if c is not chosen]
    return Result(
        request, chosen, rest, bench, reported, folder, [f"{request.name}.json", *sorted(files)],
        earlier if earlier != command else "", time.monotonic() - began, replaced,
        planned=spec is not None, refused=refused,
    )  # fmt: skip


def _build_plan(arguments: argparse.Namespace, command: str) -> None:
    """Build the units of a plan, and print what each is and costs.

    Raises
    ------
    UsageError
        If an argument is wrong, the plan is none, or a folder holds something else: before
        anything is built.
    """
    for option in options.given(arguments):
        raise UsageError(f"{option} goes with --op, not with --plan")
    plan = Plan.load(arguments.plan)
    names = dict.fromkeys(plan.units if arguments.unit is None else arguments.unit)
    if not names:
        raise UsageError(f"{arguments.plan}: units must have a unit to build")
    parent = Path("build") / arguments.plan.stem if arguments.out is None else arguments.out
    check_parent(parent)
    for name in names:
        if name not in plan.units:
            raise UsageError(f"--unit must be one of {', '.join(plan.units)}, not {name!r}")
        for at, site in plan.served(name).items():
            written = site.gamma is not None or site.beta is not None
            if written and not isinstance(plan.units[name].spec, WritableSpec):
                raise UsageError(
                    f"{arguments.plan}: units.{name}: spec must be writable: the site {at} has its "
                    "own gamma or beta"
                )
        check_folder(parent / name)
    for number, name in enumerate(names):
        unit = plan.units[name]
        result = build(
            unit.request, parent / name, spec=unit.spec, arch=unit.arch,
            plan=plan, targets=arguments.target or TARGETS, liberty=arguments.liberty,
            bram=arguments.bram, command=command,
        )  # fmt: skip
        print("\n" * (number > 0) + report.summary(result), flush=True)


def _main(argv: Sequence[str] | None) -> None:
    parser = options.build_parser()
    arguments = parser.parse_args(argv)
    words = sys.argv[1:] if argv is None else argv
    command = shlex.join(["python", "-m", "hw.build", *words])
    if (arguments.op is None) == (arguments.plan is None):
        raise UsageError("either --op or --plan must be given, and not both")
    if arguments.plan is not None:
        _build_plan(arguments, command)
        return
    if arguments.unit is not None:
        raise UsageError("--unit goes with --plan, not with --op")
    result = build(
        options.request(arguments), arguments.out, targets=arguments.target or TARGETS,
        liberty=arguments.liberty, bram=arguments.bram, max_area=arguments.max_area,
        clock_ns=arguments.clock_ns,
        told=lambda arch, tried: print(f"{arch}, {tried}", flush=True),
        command=command,
    )  # fmt: skip
    print(report.summary(result))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return cli.run_main("hw.build", _main, argv)


if __name__ == "__main__":
    sys.exit(main())
