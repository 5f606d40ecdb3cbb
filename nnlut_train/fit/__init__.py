"""Fit piecewise-linear tables: one file a method, one signature.

`fit` takes a `Problem` (what to approximate, in which formats, by which objective) and returns a
`PwlTable`; the methods are in `METHODS`. Fitting is deterministic: the same problem, method and
seed give the same bytes.
"""

import contextlib
import hashlib
import importlib
import json
import os
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics
from ..errors import UsageError
from ..files import load, save
from ..tables import PwlTable
from .making import coefficient_formats
from .problem import OBJECTIVES, Points, Problem

__all__ = ["METHODS", "OBJECTIVES", "Points", "Problem", "coefficient_formats", "fit"]

#: Method name -> module of this package with ``solve(problem, seed, progress)``, and its revision.
#: Raise the revision whenever a method's result can change: it is part of the cache key.
METHODS = {
    "optimal": 3, "nn": 2, "genetic": 1, "linear": 1, "lutapp": 1, "equal_error": 1,
    "continuous": 1,
}  # fmt: skip
#: What a method notes beside integers that are as before: part of the cache key, too, so that a
#: table without it is fitted anew.
_NOTED = {"nn": ["network"]}


def _key(problem: Problem, method: str, seed: int) -> str:
    """Return a SHA-256 over all that the result of a fit depends on."""
    description = [
        method, METHODS[method], seed, problem.function, problem.nn_range, problem.nn_signs,
        metadata.version("torch") if method == "nn" and find_spec("torch") else None,
        problem.digest(), *_NOTED.get(method, []),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(description).encode()).hexdigest()


def cache_folder() -> Path:
    """Return where fitted tables are kept: ``$NNLUT_CACHE``, else the user's cache folder."""
    if folder := os.environ.get("NNLUT_CACHE"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nnlut" / "tables"


def fit(
    problem: Problem, method: str = "optimal", *, seed: int = 0, progress: bool = False,
    cache: bool = True,
) -> PwlTable:  # fmt: skip
    """Fit a table.

    Parameters
    ----------
    problem : Problem
        What to fit.
    method : str
        One of `METHODS`.
    seed : int
        Seed of the methods that draw random numbers.
    progress : bool
        Show a progress bar, if standard error is a terminal.
    cache : bool
        Keep the result in `cache_folder`, and take it from there when it was fitted before. A
        damaged cache file is fitted anew.

    Returns
    -------
    PwlTable
        Its `meta` holds function, method, seed, objective, versions and measured errors.

    Raises
    ------
    UsageError
        If the method is unknown, or needs a package that is not installed.
    """
    if method not in METHODS:
        raise UsageError(f"the method must be one of {', '.join(METHODS)}, not {method!r}")
    path = cache_folder() / f"{_key(problem, method, seed)}.json"
    if cache:
        try:
            table = load(path)
            if isinstance(table, PwlTable) and problem.fits(table):
                return table
        except UsageError:
            pass  # not there yet, or damaged: fit, and replace it below
    module = importlib.import_module(f".{method}", __package__)
    if problem.constrained and method != "optimal":
        raise UsageError(f"constraints go with the method optimal, not with {method}")
    *integers, notes = module.solve(problem, seed, progress)
    used = problem.codes[problem.used]
    if problem.fold is not None:  # a code that its mirror image answers for counts, too
        used = problem.input.saturate(np.union1d(used, -used))
    used = problem.input.real(used)
    meta: dict[str, Any] = {
        "function": problem.function, "domain": [float(used[0]), float(used[-1])],
        "method": method,
        "revision": METHODS[method], "seed": seed,
        "objective": problem.objective, "weighted": problem.weights is not None,
        "entries": problem.entries, "problem": problem.digest(),
        "versions": {"nnlut": metadata.version("nnlut"), "numpy": np.__version__}, **notes,
    }  # fmt: skip
    if problem.sampled:  # neither errors nor a certificate are of all codes
        meta["samples"] = problem.codes.size
    table = problem.table(*integers, meta)
    meta["cost"] = problem.cost(table)
    meta["errors"] = metrics.table_errors(
        table, problem.target, problem.weights, codes=problem.codes
    )
    if cache:
        # A cache that cannot be written costs time, not the result.
        with contextlib.suppress(OSError):
            save(table, path)
    return table
