"""Compare all methods on GQA-LUT's protocol: ``python -m nnlut_train compare``.

Every method fits every function, number of entries and width, and one harness measures the tables;
see `nnlut_train.protocol` and `nnlut_train.metrics`. The results are JSON; tables for people and
figures are made from it.
"""

import argparse
import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..files import write_bytes
from ..fit import METHODS, cache_folder
from ..histograms import STAND_INS, Histogram
from ..protocol import CASES
from ..reading import read_json
from . import figures, report, sections
from .jobs import Fit, plan, run_jobs
from .measurement import Density, load_anchors, measure, measure_anchor

__all__ = ["configure", "run"]

SCHEMA = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``compare`` to a parser."""
    add = parser.add_argument
    add(
        "--methods",
        nargs="+",
        default=list(METHODS),
        metavar="METHOD",
        help=f"methods to compare, of {', '.join(METHODS)}; default: all",
    )
    add(
        "--functions",
        nargs="+",
        default=list(CASES),
        metavar="FUNCTION",
        help=f"functions, of {', '.join(CASES)}; default: all",
    )
    add(
        "--entries",
        nargs="+",
        type=int,
        default=[8, 16],
        metavar="N",
        help="numbers of segments, 2 to 64; default: 8 16",
    )
    add(
        "--bits",
        nargs="+",
        type=int,
        default=[8, 12, 16],
        metavar="N",
        help="widths of input, output and coefficients, 6 to 16; default: 8 12 16",
    )
    add(
        "--seeds",
        type=int,
        default=5,
        metavar="N",
        help="how many seeds the methods get that draw random numbers; default: 5",
    )
    add(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes; default: one a core",
    )
    add(
        "--out",
        type=Path,
        default=Path("docs/fitting"),
        metavar="DIR",
        help="folder for results.json and the figures; the tables go to DIR.md, into its marked "
        "sections; default: docs/fitting",
    )
    add(
        "--work",
        type=Path,
        default=None,
        metavar="DIR",
        help="folder for finished fits, from which a stopped run goes on; default: compare in the "
        "cache of tables",
    )
    add(
        "--weights",
        action="append",
        default=[],
        metavar="[FUNCTION=]FILE.npz",
        help="measured histogram of a function's arguments (arrays edges and counts), instead of "
        "an assumed distribution; repeatable",
    )
    add(
        "--anchors",
        type=Path,
        default=None,
        metavar="DIR",
        help="folder with GQA-LUT's own tables, FUNCTION_pwl_7.json and FUNCTION_pwl_15.json, to "
        "be measured, too",
    )
    add("--only-report", action="store_true",
        help="make Markdown and figures again from DIR/results.json, and fit nothing")  # fmt: skip


def _check(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` for what argparse does not see."""
    for option, known in (("methods", METHODS), ("functions", CASES)):
        for name in getattr(arguments, option):
            if name not in known:
                raise UsageError(f"--{option} must be of {', '.join(known)}, not {name!r}")
    for option, low, high in (("entries", 2, 64), ("bits", 6, 16)):
        for number in getattr(arguments, option):
            if not low <= number <= high:
                raise UsageError(f"--{option} must be {low} to {high}, not {number}")
    for option in ("methods", "functions", "entries", "bits"):
        values = getattr(arguments, option)
        if len(set(values)) < len(values):
            raise UsageError(f"--{option} must not name anything twice")
    for option in ("seeds", "jobs"):
        if getattr(arguments, option) < 1:
            raise UsageError(f"--{option} must be 1 or more, not {getattr(arguments, option)}")
    if "nn" in arguments.methods and not find_spec("torch"):
        raise UsageError(
            "the method nn needs torch: pip install 'nnlut[train]', or leave it out of --methods"
        )


def _densities(options: Sequence[str], functions: Sequence[str]) -> dict[str, tuple[str, Density]]:
    """Return description and density of each function's arguments, from ``--weights``."""
    densities: dict[str, tuple[str, Density]] = {
        name: (f"assumed: {STAND_INS[name].text}", STAND_INS[name].density) for name in CASES
    }
    for option in options:
        name, equals, file = option.partition("=")
        if not equals or name not in CASES:
            if len(functions) != 1:
                raise UsageError(
                    f"--weights must say whose arguments they are, FUNCTION=FILE with one of "
                    f"{', '.join(CASES)}, not {option!r}"
                )
            name, file = functions[0], option
        densities[name] = (f"measured: {Path(file).name}", Histogram.load(file).weights)
    return densities


