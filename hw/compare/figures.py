"""Area against error, a picture a function: every architecture, and the Pareto front."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["draw", "pareto"]

#: Colours of the architectures, told apart by the colour-blind, too (Okabe and Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X")


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return those of (area, error) that no other is at most as large as in both, by area."""
    front: list[tuple[float, float]] = []
    for area, error in sorted(set(points)):
        if not front or error < front[-1][1]:
            front.append((area, error))
    return front


def draw(results: Mapping[str, Any], target: str, ops: Sequence[str], file: Path) -> None:
    """Draw area on a target against the largest error, a panel for each of `ops`.

    Parameters
    ----------
    results : mapping
        As `hw.compare.results` has them.
    target : str
        One of ``results["targets"]``, of gates.
    ops : sequence of str
        Functions.
    file : Path
        What to write; its suffix says as what.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot, ticker

    points = [p for p in results["points"] if p["group"] == "functions" and target in p["costs"]]
    archs = sorted({p["arch"] for p in points})
    unit = next(iter(points))["costs"][target]["unit"]
    columns = min(4, len(ops))
    rows = -(-len(ops) // columns)
    with pyplot.rc_context({"svg.hashsalt": "nnlut", "font.size": 9}):
        figure, axes = pyplot.subplots(
            rows, columns, figsize=(3.1 * columns, 2.7 * rows + 0.5), sharey=True, squeeze=False,
            layout="constrained",
        )  # fmt: skip
        for axis, op in zip(axes.flat, ops, strict=False):
            mine = [p for p in points if p["op"] == op]
            for number, arch in enumerate(archs):
                some = [(p["costs"][target]["area"], p["max_ulp"]) for p in mine
                        if p["arch"] == arch]  # fmt: skip
                if some:
                    axis.scatter(*zip(*some, strict=True), s=22, label=arch, zorder=3,
                                 color=COLOURS[number % len(COLOURS)],
                                 marker=MARKS[number % len(MARKS)])  # fmt: skip
            for bits in sorted({p["bits"] for p in mine}):
                front = pareto([(p["costs"][target]["area"], p["max_ulp"])
                                for p in mine if p["bits"] == bits])  # fmt: skip
                axis.plot(*zip(*front, strict=True), color="0.6", linewidth=1, zorder=2)
                axis.annotate(f"{bits} bit", front[0], xytext=(0, 7), textcoords="offset points",
                              ha="center", color="0.35", fontsize=8)  # fmt: skip
            axis.set(title=op, xscale="log", yscale="log", xlabel=f"area, {unit}")
            axis.margins(0.1, 0.12)  # room for the labels
            for side in (axis.xaxis, axis.yaxis):
                side.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
                side.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
                side.set_minor_formatter(ticker.NullFormatter())
            axis.grid(True, which="major", color="0.9")
        for axis in list(axes.flat)[len(ops) :]:
            axis.set_axis_off()
        for row in axes:
            row[0].set_ylabel("largest error, ulp")
        named = {}
        for axis in axes.flat:
            handles, labels = axis.get_legend_handles_labels()
            named.update(zip(labels, handles, strict=True))
        figure.legend(named.values(), named, loc="outside lower center", ncols=len(named),
                      frameon=False)  # fmt: skip
        metadata = {"Date": None} if file.suffix == ".svg" else None
        figure.savefig(file, metadata=metadata)
        pyplot.close(figure)
