"""The comparison's results as figures, SVG and PNG; the same results give the same SVG."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import metrics
from ..errors import UsageError
from ..files import from_json, write_bytes
from ..plot import BLUE, GREY, ORANGE, render
from ..protocol import CASES
from ..tables import PwlTable
from .jobs import RANDOM
from .report import OWN, PUBLISHED, label, select, value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "require", "save"]

#: Colour (Okabe and Ito's palette) and mark, so that none is told by colour alone.
STYLE = {
    "optimal": (BLUE, "o"), "nn": (ORANGE, "s"), "genetic": ("#009E73", "D"),
    "linear": ("#56B4E9", "^"), "lutapp": ("#CC79A7", "v"), "equal_error": ("#B59F00", "P"),
    "continuous": ("#000000", "X"), OWN: (BLUE, "_"), PUBLISHED: ("#009E73", "*"),
}  # fmt: skip


def require() -> None:
    """Raise `UsageError` if matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError("figures need matplotlib: pip install 'nnlut[plot]'") from error


def _style(name: str) -> dict[str, Any]:
    color, marker = STYLE.get(name, (GREY, "."))
    return {"color": color, "marker": marker, "linestyle": "none", "markersize": 7}


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _bare(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=GREY, linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)


def _average(results: Mapping[str, Any]) -> "Figure":
    """Average error by method: a column a function, a panel a number of entries."""
    functions = list(results["functions"])
    figure = _figure(4.4 * len(results["entries"]) + 1.6, 4.4)
    panels = np.atleast_1d(figure.subplots(1, len(results["entries"]), sharey=True))
    for axes, entries in zip(panels, results["entries"], strict=True):
        found = select(results, entries)
        names = [*results["methods"], *([PUBLISHED] if results["anchors"] else [])]
        anchors = {r["function"]: r["metrics"]["average_mse"] for r in results["anchors"]
                   if r["entries"] == entries}  # fmt: skip
        for place, name in enumerate(names):
            shift = 0.8 * (place - (len(names) - 1) / 2) / len(names)
            for at, function in enumerate(functions):
                rows = [r for r in found.get((name, function), ()) if "metrics" in r]
                values = [row["metrics"]["average_mse"] for row in rows]
                if name == PUBLISHED and function in anchors:
                    values = [anchors[function]]
                if not values:
                    continue
                middle = float(np.median(values))
                axes.vlines(at + shift, min(values), max(values), color=STYLE.get(name, (GREY,))[0],
                            linewidth=1.2)  # fmt: skip
                axes.plot(at + shift, middle, **_style(name))
            text = label(name, results)
            axes.plot([], [], **_style(name), label=text)
        axes.set_yscale("log")
        axes.set_xticks(range(len(functions)), functions)
        axes.set_xlim(-0.5, len(functions) - 0.5)
        axes.set_title(f"{entries} entries")
        _bare(axes)
    panels[0].set_ylabel("mean squared error at the INT8 codes,\naverage over the scales")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    return figure


def _time(results: Mapping[str, Any]) -> "Figure | None":
    """Error beside the time of fitting: a point a function and number of entries."""
    if "optimal" not in results["methods"]:
        return None  # what the errors are multiples of
    figure = _figure(7.2, 4.4)
    axes = figure.subplots()
    for name in results["methods"]:
        style = _style(name) | {"alpha": 0.75}
        for entries in results["entries"]:
            found = select(results, entries)
            for function in results["functions"]:
                rows = found.get((name, function), ())
                best = value(found.get(("optimal", function), ()), "average_mse")
                number = value(rows, "average_mse")
                if number is None or best is None:
                    continue
                seconds = float(np.median([r["seconds"] for r in rows if "metrics" in r]))
                axes.plot(max(seconds, 1e-3), number / best, **style)
        axes.plot([], [], **style, label=label(name, results))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axhline(1.0, color=GREY, linewidth=0.8, zorder=0)
    axes.set_xlabel("CPU seconds of one fit, 8 bits")
    axes.set_ylabel("mean squared error, multiple of optimal")
    _bare(axes)
    figure.legend(loc="outside right center", frameon=False)
    return figure


def _curves(results: Mapping[str, Any]) -> "Figure | None":
    """Error of gelu's lines over the argument, a panel a method; None without gelu."""
    if "gelu" not in results["functions"] or not results["entries"]:
        return None
    entries = 8 if 8 in results["entries"] else results["entries"][0]
    found = select(results, entries)
    gelu = CASES["gelu"].function
    x = metrics.grid(gelu.domain)
    curves = {}
    for name in results["methods"]:
        rows = [r for r in found.get((name, "gelu"), ()) if "metrics" in r]
        if rows:  # the median one, not the best
            rows.sort(key=lambda row: row["metrics"]["average_mse"])
            table = from_json(rows[(len(rows) - 1) // 2]["table"])
            assert isinstance(table, PwlTable)
            curves[name] = table.line(x) - gelu(x)
    for row in results["anchors"]:
        if (row["function"], row["entries"]) == ("gelu", entries):
            data = row["tables"][max(row["tables"])]
            i = np.searchsorted(data["breakpoints"], x, side="right")
            line = np.array(data["slopes"])[i] * x + np.array(data["intercepts"])[i]
            curves[PUBLISHED] = line - gelu(x)
    if not curves:
        return None
    columns = min(4, len(curves))
    lines = -(-len(curves) // columns)
    figure = _figure(2.6 * columns + 0.6, 1.9 * lines + 0.7)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (name, error) in zip(panels, curves.items(), strict=False):
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.plot(x, error, color=STYLE.get(name, (GREY,))[0], linewidth=1.2)
        axes.set_title(name + (", median seed" if name in RANDOM else ""), fontsize=10)
        _bare(axes)
    for axes in panels[len(curves) :]:
        axes.set_visible(False)
    for axes in panels[max(0, len(curves) - columns) : len(curves)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel("argument", fontsize=10)
    figure.supylabel(f"line - gelu, {entries} entries", fontsize=10)
    return figure


def draw(results: Mapping[str, Any]) -> "dict[str, Figure]":
    """Return the figures by file name without ending; those of 8 bits only if it was fitted.

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    """
    require()
    if 8 not in results["bits"]:
        return {}
    figures = {
        "average_mse": _average(results), "mse_time": _time(results),
        "gelu_error": _curves(results),
    }  # fmt: skip
    return {name: figure for name, figure in figures.items() if figure is not None}


def save(figures: "Mapping[str, Figure]", folder: Path) -> list[Path]:
    """Write figures as SVG and PNG, each in one piece, and return the files."""
    written = []
    for name, figure in figures.items():
        for suffix in (".svg", ".png"):
            written.append(folder / f"{name}{suffix}")
            write_bytes(written[-1], render(figure, suffix))
    return written
