"""The command line of ``python -m hw.compare``."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import amaranth
import numpy as np

from nnlut_train import cli
from nnlut_train.errors import UsageError
from nnlut_train.files import write_bytes
from nnlut_train.reading import read_json, read_text

from .. import cache, yosys
from ..synth import TARGETS
from .baseline import changes
from .document import BLOCKS, blocks, fill
from .figures import draw
from .points import FUNCTIONS, GROUPS, points
from .results import SCHEMA, joined, run
from .targets import parse_library, targets

__all__ = ["main"]


def _parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(
        prog="python -m hw.compare",
        description="Area, timing, power and error of every unit in every precision and "
        "architecture, on every target: results, tables and figures.",
    )
    add = parser.add_argument
    add("--groups", nargs="+", action="extend", choices=tuple(GROUPS), metavar="G",
        help=f"what to compare: {', '.join(GROUPS)}. Default: all")  # fmt: skip
    add("--target", nargs="+", action="extend", choices=TARGETS, metavar="T",
        help=f"for what: {', '.join(TARGETS)}. Default: generic, xilinx, ice40")  # fmt: skip
    add("--library", nargs="+", action="extend", metavar="NAME@NS=FILES", default=[],
        help="one more target of gates: a name, the clock period that is asked for, and liberty "
        "files with commas between, such as "
        "asap7@1='asap7/*.lib.gz'")  # fmt: skip
    add("--only", metavar="TEXT", help="only units whose names have this text in them")
    add("--out", type=Path, metavar="DIR", default=Path("build/compare"),
        help="folder for results.json, tables.md and figures; earlier results there are kept where "
        "this run has none. Default: %(default)s")  # fmt: skip
    add("--baseline", type=Path, metavar="FILE",
        help="results.json of an earlier run: tell every cost that changed since")  # fmt: skip
    add("--document", type=Path, metavar="FILE",
        help="Markdown file whose marked blocks are filled with the tables: "
        f"<!-- cost: NAME --> ... <!-- /cost -->, NAME one of {', '.join(BLOCKS)}")  # fmt: skip
    add("--jobs", type=int, metavar="N", help="how many at once. Default: one a core")
    add("--cache", type=Path, metavar="DIR", default=cache.default_folder(),
        help="folder that keeps what was synthesised. Default: %(default)s")  # fmt: skip
    add("--no-cache", action="store_true", help="keep nothing, and use nothing that was kept")
    return parser


def read(path: Path, option: str = "--baseline") -> dict[str, Any]:
    """Read the results of an earlier run, which `option` names.

    Raises
    ------
    UsageError
        If the file is none.
    """
    try:
        found = read_json(path)
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        changes(found, found)  # rather now than after hours
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{option} must be the results.json of a comparison, not {path}: {error}"
        ) from error
    return found


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"--document must be a file that can be read, not {path}") from error


def _main(argv: Sequence[str] | None) -> None:
    options = _parser().parse_args(argv)
    if options.jobs is not None and options.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {options.jobs}")
    chosen = targets(
        options.target or ("generic", "xilinx", "ice40"), list(map(parse_library, options.library))
    )
    wanted = [
        point for point in points(tuple(dict.fromkeys(options.groups or GROUPS)))
        if options.only is None or options.only in point.name
    ]  # fmt: skip
    if not wanted:
        raise UsageError(f"--only must be in the name of a unit, not {options.only!r}")
    before = None if options.baseline is None else read(options.baseline)
    file = options.out / "results.json"
    there = read(file, "--out's results.json") if file.exists() else None
    page = None if options.document is None else _text(options.document)
    words = sys.argv[1:] if argv is None else argv
    with cache.use(None if options.no_cache else options.cache):
        records = list(run(wanted, chosen, jobs=options.jobs))
    command = shlex.join(["python", "-m", "hw.compare", *words])
    results = {
        "schema": SCHEMA,
        "commands": {record["group"]: command for record in records},
        "tools": {"amaranth": amaranth.__version__, "numpy": np.__version__,
                  "yosys": yosys.version()},
        "targets": {target.name: {"kind": target.kind, "clock_ns": target.clock_ns,
                                  "liberty": [path.name for path in target.liberty]}
                    for target in chosen},
        "points": records,
    }  # fmt: skip
    if there is not None:
        results = joined(there, results)
    made = blocks(results)
    options.out.mkdir(parents=True, exist_ok=True)
    write_bytes(file, (json.dumps(results, indent=1) + "\n").encode())
    tables = "\n".join(f"## {BLOCKS[name]}\n\n{text}" for name, text in made.items())
    write_bytes(options.out / "tables.md", tables.encode())
    for target in chosen:
        if target.kind == "generic" and any(p["group"] == "functions" for p in results["points"]):
            draw(results, target.name, FUNCTIONS, options.out / f"pareto-{target.name}.svg")
    if page is not None:
        write_bytes(options.document, fill(page, made).encode())
    print(tables)
    if before is not None:
        if options.groups or options.only:  # what this run was not to compare is not gone
            asked = {(point.group, point.name) for point in wanted}
            kept = [p for p in before["points"] if (p["group"], p["name"]) in asked]
            before = {**before, "points": kept}
        said = changes(before, {**results, "points": records})
        print(f"## Since {options.baseline}\n\n" + ("\n".join(said) or "nothing changed"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return cli.run_main("hw.compare", _main, argv)
