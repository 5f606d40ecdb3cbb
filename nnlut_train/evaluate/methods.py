"""The ways to compute a model's non-linear operations that an evaluation compares."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import nn

from hw.plan import Plan

from ..network import functions_replaced, replaced
from ..network.calibrate import plan_of
from ..network.nnlut import train_tables
from ..network.observe import Observation, observe
from . import published
from .int8 import int8
from .tasks import Task

__all__ = ["EXACT", "INT8", "Bench", "Row", "plan_rows", "rows"]


def _all(**options: Any) -> dict[str, dict[str, Any]]:
    return {op: dict(options) for op in ("softmax", "gelu", "layernorm")}


def _merged(*parts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for part in parts:
        for op, options in part.items():
            merged.setdefault(op, {}).update(options)
    return merged


#: Units of the methods that `hw` builds: options beside the calibrated scales; see `plan_of`.
_UNITS: dict[str, dict[str, dict[str, Any]]] = {
    "optimal": {},
    "direct": _all(arch="direct"),
    "nnlut": _all(fit="nn"),
    "nnlut-plain": {
        "softmax": {"fit": "nn", "fold": "none"},
        "gelu": {"fit": "nn", "fold": "none"},
        "layernorm": {"fit": "nn"},
    },
    "gqalut": _all(fit="genetic"),
    # Its protocol: a plain exp table, and GELU on (-4, 4) in and out of 8 bits.
    "gqalut-int8": {
        "softmax": {"fit": "genetic", "fold": "none"},
        "gelu": {
            "fit": "genetic",
            "fold": "none",
            "bits": 8,
            "input_frac": 5,
            "output_bits": 8,
            "output_frac": 5,
        },
        "layernorm": {"fit": "genetic"},
    },
    "ibert": _all(method="ibert"),
    "base2": {"softmax": {"method": "base2"}},
    "rexp": {"softmax": {"method": "rexp"}},
    "lut2d": {"softmax": {"method": "lut2d"}},
    # Eight bits in and out everywhere, the scales calibrated as well as it goes.
    "narrow": {
        "softmax": {"bits": 8, "distance_bits": None},
        "gelu": {"bits": 8, "output_bits": 8, "fold": "none", "arch": "direct"},
        "layernorm": {"bits": 8, "output_bits": 8},
    },
}

_NAMES = {
    "optimal": "optimal", "direct": "direct tables", "nnlut": "NN-LUT's fit",
    "nnlut-plain": "NN-LUT's fit, plain tables", "gqalut": "GQA-LUT's fit",
    "gqalut-int8": "GQA-LUT INT8 as published", "ibert": "I-BERT", "base2": "base 2",
    "rexp": "REXP", "lut2d": "2D LUT", "narrow": "8 bits in and out",
}  # fmt: skip
#: Segments of the tables of published methods, as published.
_ENTRIES = {"nnlut": 16, "nnlut-plain": 16, "gqalut": 8, "gqalut-int8": 8}
#: Methods with lines of their own in as many segments as were asked for, and those with none.
_AS_ASKED, _NO_LINES = ("optimal", "base2", "narrow"), ("direct", "ibert")


class Bench:
    """A task's model, with what is computed once for all rows.

    Parameters
    ----------
    task : Task
        The task.
    seed : int
        Of calibration and fits.
    progress : bool
        Show progress on a terminal.
    """

    def __init__(self, task: Task, seed: int = 0, progress: bool = False) -> None:
        self.task, self.seed, self.progress = task, seed, progress
        self._plans: dict[str, Plan] = {}

    @property
    def model(self) -> nn.Module:
        """The model."""
        return self.task.model

    @cached_property
    def observations(self) -> dict[str, Observation]:
        """What the model's sites saw of the calibration data."""
        return observe(self.model, self.task.batches(), seed=self.seed, progress=self.progress)

    def plan(self, method: str, entries: int | None, tuned: bool = False) -> Plan:
        """Return the plan of a method of `hw`, made once; `tuned` by NN-LUT's own calibration."""
        name = f"{method}-{entries}-{tuned}"
        if name not in self._plans:
            if tuned:
                plan = self.plan(method, entries)
                made = train_tables(plan, self.observations, seed=self.seed, progress=self.progress)
            else:
                lengths = {op: {"length": n} for op, n in self.task.rows.items()}
                made = plan_of(
                    self.observations, entries=entries, ops=self.task.ops, seed=self.seed,
                    options=_merged(lengths, _UNITS[method]),
                )  # fmt: skip
            self._plans[name] = made
        return self._plans[name]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    method : str
        One of `nnlut_train.evaluate.METHODS`, or ``plan``.
    name : str
        The method as the table has it, such as ``optimal, 8 entries``.
    ops : str
        What is replaced: an operation, a part of one, ``all``, or ``none``.
    enter : callable
        From a bench to a context in which its model computes so.
    baseline : str, optional
        What it is compared with: ``exact``, or ``int8``: the exact non-linearities with INT8
        weights and activations. None for the exact model itself.
    plan : callable, optional
        From a bench to the plan behind it, if there is one.
    file : str
        What the plan's file is named after.
    """

    method: str
    name: str
    ops: str
    enter: Callable[[Bench], AbstractContextManager[Any]]
    baseline: str | None = "exact"
    plan: Callable[[Bench], Plan] | None = None
    file: str = ""

    @property
    def key(self) -> str:
        """Its name in the results' file: no two rows have the same."""
        if self.baseline is None:
            return "exact"
        return f"{self.name} | {self.ops}" + (" | int8" if self.baseline == "int8" else "")


def _part(plan: Plan, ops: str) -> Plan:
    """Return the part of a plan that serves one operation, or all of it."""
    if ops == "all":
        return plan
    return replace(plan, sites={n: site for n, site in plan.sites.items() if site.op == ops})


