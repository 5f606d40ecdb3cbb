"""Learn one table: ``python -m nnlut_train fit``.

Fits piecewise-linear integer tables to a function, prints their errors, and writes the table and a
picture of it. ``python -m hw.build --table`` makes hardware of it, unless it is of a function of a
reduced argument (``--fold auto``: 2^f for exp): `hw.build` reduces ranges and fits such tables
itself.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from . import fit
from .errors import UsageError
from .files import dump, write_together
from .fit import optimal
from .fit.problem import Problem
from .formats import Format
from .functions import Function
from .metrics import table_errors
from .options import add_problem, options_of, problem_of, within
from .tables import PwlTable

__all__ = ["configure", "run"]

#: What each objective makes small.
ERRORS = {"mse": "squared error", "max": "largest error", "mixed": "sum of the two errors"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``fit`` to a parser."""
    add_problem(parser)
    group = parser.add_argument_group("how, and where to")
    add = group.add_argument
    add("--method", choices=tuple(fit.METHODS), default="optimal",
        help="how the table is learned. Default: %(default)s")  # fmt: skip
    add("--seed", type=int, default=0, metavar="S",
        help="seed of the methods that draw random numbers. Default: %(default)s")  # fmt: skip
    add("--out", type=Path, metavar="FILE.json",
        help="table to write; the picture goes beside it as .svg and .png, and with --scales "
        "a table for each scale. Default: build/tables/NAME.json")  # fmt: skip
    add("--force", action="store_true", help="replace what is there")


def _smallest(arguments: argparse.Namespace, problem: Problem) -> Problem:
    """Return the problem with the fewest entries, or coefficient bits, that meet --max-error."""
    if problem.max_ulp is None or arguments.method != "optimal":
        return problem
    if problem.monotone:
        return problem  # the smallest are not known
    if arguments.entries is None:
        return replace(problem, entries=optimal.fewest_entries(problem, progress=True))
    if arguments.slope is None and arguments.intercept is None:
        slope, intercept = optimal.fewest_bits(problem, progress=True)
        return replace(problem, slope=slope, intercept=intercept)
    return problem


def _at(problem: Problem, table: PwlTable, form: Format) -> PwlTable:
    """Return the table at one of the scales that share it, with its own errors."""
    one = table.at(form)
    codes = form.codes() << (problem.input.frac - form.frac)  # in units of the grid
    on_grid = (codes >= problem.input.min) & (codes <= problem.input.max)
    at = np.where(on_grid, codes, 0) - problem.input.min
    weights = problem.used.astype(float) if problem.weights is None else problem.weights
    weights = np.where(on_grid, weights[at], 0.0)
    used = form.real(form.codes()[weights > 0])
    meta = {name: table.meta[name] for name in ("function", "method", "seed", "objective")}
    meta |= {
        "domain": [float(used[0]), float(used[-1])],
        "scale_of": table.sha256,
        "codes": used.size,
        "errors": table_errors(one, problem.target[at], weights),
    }
    return replace(one, meta=meta)


def _report(
    arguments: argparse.Namespace, problem: Problem, function: Function, table: PwlTable,
    scaled: Sequence[PwlTable],
) -> list[str]:  # fmt: skip
    meta, errors = table.meta, table.meta["errors"]
    weighted = ", weighted" if "weights" in meta["request"] else ""
    rows = [
        ("formats", f"input {table.input}, output {table.output}, slope {table.slope}, "
                    f"intercept {table.intercept}"),
    ]  # fmt: skip
    if table.fold is not None:
        rows.append(("folded", f"{table.fold.kind}, magnitude {table.fold.magnitude}"))
    elif function.name != arguments.function:
        rows.append(("reduced", f"{function.name}, of the reduced argument of "
                                f"{arguments.function}"))  # fmt: skip
    elif arguments.fold == "auto":
        rows.append(("not folded", f"{function.name} has no known symmetry on this domain"))
    bits = f"{table.storage_bits:,} bits"
    if problem.max_ulp is not None and arguments.entries is None:
        least = "the fewest that meet --max-error"
        rows.append(("entries", f"{problem.entries}, {least}; {bits}"))
    else:
        rows.append(("entries", f"{table.entries} of {problem.entries}, {bits}"))
    if scaled:
        for one in scaled:
            own = one.meta["errors"]
            rows.append((
                f"scale 2^{-one.input.frac}",
                f"MSE {own['line_mse']:.4e}{weighted}, max {own['line_max']:.4e}, "
                f"{_codes(one.meta['codes'])}; output {one.output}, max {own['max_ulp']:.3f} ulp",
            ))  # fmt: skip
        mean = np.mean([one.meta["errors"]["line_mse"] for one in scaled])
        rows.append(("average", f"MSE {mean:.4e}{weighted}"))
    else:
        low, high = meta["domain"]
        rows += [
            ("lines", f"MSE {errors['line_mse']:.4e}{weighted}, max {errors['line_max']:.4e}, "
                      f"{_codes(problem.used.sum(), problem.used.size)} from {low:g} to {high:g}"),
            ("output", f"max {errors['max_ulp']:.3f} ulp, RMS {errors['rms_ulp']:.3f} ulp"),
        ]  # fmt: skip
    if (certificate := meta.get("certificate")) is not None:
        gap = certificate["gap"]
        rows.append(("optimality", f"proved: no table of these formats and entries has a smaller "
                     f"{ERRORS[problem.objective]}" if not gap else
                     f"at most {100 * gap:.2g} % above the optimum: the least is "
                     f"{certificate['lower_bound']:.4e}"))  # fmt: skip
    return [f"  {name:<11} {text}" for name, text in rows]