def _row(item: Fit, result: Mapping[str, Any], density: Density) -> dict[str, Any]:
    """Return what ``results.json`` says of one fit."""
    row: dict[str, Any] = {
        "function": item.function, "entries": item.entries, "bits": item.bits,
        "method": item.method, "seed": item.seed, "scale": item.scale,
        "seconds": result["seconds"], "wall_seconds": result["wall_seconds"],
    }  # fmt: skip
    if "error" in result:
        return row | {"error": result["error"]}
    table = item.table(result)
    problem = item.problem()
    scales = [form.frac for form in problem.shared] or [problem.input.frac]
    return row | {
        "cost": table.meta["cost"], "used_entries": table.entries, "sha256": table.sha256,
        "metrics": measure(dict.fromkeys(scales, table), item.function, item.bits, density),
        "table": table.to_json(),
    }  # fmt: skip


def _dump(results: Mapping[str, Any]) -> bytes:
    """Return the text of ``results.json``: a row a line."""
    parts = []
    for name, value in results.items():
        text = json.dumps(value)  # in the order of the report
        if name in ("results", "anchors") and value:
            rows = ",\n".join(f"  {json.dumps(row, sort_keys=True)}" for row in value)
            text = f"[\n{rows}\n ]"
        parts.append(f" {json.dumps(name)}: {text}")
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def _load(path: Path) -> dict[str, Any]:
    """Read ``results.json``.

    Raises
    ------
    UsageError
        If it cannot be read or is something else.
    """
    try:
        data = read_json(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: must be JSON: {error}") from error
    lists = ("results", "anchors")
    if not isinstance(data, dict) or data.get("schema") != SCHEMA or not all(
        isinstance(data.get(name), list) for name in lists
    ):  # fmt: skip
        raise UsageError(f"{path}: must be the results of compare, schema {SCHEMA}")
    return data


def run(arguments: argparse.Namespace) -> None:
    """Compare, or only report; print what was written.

    Raises
    ------
    UsageError
        If an option is wrong, a file is not what it must be, or a package is missing.
    StepError
        If a worker process was killed.
    """
    figures.require()  # rather now than after hours
    path = arguments.out / "results.json"
    page = arguments.out.with_name(arguments.out.name + ".md")
    sections.check(page, report.SECTIONS)
    if not arguments.only_report:
        results = _compare(arguments, path)
        write_bytes(path, _dump(results))
    # From the file, also after a run: what is reported is what was kept.
    results = _load(path)
    try:
        rendered = report.render(results)
        pictures = figures.draw(results)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: must be the results of compare: {error!r}") from error
    sections.fill(page, rendered, report.SECTIONS)
    for written in (path, page, *figures.save(pictures, arguments.out)):
        print(written)


def _compare(arguments: argparse.Namespace, path: Path) -> dict[str, Any]:
    _check(arguments)
    densities = _densities(arguments.weights, arguments.functions)
    if arguments.anchors is not None:
        anchors: Sequence[Mapping[str, Any]] = load_anchors(arguments.anchors)
    else:  # tables measured by an earlier run stay, and are measured again
        anchors = _load(path)["anchors"] if path.exists() else []
    try:
        measured = [measure_anchor(row, densities[row["function"]][1]) for row in anchors]
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path}: its anchors must be tables of GQA-LUT: {error!r}") from error
    fits = plan(arguments.functions, arguments.methods, arguments.entries, arguments.bits,
                arguments.seeds)  # fmt: skip
    work = cache_folder() / "compare" if arguments.work is None else arguments.work
    done = run_jobs(fits, work, arguments.jobs)
    packages = ["nnlut", "numpy"] + ["torch"] * ("nn" in arguments.methods)
    return {
        "schema": SCHEMA,
        "functions": {name: densities[name][0] for name in arguments.functions},
        "methods": {name: METHODS[name] for name in arguments.methods},
        "entries": arguments.entries, "bits": arguments.bits,
        "seeds": arguments.seeds,
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in packages},
        "results": [
            _row(item, result, densities[item.function][1]) for item, result in done.items()
        ],
        "anchors": measured,
    }  # fmt: skip
