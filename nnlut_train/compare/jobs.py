"""The comparison's work: which fits it asks for, and doing them so that a killed run resumes.

A *fit* is one row of the results. A *job* is what takes time, and is kept in a file: a fitted
table, or for the method nn a trained network, which serves all widths of a function alike.
"""

import contextlib
import functools
import hashlib
import importlib
import itertools
import json
import multiprocessing
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import interrupt, protocol
from ..errors import StepError, UsageError
from ..files import from_json, write_bytes
from ..fit import METHODS, Problem, fit, nn
from ..fit.making import quantize
from ..reading import read_json
from ..tables import PwlTable

__all__ = ["RANDOM", "Fit", "Result", "plan", "run_jobs"]

#: Methods that draw random numbers.
RANDOM = ("nn", "genetic", "lutapp")
#: Methods whose result changes with another one's revision, too.
BUILT_ON = {"lutapp": ("genetic",)}
#: Raise it when the content of a job's file changes.
SCHEMA = 1

#: What a job gives: JSON data with ``seconds`` (of the processor), and a table, a network or an
#: error.
Result = Mapping[str, Any]


@functools.lru_cache(maxsize=64)
def _problem(function: str, entries: int, bits: int, scale: int | None) -> Problem:
    if scale is None:
        return protocol.problem(function, entries, bits)
    problem = protocol.problem(function, entries, bits, (scale,))
    # As in `PwlTable.at`: an output has no more fraction bits than the product.
    output = problem.output
    frac = min(output.frac, problem.slope.frac + scale)
    return replace(problem, output=replace(output, frac=frac))


@dataclass(frozen=True)
class Fit:
    """One fit of the comparison.

    Parameters
    ----------
    function : str
        A key of `nnlut_train.protocol.CASES`.
    entries, bits : int
        See `nnlut_train.protocol.problem`.
    method : str
        A key of `nnlut_train.fit.METHODS`.
    seed : int
        Seed; 0 where the method draws no random numbers.
    scale : int, optional
        Fraction bits of the one input scale that has this table to itself; by default the
        protocol's scales share it.
    """

    function: str
    entries: int
    bits: int
    method: str
    seed: int = 0
    scale: int | None = None

    def problem(self) -> Problem:
        """Return what is fitted."""
        return _problem(self.function, self.entries, self.bits, self.scale)

    def key(self) -> str:
        """Return a SHA-256 over all that the job's result depends on; equal keys, one job."""
        problem = self.problem()
        what: list[Any] = [SCHEMA, self.method, METHODS[self.method], self.seed, self.function]
        what += [METHODS[name] for name in BUILT_ON.get(self.method, ())]
        what += [metadata.version("nnlut"), np.__version__]
        if self.method == "nn":  # the network does not know the width
            torch = metadata.version("torch") if find_spec("torch") else None
            x = np.linspace(*problem.domain, 1001)
            samples = hashlib.sha256(problem.core(x).astype("<f8").tobytes()).hexdigest()
            what += [torch, nn.STEPS, self.entries, problem.domain, problem.nn_signs, samples]
        else:
            what += [problem.digest()]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()

    def perform(self) -> dict[str, Any]:
        """Do the job and return its result, with the seconds that it took.

        What the method cannot do is a result, too: ``{"error": message}``.
        """
        problem = self.problem()
        with contextlib.suppress(ImportError):  # what is imported first takes seconds
            importlib.import_module(f"..fit.{self.method}", __package__)
            importlib.import_module("torch" if self.method == "nn" else "numpy")
        started, wall = time.process_time(), time.perf_counter()
        try:
            if self.method == "nn":
                network = nn.train(
                    problem.core, problem.domain, self.entries, problem.nn_signs, self.seed
                )
                fields = {name: getattr(network, name).tolist() for name in ("m", "n", "b")}
                result: dict[str, Any] = {"network": fields | {"loss": network.loss}}
            else:
                table = fit(problem, self.method, seed=self.seed, cache=False)
                result = {"table": table.to_json()}
        except UsageError as error:
            result = {"error": str(error)}
        seconds, wall = time.process_time() - started, time.perf_counter() - wall
        return result | {"seconds": round(seconds, 5), "wall_seconds": round(wall, 5)}

    def table(self, result: Result) -> PwlTable:
        """Return the table that `result`, this fit's job, stands for.

        Raises
        ------
        UsageError
            If it is no table of this fit's problem.
        """
        problem = self.problem()
        if self.method != "nn":
            table = from_json(result["table"])
            if not isinstance(table, PwlTable) or not problem.fits(table):
                raise UsageError(f"{self}: the table has other formats than the problem")
            return table
        fields = result["network"]
        arrays = (np.array(fields[name], dtype=np.float64) for name in ("m", "n", "b"))
        network = nn.Network(*arrays, loss=fields["loss"])
        integers = quantize(problem, *nn.to_float_table(network))
        points = problem.points()
        error = network(points.x) - points.target
        meta = {
            "function": self.function, "domain": list(problem.domain), "method": "nn",
            "revision": METHODS["nn"], "seed": self.seed, "objective": problem.objective,
            "entries": self.entries, "problem": problem.digest(), "steps": nn.STEPS,
            "loss": network.loss, "float_mse": float(points.weight @ error**2),
            "dead_breakpoints": self.entries - 1 - len(integers[0]),
        }  # fmt: skip
        meta["cost"] = problem.cost(problem.table(*integers, {}))
        return problem.table(*integers, meta)


