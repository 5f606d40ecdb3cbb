"""The table of an evaluation, as text and as Markdown."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from .fidelity import Result
from .judge import LEVEL
from .poor import Outcome

__all__ = ["Line", "heads", "markdown", "text", "training_markdown", "training_text"]


@dataclass(frozen=True)
class Line:
    """A row of the table, of one or several seeds.

    Parameters
    ----------
    name, ops : str
        The method, and what is replaced.
    results : sequence of Result
        One of each seed.
    seconds : float
        Time of one run of the task, in the mean.
    baseline : str, optional
        What the difference is to: ``exact``, ``int8``, or None where there is none.
    """

    name: str
    ops: str
    results: Sequence[Result]
    seconds: float
    baseline: str | None = "exact"

    @property
    def cells(self) -> list[str]:
        """The row's cells, in the order of `heads`."""
        results = self.results
        fidelity = [
            _number(_mean(getattr(r, name) for r in results), 5)
            for name in _FIDELITY[results[0].metric]
        ]
        return [
            self.name, self.ops, _number(_mean(r.score for r in results), 4), *self._difference,
            *fidelity, f"{self.seconds:.1f}",
        ]  # fmt: skip

    @property
    def _difference(self) -> tuple[str, str]:
        """The difference, and its bootstrap interval or the range of the seeds."""
        if self.baseline is None:
            return "", ""
        differences = [r.difference for r in self.results]
        mean = _mean(differences)
        if len(differences) == 1:
            ends = [self.results[0].low, self.results[0].high]
        else:
            ends = [min(differences), max(differences)]
        if any(math.isnan(v) for v in (mean, *ends)):
            between = "none"
        else:
            between = " to ".join(map(_signed, ends))
        return _signed(mean) + (" to INT8" if self.baseline == "int8" else ""), between


_FIDELITY = {"spearman": ("cosine", "correlation"), "accuracy": ("agreement", "divergence")}
_HEADS = {
    "spearman": ("mean cosine", "rank correlation"),
    "accuracy": ("agreement", "KL, nats"),
}


def heads(metric: str, seeds: int) -> list[str]:
    """Return the table's heads."""
    between = f"{100 * (1 - LEVEL):g} % interval" if seeds == 1 else f"range of {seeds} seeds"
    title = {"spearman": "Spearman", "accuracy": "accuracy"}[metric]
    return ["method", "replaced", title, "difference", between, *_HEADS[metric], "s"]


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return math.nan if any(math.isnan(v) for v in values) else fmean(values)


def _number(value: float, digits: int) -> str:
    return "none" if math.isnan(value) else f"{value:.{digits}f}"


def _signed(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:+z.4f}"  # z: no -0.0000


def text(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return cells as a line of text."""
    left = "  ".join(f"{c:<{w}}" for c, w in zip(cells[:2], widths[:2], strict=True))
    rest = "  ".join(f"{c:>{w}}" for c, w in zip(cells[2:], widths[2:], strict=True))
    return f"{left}  {rest}".rstrip()


def markdown(head: Sequence[str], lines: Iterable[Line]) -> str:
    """Return the table in Markdown."""
    rule = ["---", "---", *(["---:"] * (len(head) - 2))]
    return _markdown([head, rule, *(line.cells for line in lines)])


def _markdown(rows: Iterable[Sequence[str]]) -> str:
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


_TRAINING = (
    "seed", "exact", "poor tables", "recast", "recast, then fine-tuned", "fine-tuned alone",
)  # fmt: skip


def _training(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Return the rows of the poor tables' experiment: accuracies, and what share came back."""
    rows = [_trained(str(o.seed), o) for o in outcomes]
    if len(outcomes) > 1:
        names = ("exact", "poor", "recast", "finetuned", "direct")
        means = {name: fmean(getattr(o, name) for o in outcomes) for name in names}
        rows.append(_trained("mean", replace(outcomes[0], **means)))
    return rows


def _trained(title: str, o: Outcome) -> list[str]:
    share = "{:.4f} ({:.0f} %)" if o.lost > 0 else "{:.4f}"  # of a loss there may be none
    trained = (share.format(a, 100 * o.recovered(a)) for a in (o.recast, o.finetuned, o.direct))
    return [title, f"{o.exact:.4f}", f"{o.poor:.4f}", *trained]


def training_text(outcomes: Sequence[Outcome]) -> str:
    """Return the table of the poor tables' experiment as text."""
    rows = [_TRAINING, *_training(outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def training_markdown(outcomes: Sequence[Outcome]) -> str:
    """Return the table of the poor tables' experiment in Markdown."""
    return _markdown([_TRAINING, ["---:"] * len(_TRAINING), *_training(outcomes)])