def _planned(method: str, name: str, ops: str, entries: int | None, tuned: bool = False) -> Row:
    def plan(bench: Bench) -> Plan:
        return bench.plan(method, entries, tuned)

    def enter(bench: Bench) -> AbstractContextManager[Any]:
        return replaced(bench.model, _part(plan(bench), ops))

    if ops != "all":
        return Row(method, name, ops, enter)
    words = (method, *([] if entries is None else [str(entries)]), *["train_tables"] * tuned)
    return Row(method, name, ops, enter, plan=plan, file="-".join(words))


@contextmanager
def _int8(bench: Bench, entries: int | None) -> Iterator[None]:
    with ExitStack() as stack:
        if entries is not None:
            plan = bench.plan("optimal", entries)
            stack.enter_context(replaced(bench.model, plan))
        stack.enter_context(int8(bench.model))
        yield


#: The model as it is.
EXACT = Row("exact", "exact, fp32", "none", lambda _: nullcontext(), baseline=None)
#: The exact non-linearities with INT8 weights and activations.
INT8 = Row("int8", "INT8, exact", "none", lambda bench: _int8(bench, None))


def _functions(name: str, ops: str, make: Callable[[Bench], dict[str, Any]]) -> Row:
    """Return a row of functions of real numbers, which are made when it is run."""
    return Row("published", name, ops, lambda bench: functions_replaced(bench.model, make(bench)))


def _published(ops: Sequence[str]) -> Iterator[Row]:
    """Yield the published tables taken literally: each function alone, and all."""
    for method, title in (("uniform", "uniform segments"), ("nn", "NN-LUT")):
        name = f"{title}, as published"

        def tables(bench: Bench, method: str = method, **options: Any) -> dict[str, Any]:
            made = published.functions(method, seed=bench.seed, progress=bench.progress, **options)
            return {op: made[op] for op in ops}

        def table(bench: Bench, function: str, method: str = method) -> published.RealTable:
            return published.table(method, function, seed=bench.seed, progress=bench.progress)

        if "softmax" in ops:
            yield _functions(
                name, "exp", lambda bench, t=table: {"softmax": published.softmax(t(bench, "exp"))}
            )
            yield _functions(
                name, "1/x",
                lambda bench, t=table: {"softmax": published.softmax(None, t(bench, "reciprocal"))},
            )  # fmt: skip
        if "gelu" in ops:
            yield _functions(name, "gelu", lambda bench, t=table: {"gelu": t(bench, "gelu")})
        if "layernorm" in ops:
            yield _functions(
                name, "1/sqrt",
                lambda bench, t=table: {"layernorm": published.layernorm(t(bench, "rsqrt"))},
            )  # fmt: skip
            if method == "uniform":
                # The variances that MiniLM has, all of them inside.
                yield _functions(
                    f"{title} on (0.003, 131)", "1/sqrt",
                    lambda bench: {"layernorm": published.layernorm(
                        published.uniform_table("rsqrt", 16, (0.003, 131.0))
                    )},
                )  # fmt: skip
        yield _functions(name, "all", tables)
        if "layernorm" in ops:
            yield _functions(
                f"{title}, 1/sqrt scaled", "all", lambda bench, t=tables: t(bench, scaling=True)
            )


def rows(methods: Sequence[str], entries: Sequence[int], ops: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a table, but for the exact model's.

    Parameters
    ----------
    methods : sequence of str
        Names of `nnlut_train.evaluate.METHODS`; ``poor`` has no rows.
    entries : sequence of int
        Segments of the optimal tables; other methods have the largest, or the published number.
    ops : sequence of str
        The model's operations, of softmax, gelu and layernorm.
    """
    for method in methods:
        if method == "published":
            yield from _published(ops)
        elif method == "int8":
            yield INT8
            for count in entries:
                yield Row(
                    "int8", f"INT8, optimal, {count} entries", "all",
                    lambda bench, n=count: _int8(bench, n), "int8",
                )  # fmt: skip
        elif method != "poor":
            yield from _hardware(method, entries, ops)


def plan_rows(plan: Plan, name: str) -> Iterator[Row]:
    """Yield the rows of a plan that was made before: each operation alone, and all.

    Parameters
    ----------
    plan : Plan
        The plan.
    name : str
        What the table calls it, beside the first digits of its checksum.
    """
    name = f"{name} ({plan.to_json()['checksum'][:8]})"
    ops = dict.fromkeys(site.op for site in plan.sites.values())
    for each in (*(ops if len(ops) > 1 else ()), "all"):
        yield Row(
            "plan", name, each, lambda bench, ops=each: replaced(bench.model, _part(plan, ops))
        )


def _hardware(method: str, entries: Sequence[int], ops: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a method of `hw`: each operation alone, and all."""
    title, own = _NAMES[method], _UNITS[method]
    alone = [op for op in ops if op in own or method == "optimal"]
    if not alone:
        return
    whole = alone == list(ops)
    for count in entries if method == "optimal" else (_ENTRIES.get(method, max(entries)),):
        name = f"{title}, {count} entries" if method in (*_AS_ASKED, *_ENTRIES) else title
        # Where others have a softmax alone, optimal tables do the rest.
        rest = "" if method in _AS_ASKED else f", {count} entries"
        full = name if whole else f"{name} + optimal{rest}"
        for tuned in (False, True) if method.startswith("nnlut") else (False,):
            end = ", calibrated" if tuned else ""
            used = None if method in _NO_LINES else count
            for each in alone:
                yield _planned(method, name + end, each, used, tuned)
            yield _planned(method, full + end, "all", used, tuned)
