"""An evaluation's results as figures, SVG and PNG; the same results give the same SVG."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from ..compare.figures import save
from ..errors import UsageError
from ..plot import BLUE, GREY, ORANGE
from ..reading import read_json
from .fidelity import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Mark", "draw", "fidelity", "loss", "read"]

#: Operations that a row may replace, a panel each; parts of one are drawn in its panel.
PANELS = ("softmax", "gelu", "layernorm", "all")
_PARTS = {"exp": "softmax", "1/x": "softmax", "1/sqrt": "layernorm"}
_MARKERS = {"softmax": "o", "gelu": "s", "layernorm": "^", "all": "D"}
#: Colours (Okabe and Ito's palette) by how a method's name begins; the numbers tell them apart too.
_COLORS = {
    "optimal": BLUE, "direct": "#56B4E9", "NN-LUT": ORANGE, "GQA-LUT": "#009E73",
    "I-BERT": "#CC79A7", "base 2": "#B59F00", "uniform": "#E69F00", "REXP": "#000000",
    "2D LUT": "#000000",
}  # fmt: skip
_DARK = "#555555"
#: Drift that a logarithmic axis begins at: less is drawn there.
LEAST = 1e-7
_METRICS = {"spearman": "Spearman", "accuracy": "accuracy"}
_DRIFTS = {
    "spearman": "1 - mean cosine of the embeddings with the exact model's",
    "accuracy": "KL divergence from the exact model's probabilities, nats",
}


@dataclass(frozen=True)
class Mark:
    """A row of the results, over its seeds.

    Parameters
    ----------
    name, ops : str
        The method, and what is replaced.
    metric : str
        ``spearman`` or ``accuracy``.
    difference, low, high : float
        Of the metric to the exact model's (of INT8 rows, to INT8 with exact functions), and its
        interval; of several seeds, mean and range. NaN where it has none.
    drift : float
        1 - mean cosine, or KL divergence; 0 or more, NaN where there is none.
    """

    name: str
    ops: str
    metric: str
    difference: float
    low: float
    high: float
    drift: float

    @property
    def panel(self) -> str:
        """The operation that is replaced as a whole or in part, or ``all``."""
        return _PARTS.get(self.ops, self.ops if self.ops in PANELS else "all")

    @property
    def color(self) -> str:
        """The colour of the method's family."""
        return next((c for start, c in _COLORS.items() if self.name.startswith(start)), _DARK)


def _mark(name: str, ops: str, results: Sequence[Result]) -> Mark:
    first = results[0]
    differences = [r.difference for r in results]
    low, high = min(differences), max(differences)
    if len(results) == 1:
        low, high = first.low, first.high
    drifts = [r.divergence if r.cosine is None else 1.0 - r.cosine for r in results]
    drift = math.nan if None in drifts else max(fmean(drifts), 0.0)
    return Mark(name, ops, first.metric, fmean(differences), low, high, drift)


