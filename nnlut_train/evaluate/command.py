"""What ``python -m nnlut_train evaluate`` does, once torch is there."""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UsageError
from ..files import write_bytes
from . import METHODS, poor
from .fidelity import Result
from .methods import Bench, Row, rows
from .poor import Outcome
from .store import Entry, Store
from .table import Line, heads, markdown, text, training_markdown, training_text
from .tasks import Digits, MiniLM, Task, check_file

__all__ = ["run"]

#: Widths of the printed columns.
WIDTHS = (32, 9, 8, 18, 20, 11, 16, 6)
EXACT = "exact"


def _task(arguments: argparse.Namespace, seed: int, loaded: dict[str, Task]) -> Task:
    """Return the model and its data; what does not depend on the seed is loaded once."""
    if arguments.model == "vit-digits":
        return Digits(seed, arguments.out / "weights", progress=True)
    if "minilm" not in loaded:
        data = check_file("--data", arguments.data)
        calibration = arguments.calibration
        if calibration is not None:
            check_file("--calibration", calibration)
        loaded["minilm"] = MiniLM(data, calibration)
    return loaded["minilm"]


class _Evaluation:
    """Runs the rows of one seed, and prints each as soon as it is known."""

    def __init__(self, store: Store, task: Task, seed: int) -> None:
        self.store, self.seed, self.bench = store, seed, Bench(task, seed, progress=True)
        self._seconds = 0.0
        self._judges: dict[str, Any] = {}

    def _run(self) -> tuple[np.ndarray, float]:
        began = time.perf_counter()
        answers = self.bench.task.answers(progress=True)
        return answers, time.perf_counter() - began

    def _baseline(self, name: str) -> Any:
        """Return who judges against the exact model, or against INT8 with exact functions."""
        if name not in self._judges:
            rest = rows(["int8"], [], self.bench.ops) if name != EXACT else ()
            with next((row.enter(self.bench) for row in rest), nullcontext()):
                answers, self._seconds = self._run()
            self._judges[name] = self.bench.task.judge(answers)
        return self._judges[name]

    def _put(self, key: str, result: Result, seconds: float, **more: Any) -> Entry:
        return self.store.put(
            key, self.seed, result=result.to_json(), seconds=round(seconds, 2), **more
        )

    def exact(self) -> Line:
        """Return the row of the exact model."""
        entry = self.store.get(EXACT, self.seed)
        if entry is None:
            judge = self._baseline(EXACT)
            entry = self._put(EXACT, judge.result(judge.exact), self._seconds)
        return Line("exact, fp32", "none", [entry.result], entry["seconds"])

    def row(self, row: Row) -> Line:
        """Return a row, run now or before."""
        entry = self.store.get(row.key, self.seed)
        if entry is None:
            judge = self._baseline(row.baseline)
            with row.enter(self.bench):
                answers, seconds = self._run()
            more = {}
            if row.plan is not None:
                plan = row.plan(self.bench)
                name = f"plan-{row.name}-seed{self.seed}.json".replace(" ", "_").replace(",", "")
                plan.save(self.store.path.parent / name, force=True)
                more["plan"] = name
            entry = self._put(row.key, judge.result(answers), seconds, **more)
        return Line(row.name, row.ops, [entry.result], entry["seconds"], row.baseline)

    def trained(self) -> Outcome:
        """Return what training brings back of what poor tables lost, run now or before."""
        entry = self.store.get("poor", self.seed)
        if entry is None:
            outcome = poor.experiment(self.seed, folder=self.store.path.parent / "weights")
            entry = self.store.put("poor", self.seed, outcome=asdict(outcome))
        return Outcome(**entry["outcome"])


def _merge(lines: Sequence[Line]) -> Line:
    """Return one line of all seeds."""
    first = lines[0]
    seconds = sum(line.seconds for line in lines) / len(lines)
    return Line(
        first.name, first.ops, [r for line in lines for r in line.results], seconds, first.baseline
    )  # fmt: skip


