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
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics
from ..errors import UsageError
from ..formats import Format
from ..tables import PwlTable, load, save

__all__ = ["METHODS", "OBJECTIVES", "Problem", "fit"]

#: Method name -> module of this package with ``solve(problem, seed, progress)``, and its revision.
#: Raise the revision whenever a method's result can change: it is part of the cache key.
METHODS = {"optimal": 1, "nn": 1}

#: ``mse``: least (weighted) sum of squared errors. ``max``: least maximum error.
OBJECTIVES = ("mse", "max")


@dataclass(frozen=True)
class Problem:
    """What a table shall approximate, and with which storage.

    Parameters
    ----------
    function : str
        Name for people and for the table's meta data.
    target : float64 array, shape (2**input.bits,)
        Wanted real value at every input code, ascending. Values that the output cannot hold are
        clipped to what it can.
    input, output, slope, intercept : Format
        Formats of the table; see `PwlTable`.
    entries : int
        Number of segments at most.
    objective : str
        One of `OBJECTIVES`. The error is measured before the output is rounded.
    weights : float64 array, shape (2**input.bits,), optional
        Non-negative weight of each code in the ``mse`` objective; equal weights by default. In
        either objective a code of weight 0 does not count.
    reference : callable, optional
        The function of a real argument behind `target`; `nn` samples it. Without it `nn` takes
        straight lines between the codes.
    nn_range, nn_signs : tuple
        See `nnlut_train.functions.Function`.
    """

    function: str
    target: np.ndarray
    input: Format
    output: Format
    slope: Format
    intercept: Format
    entries: int = 16
    objective: str = "mse"
    weights: np.ndarray | None = None
    reference: Callable[[np.ndarray], np.ndarray] | None = field(default=None, compare=False)
    nn_range: tuple[float, float] | None = None
    nn_signs: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        count = 1 << self.input.bits
        if self.target.shape != (count,) or np.isnan(self.target).any():
            raise UsageError(f"a problem's target must be {count} numbers, one an input code")
        if not 1 <= self.entries <= count:
            raise UsageError(f"entries must be 1 to {count}, not {self.entries}")
        if self.objective not in OBJECTIVES:
            raise UsageError(
                f"the objective must be one of {', '.join(OBJECTIVES)}, not {self.objective!r}"
            )
        object.__setattr__(self, "target", self.output.clip(self.target))
        if self.weights is not None:
            weights = np.asarray(self.weights, dtype=np.float64)
            fine = weights.shape == (count,) and np.isfinite(weights).all()
            if not fine or (weights < 0).any() or not weights.any():
                raise UsageError(f"weights must be {count} numbers >= 0, not all zero")
            object.__setattr__(self, "weights", weights)

    @property
    def domain(self) -> list[float]:
        """The real arguments of the first and the last input code."""
        return self.input.real(self.input.codes()[[0, -1]]).tolist()

    def fits(self, table: PwlTable) -> bool:
        """Return whether `table` has this problem's formats."""
        names = ("input", "output", "slope", "intercept")
        return all(getattr(table, name) == getattr(self, name) for name in names)

    def key(self, method: str, seed: int) -> str:
        """Return a SHA-256 over all that the result of a fit depends on."""
        digest = hashlib.sha256()
        description = [
            method, METHODS[method], seed, self.function, self.entries, self.objective,
            metadata.version("torch") if method == "nn" and find_spec("torch") else None,
            *(str(f) for f in (self.input, self.output, self.slope, self.intercept)),
            self.nn_range, self.nn_signs,
        ]  # fmt: skip
        digest.update(json.dumps(description).encode())
        for array in (self.target, self.weights):
            digest.update(b"none" if array is None else array.astype("<f8").tobytes())
        return digest.hexdigest()


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
    path = cache_folder() / f"{problem.key(method, seed)}.json"
    if cache:
        try:
            table = load(path)
            if isinstance(table, PwlTable) and problem.fits(table):
                return table
        except UsageError:
            pass  # not there yet, or damaged: fit, and replace it below
    module = importlib.import_module(f".{method}", __package__)
    breakpoints, slopes, intercepts, notes = module.solve(problem, seed, progress)
    meta: dict[str, Any] = {
        "function": problem.function, "domain": problem.domain, "method": method,
        "revision": METHODS[method], "seed": seed,
        "objective": problem.objective, "weighted": problem.weights is not None,
        "entries": problem.entries, **notes,
    }  # fmt: skip
    table = PwlTable(
        problem.input, problem.output, problem.slope, problem.intercept,
        tuple(map(int, breakpoints)), tuple(map(int, slopes)), tuple(map(int, intercepts)), meta,
    )  # fmt: skip
    meta["errors"] = metrics.table_errors(table, problem.target, problem.weights)
    if cache:
        # A cache that cannot be written costs time, not the result.
        with contextlib.suppress(OSError):
            save(table, path)
    return table
