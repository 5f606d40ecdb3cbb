"""``python -m hw.prove BUILD_DIR``: proofs about a build's Verilog, and about its netlist."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from nnlut_train import cli
from nnlut_train.errors import StepError, UsageError
from nnlut_train.files import write_bytes

from ..manifest import load_build
from . import netlist, overflow, stream, tables
from .record import Outcome, record, stale, to_json
from .results import Inapplicable, Proof, Task

__all__ = ["PROVERS", "main", "run"]

#: What can be proved: a name, and what proves it; see `hw.prove.results.Task`.
PROVERS: tuple[tuple[str, Callable[[Task], list[Proof]]], ...] = (
    ("tables", tables.prove),
    ("netlist", netlist.prove),
    ("streams", stream.prove),
    ("overflow", overflow.prove),
)
TIMEOUT = 120


def run(
    task: Task, kinds: Sequence[str], told: Callable[[str], None] = lambda line: None
) -> tuple[dict[str, Outcome], list[str]]:
    """Prove some kinds of claims, each even where another one fails.

    Parameters
    ----------
    task : Task
        The unit.
    kinds : sequence of str
        Names in `PROVERS`.
    told : callable, optional
        Is given a line for each proof, as soon as it is known.

    Returns
    -------
    outcomes : dict
        By kind: what was proved, or why there is nothing to prove; None where it failed.
    failures : list of str
        What the failed ones say.
    """
    outcomes: dict[str, Outcome] = {}
    failures = []
    for kind, prover in PROVERS:
        if kind not in kinds:
            continue
        try:
            proofs = prover(task)
        except Inapplicable as why:
            outcomes[kind] = str(why)
            told(f"{kind}: nothing to prove: {why}")
        except StepError as error:
            outcomes[kind] = None
            failures.append(str(error))
            told(f"{kind}: NOT PROVED")
        else:
            outcomes[kind] = proofs
            for proof in proofs:
                told(f"{kind}: {_line(proof)}")
            failures += [f"proof of the {kind} of {task.top}: undecided: {proof.claim}"
                         for proof in proofs if not proof.decided]  # fmt: skip
    return outcomes, failures


def _line(proof: Proof) -> str:
    depth = "no clock" if proof.depth is None else f"depth {proof.depth}"
    if not proof.unbounded:
        depth += " from reset"
    said = "" if proof.decided else "UNDECIDED: "
    return f"{said}{proof.claim} [{proof.engine}; {depth}; {proof.seconds:.1f} s]"


def _main(argv: Sequence[str] | None) -> None:
    names = [name for name, _ in PROVERS]
    parser = cli.ArgumentParser(
        prog="python -m hw.prove",
        description="Prove that a build's Verilog is right, and write what was proved into its "
        "manifest. Exit status 1: a claim is refuted or undecided.",
    )
    parser.add_argument(
        "build", metavar="BUILD_DIR", type=Path, help="folder that hw.build has written"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        metavar="KIND",
        default=names,
        help=f"what to prove, of {', '.join(names)}. Default: all",
    )
    parser.add_argument(
        "--timeout",
        type=int,
        default=TIMEOUT,
        metavar="S",
        help="seconds after which an engine gives up (default: %(default)s)",
    )
    parser.add_argument(
        "--liberty",
        metavar="FILE",
        nargs="+",
        type=Path,
        default=[],
        help="cell libraries of the netlist, gzipped or not. Default: the project's own cells",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results here, too")
    _prove(parser.parse_args(argv))


def _prove(options: argparse.Namespace) -> None:
    if options.timeout < 1:
        raise UsageError(f"--timeout must be at least 1 second, not {options.timeout}")
    if options.json is not None and not options.json.absolute().parent.is_dir():
        raise UsageError(f"--json must name a file in a folder that exists, not {options.json}")
    if options.liberty and "netlist" not in options.only:
        raise UsageError("--liberty goes with the proof of the netlist (--only netlist)")
    build = load_build(options.build)
    verilog = build.text()
    task = Task(build.spec(), verilog, build.name, options.timeout, tuple(options.liberty))
    if stale(build, verilog):
        tqdm.write("the manifest's earlier proofs are of other Verilog: they are dropped")
    with tqdm(total=len(options.only), desc="prove", leave=False, disable=None) as bar:

        def told(line: str) -> None:
            tqdm.write(line)
            bar.update()

        outcomes, failures = run(task, options.only, told)
    record(build, verilog, outcomes)
    if options.json is not None:
        report = {"design": build.name, "proofs": {k: to_json(v) for k, v in outcomes.items()},
                  "failures": failures}  # fmt: skip
        try:
            write_bytes(options.json, (json.dumps(report, indent=2) + "\n").encode())
        except OSError as error:
            raise UsageError(
                f"--json must name a file that can be written, not {options.json}: {error.strerror}"
            ) from error
    if failures:
        raise StepError("; ".join(failures))


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``python -m hw.prove``; see `nnlut_train.cli.run_main` for the exit status."""
    return cli.run_main("hw.prove", _main, argv)
