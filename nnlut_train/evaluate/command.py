"""What ``python -m nnlut_train evaluate`` does, once torch is there."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hw.plan import Plan

from ..errors import UsageError
from ..fit.nn import threads
from . import METHODS, TASKS, poor
from .figures import draw
from .methods import EXACT, INT8, Bench, Row, plan_rows, rows
from .poor import Outcome
from .store import Store
from .table import Line, heads, markdown, text, training_markdown, training_text
from .tasks import Digits, Judge, MiniLM, Task, check_file

__all__ = ["run"]

#: Widths of the printed columns, but the first.
WIDTHS = (9, 8, 15, 18, 11, 16, 6)
#: What other rows are compared with.
BASELINES = {"exact": EXACT, "int8": INT8}
#: Packages whose versions may change a result.
PACKAGES = ("nnlut", "torch", "numpy", "scipy")


def _say(line: str = "") -> None:
    """Print a line at once, above the progress bar if there is one."""
    tqdm.write(line)
    sys.stdout.flush()


class _Evaluation:
    """Runs the rows of one seed."""

    def __init__(self, store: Store, task: Task, seed: int) -> None:
        self.store, self.seed, self.bench = store, seed, Bench(task, seed, progress=True)
        self._runs: dict[str, tuple[np.ndarray, float]] = {}
        self._judges: dict[str, Judge] = {}

    def _run(self, row: Row) -> tuple[np.ndarray, float]:
        """Return a row's answers and the seconds that they took; a baseline runs once."""
        if row.key in self._runs:
            return self._runs[row.key]
        task = self.bench.task
        _ = task.model  # so that loading or training it is not timed
        with row.enter(self.bench):
            began = time.perf_counter()
            answers = task.answers(progress=True)
            seconds = time.perf_counter() - began
        if row in BASELINES.values():
            self._runs[row.key] = answers, seconds
        return answers, seconds

    def _judge(self, name: str) -> Judge:
        """Return who judges against the exact model, or against INT8 with exact functions."""
        if name not in self._judges:
            self._judges[name] = self.bench.task.judge(self._run(BASELINES[name])[0])
        return self._judges[name]

    def row(self, row: Row) -> Line:
        """Return a row, run now or before."""
        entry = self.store.get(row.key, self.seed)
        if entry is None:
            judge = self._judge(row.baseline or "exact")
            answers, seconds = self._run(row)
            plan = None
            if row.plan is not None:
                plan = f"plan-{row.file}-seed{self.seed}.json", row.plan(self.bench)
            entry = self.store.put(
                row.key, self.seed, plan, result=judge.result(answers).to_json(),
                seconds=round(seconds, 2),
            )  # fmt: skip
        return Line(row.name, row.ops, [entry.result], entry["seconds"], row.baseline)

    def trained(self) -> Outcome:
        """Return what training brings back of what poor tables lost, run now or before."""
        entry = self.store.get("poor", self.seed)
        if entry is None:
            task = self.bench.task
            assert isinstance(task, Digits)
            outcome = poor.experiment(
                self.seed, folder=task.folder, progress=True, recipe=task.recipe
            )
            entry = self.store.put("poor", self.seed, outcome=asdict(outcome))
        return entry.outcome