def plan(
    functions: Iterable[str], methods: Iterable[str], entries: Iterable[int], bits: Iterable[int],
    seeds: int,
) -> list[Fit]:  # fmt: skip
    """Return the fits of the comparison, in the order of the results.

    Where the method optimal and 8 bits are asked for, a table of its own is added for each of the
    scales that share one by the protocol: what a generator reaches that knows the scale.

    Parameters
    ----------
    functions, methods, entries, bits
        The axes; see `Fit`.
    seeds : int
        How many seeds the methods of `RANDOM` get.
    """
    fits = []
    for function, count, width, method in itertools.product(functions, entries, bits, methods):
        repeats = seeds if method in RANDOM else 1
        fits += [Fit(function, count, width, method, seed) for seed in range(repeats)]
        if method == "optimal" and width == 8 and protocol.CASES[function].shared:
            fits += [Fit(function, count, 8, method, 0, scale) for scale in protocol.SCALES]
    return fits


def _checksum(key: str, result: Result) -> str:
    return hashlib.sha256(json.dumps([key, result], sort_keys=True).encode()).hexdigest()


def _kept(path: Path, key: str, item: Fit) -> dict[str, Any] | None:
    """Return a job's kept result; None if there is none, or its file is damaged."""
    try:
        data = read_json(path)
        item.table(data["result"])
        return data["result"] if data["checksum"] == _checksum(key, data["result"]) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _perform(item: Fit) -> dict[str, Any]:
    return item.perform()


def _enter_worker() -> None:
    """Prepare a process of the pool; see `interrupt.enter_worker`."""
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, left behind when terminated
    interrupt.enter_worker()


def _results(todo: Mapping[str, Fit], processes: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Do the jobs, in as many processes, and yield key and result of each as it ends."""
    if processes == 1:
        for key, item in todo.items():
            yield key, item.perform()
        return
    # A fresh interpreter each: forking a process that has threads is unsafe.
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    with ProcessPoolExecutor(processes, context, _enter_worker) as pool:
        futures = {pool.submit(_perform, item): key for key, item in todo.items()}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise StepError(
                "a worker process was killed, by too little memory perhaps; the finished fits "
                "are kept, so try again with fewer --jobs"
            ) from error
        except BaseException:
            # Nobody waits for what runs: its result would not be kept.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            raise


def run_jobs(fits: Iterable[Fit], work: Path, processes: int) -> dict[Fit, dict[str, Any]]:
    """Return the result of every fit's job; do those that `work` does not hold yet.

    Parameters
    ----------
    fits : iterable of Fit
        What is asked for.
    work : Path
        Folder with a file a finished job, written when it ends. A damaged file is replaced.
    processes : int
        How many processes fit at a time.

    Raises
    ------
    StepError
        If a worker process was killed.
    """
    keys = {item: item.key() for item in fits}
    paths = {key: work / f"{key}.json" for key in keys.values()}
    items = {key: item for item, key in reversed(keys.items())}
    results = {key: _kept(paths[key], key, items[key]) for key in paths}
    todo = {key: items[key] for key, result in results.items() if result is None}
    # The longest first, so that the processes end together.
    todo = dict(sorted(todo.items(), key=lambda pair: pair[1].method != "nn"))
    with (
        tqdm(total=len(todo), desc="compare", unit="fit", disable=None) as bar,
        contextlib.closing(_results(todo, processes)) as done,
    ):
        for key, result in done:
            results[key] = result
            bar.update()
            if "error" not in result:  # a package may be installed by the next run
                data = {"result": result, "checksum": _checksum(key, result)}
                write_bytes(paths[key], json.dumps(data).encode())
    return {item: results[key] for item, key in keys.items()}