def _check(arguments: argparse.Namespace) -> None:
    task = {"minilm": "sts", "vit-digits": "digits"}[arguments.model]
    if arguments.task not in (None, task):
        raise UsageError(
            f"--task must be {task} for --model {arguments.model}, not {arguments.task}"
        )
    if arguments.model != "minilm":
        for name in ("data", "calibration"):
            if getattr(arguments, name) is not None:
                raise UsageError(f"--{name} goes with --model minilm, not with {arguments.model}")
    if arguments.methods is None:
        digits = arguments.model == "vit-digits"
        arguments.methods = [m for m in METHODS if digits or m != "poor"]
    if "poor" in arguments.methods and arguments.model != "vit-digits":
        raise UsageError(f"--methods poor goes with --model vit-digits, not {arguments.model}")
    for method in arguments.methods:
        if method not in METHODS:
            raise UsageError(f"--methods must be of {', '.join(METHODS)}, not {method}")
    for name, values, low, high in (
        ("--entries", arguments.entries, 2, 256),
        ("--seeds", [arguments.seeds], 1, 100),
        ("--threads", [arguments.threads], 1, 1024),
    ):
        for value in values:
            if not low <= value <= high:
                raise UsageError(f"{name} must be {low} to {high}, not {value}")


def run(arguments: argparse.Namespace) -> None:
    """Evaluate, print, and write.

    Raises
    ------
    UsageError
        If an option is wrong, a package is missing, or the folder holds other results.
    """
    _check(arguments)
    arguments.out = arguments.out or Path("build/evaluate") / arguments.model
    threads = torch.get_num_threads()
    torch.set_num_threads(arguments.threads)
    try:
        _evaluate(arguments)
    finally:
        torch.set_num_threads(threads)


def _evaluate(arguments: argparse.Namespace) -> None:
    loaded: dict[str, Task] = {}
    table: dict[str, list[Line]] = {}
    outcomes: list[Outcome] = []
    store = None
    # Seeds change a ViT's weights and data; MiniLM's, the fits.
    for seed in range(arguments.seeds):
        task = _task(arguments, seed, loaded)
        if store is None:
            versions = {name: metadata.version(name) for name in ("nnlut", "torch", "numpy")}
            head = {"model": task.name, **task.describe(), "versions": versions}
            store = Store(arguments.out, head, arguments.force)
        evaluation = _Evaluation(store, task, seed)
        if seed == 0:
            for name, value in task.describe().items():
                print(f"{name}: {value}")
        exact = evaluation.exact()
        metric = exact.results[0].metric
        if seed == 0:
            print(f"\n{text(heads(metric, 1), WIDTHS)}")
        if arguments.seeds > 1:
            print(f"seed {seed}")
        print(text(exact.cells, WIDTHS), flush=True)
        table.setdefault(EXACT, []).append(exact)
        for row in rows(
            [m for m in arguments.methods if m != "poor"], arguments.entries, evaluation.bench.ops
        ):
            line = evaluation.row(row)
            print(text(line.cells, WIDTHS), flush=True)
            table.setdefault(row.key, []).append(line)
        if "poor" in arguments.methods:
            outcomes.append(evaluation.trained())
    lines = [_merge(seeds) for seeds in table.values()]
    head = heads(lines[0].results[0].metric, arguments.seeds)
    if arguments.seeds > 1:
        print(f"\nmean of {arguments.seeds} seeds\n{text(head, WIDTHS)}")
        for line in lines:
            print(text(line.cells, WIDTHS))
    written = markdown(head, lines)
    if outcomes:
        print(f"\n{training_text(outcomes)}")
        written += f"\n{training_markdown(outcomes)}"
    path = arguments.out / "table.md"
    write_bytes(path, written.encode())
    print(f"\nwritten: {store.path}, {path}, and the plans beside them")
    sys.stdout.flush()
