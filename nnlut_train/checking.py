"""Check a table's proof: ``python -m nnlut_train check``.

A table that ``fit`` made carries what was asked for and a certificate: a bound that no table of its
formats undercuts. This command asks again and proves the bound by other means; see `certificate`.
"""

import argparse
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import certificate, options
from .cli import ArgumentParser
from .errors import UsageError
from .files import load
from .fit import Problem
from .functions import FUNCTIONS
from .reading import read_bytes
from .tables import PwlTable

__all__ = ["configure", "problem_again", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``check`` to a parser."""
    add = parser.add_argument
    add("table", type=Path, metavar="TABLE.json", help="a table that fit wrote")
    add("--weights", type=Path, metavar="FILE.npz", help="the histogram that it was fitted to")
    add("--function", metavar="F",
        help="the function, if it is your own: no code is run because a file says so")  # fmt: skip


def _words(request: Mapping[str, Any]) -> list[str]:
    """Return the command line that `options.options_of` describes."""
    words = []
    for name, value in request.items():
        if name not in (*options.NAMES, "weights"):
            raise UsageError(f"the table must ask for options of fit, not for {name!r}")
        option = f"--{name.replace('_', '-')}"
        if name == "max_error" and isinstance(value, list) and len(value) == 2:
            value = f"{value[0]!r}{'ulp' if value[1] else ''}"
        if isinstance(value, list):
            value = ",".join(map(repr, value))
        words.append(option if value is True else f"{option}={value}")
    return words


def problem_again(
    table: PwlTable, weights: Path | None = None, function: str | None = None
) -> Problem:
    """Return the problem that a table was fitted to, from its meta data.

    Parameters
    ----------
    table : PwlTable
        A table of ``fit``, or one with the same ``meta["request"]``.
    weights : Path, optional
        The histogram, where there was one.
    function : str, optional
        The function, where it is not registered.

    Raises
    ------
    UsageError
        If the meta data do not say what was asked for, or a given file is another one.
    """
    request = table.meta.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("function"), str):
        raise UsageError("the table must say what was asked for, as those of fit do")
    request = dict(request)
    name = request["function"]
    if function is None and name not in FUNCTIONS:
        raise UsageError(f"the table is of {name}: --function must name it")
    if function is not None and name != function:
        raise UsageError(f"--function must be that of the table, {name}, not {function}")
    expected = request.pop("weights", None)
    if (expected is None) != (weights is None):
        raise UsageError(
            "--weights must be the histogram that the table was fitted to"
            if weights is None else "--weights goes with a table that was fitted to a histogram"
        )  # fmt: skip
    if weights is not None:
        try:
            digest = hashlib.sha256(read_bytes(weights)).hexdigest()
        except OSError as error:
            raise UsageError(f"{weights}: cannot be read: {error.strerror}") from error
        if digest != expected:
            raise UsageError(f"{weights}: must be the file that the table was fitted to")
        request["weights"] = str(weights)
    # No word of a file may be more than it seems: no --help, no --func for --function.
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_problem(parser)
    problem, _ = options.problem_of(parser.parse_args(_words(request)))
    entries = table.meta.get("entries")
    if type(entries) is not int:
        raise UsageError(f"the table's entries must be a number, not {entries!r}")
    return replace(problem, entries=entries, slope=table.slope, intercept=table.intercept)


def run(arguments: argparse.Namespace) -> None:
    """Check and print.

    Raises
    ------
    UsageError
        If the table is no such table, or its claim cannot be proved.
    """
    table = load(arguments.table)
    if not isinstance(table, PwlTable):
        raise UsageError(f"{arguments.table}: must be a table of lines, not {table.kind}")
    if "scale_of" in table.meta:
        raise UsageError(
            f"{arguments.table}: must be the table of all scales, which has the proof, not of one"
        )
    if not isinstance(table.meta.get("certificate"), dict):
        raise UsageError(
            f"{arguments.table}: must have a certificate, which only fit --method optimal gives"
        )
    problem = problem_again(table, arguments.weights, arguments.function)
    proof = certificate.check(problem, table, progress=True)
    print(f"{arguments.table}: {'proved' if proof.complete else 'checked'}: {proof.how}")
    print(f"  cost        {proof.cost:.6e}, measured again")
    print(f"  claimed     no table costs less than {proof.claimed_bound:.6e}")
    print(f"  proved      no table costs less than {proof.proved_bound:.6e}")