def read(results: Path) -> list[Mark]:
    """Return the rows of a file of results, but the exact model's, in their order.

    Raises
    ------
    UsageError
        If the file cannot be read or holds no results.
    """
    try:
        rows = read_json(results)["rows"]
        found: dict[tuple[str, str], list[Result]] = {}
        for key, row in rows.items():
            parts = key.split(" | ")
            if len(parts) > 2 and "result" in row:
                # A softmax alone, and with optimal tables for the rest, is one method.
                name = re.sub(r" \+ optimal(, \d+ entries)?$", "", parts[0])
                name += " (to INT8)" if "int8" in parts[2:-1] else ""
                found.setdefault((name, parts[1]), []).append(Result.from_json(row["result"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{results}: must be results of evaluate") from error
    return [_mark(name, ops, each) for (name, ops), each in found.items()]


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _bare(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def _linear(marks: Sequence[Mark]) -> float:
    """Return up to which difference a scale is linear: a power of ten that some intervals reach."""
    reach = sorted(max(abs(m.low), abs(m.high)) for m in marks if math.isfinite(m.low + m.high))
    reach = [r for r in reach if r]
    return 10.0 ** math.ceil(math.log10(reach[len(reach) // 4])) if reach else 1e-3


def _symlog(axes: "Axes", name: str, linear: float, low: float, high: float) -> None:
    """Scale the axis x or y from `low` to `high`: linear up to `linear`, logarithmic beyond."""
    from matplotlib.ticker import NullLocator

    sizes = [10.0**d for d in range(round(math.log10(linear)), 1)]
    if max(-low, high) < 3.0 * linear:
        sizes.insert(0, 0.5 * linear)
    ticks = [sign * size for size in sizes for sign in (-1, 1) if low <= sign * size <= high]
    getattr(axes, f"set_{name}scale")("symlog", linthresh=linear)
    axis = getattr(axes, f"{name}axis")
    axis.set_ticks([0.0, *ticks], ["0", *(f"{tick:+g}" for tick in ticks)])
    axis.set_minor_locator(NullLocator())
    axes.set(**{f"{name}lim": (low, high)})


def _place(figure: "Figure", axes: "Axes", labels: Sequence[tuple[float, float, str, str]]) -> None:
    """Write a number beside each point, where none is yet; a thin line leads to those far off."""
    figure.draw_without_rendering()  # so that the scales are final
    points = [tuple(axes.transData.transform((x, y))) for x, y, _, _ in labels]
    dots = figure.dpi / 72.0
    taken = [(px, py, 4 * dots, 4 * dots) for px, py in points]
    for (x, y, text, color), (px, py) in zip(labels, points, strict=True):
        width, height = (2.2 * len(text) + 1.2) * dots, 4.2 * dots
        for step in range(160):
            radius, angle = (8 + 3.5 * (step // 16)), math.tau * (step % 16) / 16
            dx, dy = radius * math.cos(angle), radius * math.sin(angle)
            box = (px + dx * dots, py + dy * dots, width, height)
            if all(abs(box[0] - a) >= width + w or abs(box[1] - b) >= height + h
                   for a, b, w, h in taken):  # fmt: skip
                break
        taken.append(box)
        line = {"arrowstyle": "-", "linewidth": 0.4, "color": GREY, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            text, (x, y), (dx, dy), textcoords="offset points", fontsize=7, color=color,
            ha="center", va="center", arrowprops=line if radius > 12 else None,
        ).set_in_layout(False)  # fmt: skip


def fidelity(marks: Sequence[Mark]) -> "Figure | None":
    """Return fidelity against loss: a mark a row, its method by number; None if there is none."""
    from matplotlib.lines import Line2D

    drawn = [m for m in marks if math.isfinite(m.difference) and math.isfinite(m.drift)]
    if not drawn:
        return None
    names = list(dict.fromkeys(m.name for m in drawn))
    figure = _figure(9.6, 5.6)
    axes = figure.subplots()
    labels = []
    for m in drawn:
        x, y, whole = max(m.drift, LEAST), m.difference, m.panel == "all"
        axes.vlines(x, m.low, m.high, color=m.color, linewidth=0.8, alpha=0.6)
        axes.plot(x, y, marker=_MARKERS[m.panel], color=m.color, markersize=6 if whole else 4.5,
                  markerfacecolor=m.color if whole else "white", linestyle="none")  # fmt: skip
        labels.append((x, y, str(names.index(m.name) + 1), m.color))
    axes.set_xscale("log")
    linear = _linear(drawn)
    low, high = min(m.low for m in drawn), max(m.high for m in drawn)
    _symlog(axes, "y", linear, min(1.4 * low, -1.2 * linear), max(1.4 * high, 1.2 * linear))
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.grid(color=GREY, linewidth=0.4, alpha=0.4)
    _bare(axes)
    metric = drawn[0].metric
    axes.set_xlabel(_DRIFTS[metric])
    axes.set_ylabel(f"{_METRICS[metric]}, difference to the exact model's")
    handles = [
        Line2D([], [], linestyle="none", marker=_MARKERS[panel], color=_DARK, markersize=5,
               markerfacecolor=_DARK if panel == "all" else "white", label=f"{panel} replaced")
        for panel in PANELS if any(m.panel == panel for m in drawn)
    ]  # fmt: skip
    axes.legend(handles=handles, loc="lower left", fontsize=8, framealpha=0.9, edgecolor="none")
    colors = {m.name: m.color for m in drawn}
    figure.legend(
        handles=[Line2D([], [], linestyle="none", label=f"{number}  {name}")
                 for number, name in enumerate(names, 1)],
        loc="outside right center", frameon=False, fontsize=8, handlelength=0, handletextpad=0,
        labelcolor=[colors[name] for name in names],
    )  # fmt: skip
    _place(figure, axes, labels)
    return figure


def loss(marks: Sequence[Mark]) -> "Figure | None":
    """Return bars of the loss: a line a method, a panel an operation; None if there is none."""
    if not marks:
        return None
    names = list(dict.fromkeys(m.name for m in marks))
    panels = [p for p in PANELS if any(m.panel == p for m in marks)]
    figure = _figure(2.4 + 1.9 * len(panels), 1.1 + 0.27 * len(names))
    columns = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    finite = [m for m in marks if math.isfinite(m.low + m.high)]
    high = max([-m.low for m in finite if m.low < 0] or [0.0])
    low = min([-m.high for m in finite if m.high > 0] or [0.0])
    linear = _linear(marks)
    room = 50.0 if high > 3.0 * linear else 5.0  # for the numbers
    for axes, panel in zip(columns, panels, strict=True):
        for at, name in enumerate(names):
            rows = [m for m in marks if (m.name, m.panel) == (name, panel)]
            for i, m in enumerate(rows):
                y = at + 0.76 * ((i + 0.5) / len(rows) - 0.5)
                part = f"{m.ops} " if m.ops in _PARTS else ""
                _bar(axes, m, y, 0.66 / len(rows), part, 30.0 * linear)
        _symlog(axes, "x", linear, 1.2 * min(low, -linear), max(room * high, 3.0 * linear))
        axes.axvline(0, color=_DARK, linewidth=0.8)
        axes.grid(axis="x", color=GREY, linewidth=0.4, alpha=0.4)
        axes.set_title("all operations" if panel == "all" else f"{panel} alone", fontsize=10)
        axes.tick_params(axis="x", labelsize=7, labelrotation=60)
        axes.tick_params(axis="y", length=0)
        _bare(axes)
    columns[0].set_yticks(range(len(names)), names, fontsize=8)
    columns[0].set_ylim(len(names) - 0.4, -0.6)
    figure.supxlabel(f"loss of {_METRICS[marks[0].metric]}; orange where the interval leaves out 0",
                     fontsize=9)  # fmt: skip
    return figure


def _bar(axes: "Axes", mark: Mark, y: float, height: float, part: str, long: float) -> None:
    """Draw one bar with its interval and its number: behind it, or inside one beyond `long`."""
    loss = -mark.difference
    text = {"textcoords": "offset points", "fontsize": 6.5, "va": "center"}
    if not math.isfinite(loss + mark.low + mark.high):
        axes.annotate(f"{part}no metric", (0, y), (3, 0), color=ORANGE, **text)
        return
    color = ORANGE if mark.low > 0 or mark.high < 0 else BLUE
    axes.barh(y, loss, height, color=color, alpha=0.8)
    axes.hlines(y, -mark.high, -mark.low, color=_DARK, linewidth=0.8)
    if -mark.high > long:
        inside = text | {"ha": "right", "color": "white"}
        axes.annotate(f"{part}{loss:.4f}", (-mark.high, y), (-3, 0), **inside)
        return
    number = axes.annotate(
        f"{part}{loss:z.4f}", (max(-mark.low, 0), y), (3, 0), color=color, **text
    )
    number.set_in_layout(False)


def draw(results: Path) -> list[Path]:
    """Draw the results of a file beside it, and return the files.

    Parameters
    ----------
    results : Path
        ``results.json`` of an evaluation.

    Returns
    -------
    list of Path
        ``fidelity`` and ``loss``, SVG and PNG; none where matplotlib is not installed, or there are
        no rows to draw.

    Raises
    ------
    UsageError
        If the file cannot be read or holds no results, or the figures cannot be written.
    """
    if find_spec("matplotlib") is None:
        return []
    marks = read(results)
    figures = {"fidelity": fidelity(marks), "loss": loss(marks)}
    try:
        return save({name: f for name, f in figures.items() if f is not None}, results.parent)
    except OSError as error:
        raise UsageError(
            f"{results.parent}: figures cannot be written: {error.strerror or error}"
        ) from error