def _merge(lines: Sequence[Line]) -> Line:
    """Return one line of all seeds."""
    first = lines[0]
    seconds = sum(line.seconds for line in lines) / len(lines)
    return Line(
        first.name, first.ops, [r for line in lines for r in line.results], seconds, first.baseline
    )  # fmt: skip


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that are wrong, and fill in those that depend on the model."""
    model = arguments.model
    if arguments.task not in (None, TASKS[model]):
        raise UsageError(f"--task must be {TASKS[model]} for --model {model}, not {arguments.task}")
    if model != "minilm":
        for name in ("data", "calibration"):
            if getattr(arguments, name) is not None:
                raise UsageError(f"--{name} goes with --model minilm, not with {model}")
    for method in arguments.methods or ():
        if method not in METHODS:
            raise UsageError(f"--methods must be of {', '.join(METHODS)}, not {method}")
        if method == "poor" and model != "vit-digits":
            raise UsageError(f"--methods poor goes with --model vit-digits, not with {model}")
    for name, values, low, high in (
        ("--entries", arguments.entries, 2, 256),
        ("--seeds", [arguments.seeds], 1, 100),
        ("--threads", [arguments.threads], 1, 1024),
    ):
        for value in values:
            if not low <= value <= high:
                raise UsageError(f"{name} must be {low} to {high}, not {value}")
    own = [method for method in METHODS if model == "vit-digits" or method != "poor"]
    # What is named twice is one row nevertheless.
    default = [] if arguments.plan else own
    arguments.methods = list(dict.fromkeys(arguments.methods or default))
    arguments.entries = list(dict.fromkeys(arguments.entries))
    arguments.out = arguments.out or Path("build/evaluate") / model


def run(arguments: argparse.Namespace) -> None:
    """Evaluate, print, and write.

    Raises
    ------
    UsageError
        If an option is wrong, a package is missing, or the folder holds other results.
    """
    _check(arguments)
    with threads(arguments.threads):
        _evaluate(arguments)


def _tasks(arguments: argparse.Namespace) -> list[Task]:
    """Return the model and its data for each seed: it changes a ViT's, of MiniLM only the fits."""
    if arguments.model == "vit-digits":
        folder = arguments.out / "weights"
        return [Digits(seed, folder, progress=True) for seed in range(arguments.seeds)]
    data = check_file("--data", arguments.data)
    if arguments.calibration is not None:
        check_file("--calibration", arguments.calibration)
    return [MiniLM(data, arguments.calibration)] * arguments.seeds


def _evaluate(arguments: argparse.Namespace) -> None:
    # Before the long work: a wrong file is told at once.
    plans = [(Plan.load(path), path.stem) for path in arguments.plan]
    tasks = _tasks(arguments)
    head = {"model": arguments.model, **tasks[0].describe(), "threads": arguments.threads}
    store = Store(
        arguments.out, head | {name: metadata.version(name) for name in PACKAGES}, arguments.force
    )
    for name, value in head.items():
        if not name.endswith("sha256"):  # for the file alone
            _say(f"{name}: {value}")
    wanted = [EXACT, *rows(arguments.methods, arguments.entries, tasks[0].ops)]
    for plan, name in plans:
        wanted += plan_rows(plan, name)
    widths = max(len(row.name) for row in wanted), *WIDTHS
    training = "poor" in arguments.methods
    lines: dict[str, list[Line]] = {}
    outcomes: list[Outcome] = []
    total = len(tasks) * (len(wanted) + training)
    with tqdm(total=total, unit="row", leave=False, disable=None) as bar:
        for seed, task in enumerate(tasks):
            evaluation = _Evaluation(store, task, seed)
            for row in wanted:
                bar.set_description(f"{row.name}, {row.ops}")
                line = evaluation.row(row)
                if not lines:
                    _say(f"\n{text(heads(line.results[0].metric, 1), widths)}")
                if row is EXACT and len(tasks) > 1:
                    _say(f"seed {seed}")
                lines.setdefault(row.key, []).append(line)
                _say(text(line.cells, widths))
                bar.update()
            if training:
                bar.set_description("poor tables")
                outcomes.append(evaluation.trained())
                bar.update()
    merged = [_merge(each) for each in lines.values()]
    head = heads(merged[0].results[0].metric, len(tasks))
    written = markdown(head, merged)
    if len(tasks) > 1:
        _say(f"\nmean of {len(tasks)} seeds\n{text(head, widths)}")
        for line in merged:
            _say(text(line.cells, widths))
    if training:
        _say(f"\n{training_text(outcomes)}")
        written += f"\n{training_markdown(outcomes)}"
    store.write_table(written)
    made = ["plan-*.json"] if any(row.plan for row in wanted) else []
    drawn = [path.name for path in draw(store.path)]
    files = ", ".join([store.path.name, store.table.name, *made, *drawn])
    _say(f"\nwritten to {store.folder}: {files}")