def _codes(count: int, every: int | None = None) -> str:
    """Return how many codes count, of `every` if these are more."""
    of = f" of {every:,}" if every not in (None, count) else ""
    return f"{count:,}{of} code{'s' if count != 1 or of else ''}"


def _check_places(files: Sequence[Path], force: bool) -> None:
    """Raise `UsageError` unless the files can be written, and replace nothing unasked."""
    for file in files:
        if file.is_dir():
            raise UsageError(f"--out must not name a folder, as {file} is")
        if not force and os.path.lexists(file):
            raise UsageError(f"{file} is there already: --force replaces it")
    folder = files[0].parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise UsageError(f"--out must be where files can be written, not in {folder}")


def _write(files: Mapping[Path, bytes], force: bool) -> None:
    """Write all files, or none."""
    first = next(iter(files))
    try:
        first.parent.mkdir(parents=True, exist_ok=True)
        # The fit may have taken long: look again.
        write_together(files, lambda: _check_places(list(files), force))
    except OSError as error:
        raise UsageError(
            f"--out must be where files can be written, not {first}: {error.strerror}"
        ) from error


def run(arguments: argparse.Namespace) -> None:
    """Fit, print and write.

    Raises
    ------
    UsageError
        If an option is wrong, or a file is there already.
    """
    within("--seed", arguments.seed, 0, 2**32 - 1)
    problem, function = problem_of(arguments)
    if problem.constrained and arguments.method != "optimal":
        raise UsageError(f"constraints must go with --method optimal, not {arguments.method}")
    name = function.name.rpartition(":")[2]
    name = "".join(c if c.isalnum() or c in "_-" else "_" for c in name)
    out = arguments.out or Path("build/tables") / f"{name}_int{arguments.bits}.json"
    if out.suffix != ".json":
        raise UsageError(f"--out must end in .json, not {out}")
    pictures = [out.with_suffix(suffix) for suffix in (".svg", ".png")]
    parts = [out.with_suffix(f".frac{form.frac}.json") for form in problem.shared]
    _check_places([out, *parts, *pictures], arguments.force)
    problem = _smallest(arguments, problem)
    table = fit.fit(problem, arguments.method, seed=arguments.seed, progress=True)
    table = replace(table, meta={**table.meta, "request": options_of(arguments)})
    scaled = [_at(problem, table, form) for form in problem.shared]
    files = {
        path: dump(one.to_json()) for path, one in zip([out, *parts], [table, *scaled], strict=True)
    }
    if find_spec("matplotlib") is not None:
        from . import plot

        figure = plot.draw(table, function, tuple(table.meta["domain"]))
        files |= {path: plot.render(figure, path.suffix) for path in pictures}
    _write(files, arguments.force)
    named = dict.fromkeys((function.name, function.formula))  # once, where they are the same
    objective = arguments.objective or problem.objective
    print(f"{', '.join(named)}: {arguments.method}, {objective}")
    print("\n".join(_report(arguments, problem, function, table, scaled)))
    for path in files:
        print(f"  {'written' if path is out else '':<11} {path}")
    if len(files) == 1 + len(scaled):
        print("  no picture: pip install 'nnlut[plot]' for it")
