"""The tables of a comparison in Markdown."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .points import LINES

__all__ = ["BLOCKS", "blocks", "fill"]

_Points = Sequence[Mapping[str, Any]]
#: What the marked blocks of a document are called, and hold.
BLOCKS = MappingProxyType({
    "functions": "Functions: every architecture",
    "chosen": "The smallest architecture against 16 plain lines",
    "baselines": "Precisions of the same unit of lines",
    "ibert": "Lines against I-BERT's units",
    "rows": "Softmax and the norms",
    "intervals": "Lanes that share multipliers",
})  # fmt: skip


def _markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def _size(cost: Mapping[str, Any] | None) -> str:
    """Return the figures of a cost in one cell."""
    if cost is None:
        return "-"
    if "area" in cost:
        return f"{cost['area']:,.1f} {cost['unit']}"
    more = [f"{cost[name]} {text}" for name, text in (("dsp", "DSP"), ("bram", "BRAM"))
            if cost.get(name)]  # fmt: skip
    return ", ".join([f"{cost['luts'] + cost['lutram']:,}", *more])


def _error(point: Mapping[str, Any]) -> str:
    """Return the largest error; that of many ulps without a fraction."""
    error = point["max_ulp"]
    return f"{error:.4f}" if error < 1000 else f"{error:,.0f}"


def _targets(points: _Points) -> list[str]:
    return list(dict.fromkeys(name for point in points for name in point["costs"]))


def _all(points: _Points) -> str:
    """Return every point with its error and its costs."""
    names = _targets(points)
    return _markdown(
        ("unit", "max ulp", "latency", *names),
        ((p["name"], _error(p), p["latency"], *(_size(p["costs"].get(name)) for name in names))
         for p in points if "refused" not in p),
    )  # fmt: skip


def _plain(points: _Points, op: str, bits: int) -> list[Mapping[str, Any]]:
    return [p for p in points if p["op"] == op and p["bits"] == bits and "refused" not in p]


def _chosen(points: _Points) -> str:
    """Return the smallest unit of each function, no less accurate than 16 lines."""
    names = _targets(points)
    rows = []
    for op in dict.fromkeys(p["op"] for p in points):
        for bits in sorted({p["bits"] for p in points}):
            mine = _plain(points, op, bits)
            # Of plain lines and lines behind a range reduction, the smaller one is the measure.
            lines = [p for p in mine if p["options"].get("entries") == LINES]
            for name in names if lines else ():
                reference = min(lines, key=lambda p: _scalar(p["costs"][name]))
                good = [p for p in mine if p["max_ulp"] <= reference["max_ulp"]]
                best = min(good, key=lambda p: _scalar(p["costs"][name]))
                ratio = _scalar(best["costs"][name]) / _scalar(reference["costs"][name])
                rows.append((op, bits, name, _size(reference["costs"][name]), _error(reference),
                             best["name"].partition(" ")[2], _size(best["costs"][name]),
                             _error(best), f"{ratio:.2f}"))  # fmt: skip
    return _markdown(
        ("function", "bits", "target", "lines", "max ulp", "smallest", "cost", "max ulp", "ratio"),
        rows,
    )


def _scalar(cost: Mapping[str, Any]) -> float:
    """Return the one number that architectures are compared by."""
    return cost["area"] if "area" in cost else cost["luts"] + cost["lutram"]


_MAKERS: Mapping[str, tuple[str, Callable[[_Points], str]]] = MappingProxyType({
    "functions": ("functions", _all), "chosen": ("functions", _chosen),
    "baselines": ("baselines", _all), "ibert": ("ibert", _all), "rows": ("rows", _all),
    "intervals": ("intervals", _all),
})  # fmt: skip


def blocks(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the tables of what was compared, by the names of `BLOCKS`."""
    made = {}
    for name, (group, make) in _MAKERS.items():
        points = [p for p in results["points"] if p["group"] == group]
        if points:
            made[name] = make(points)
    return made


def fill(page: str, made: Mapping[str, str]) -> str:
    """Return a Markdown page with its marked blocks filled; those not made stay as they are."""

    def block(match: re.Match[str]) -> str:
        name = match[2]
        return f"{match[1]}\n\n{made[name]}\n<!-- /cost -->" if name in made else match[0]

    return re.sub(r"(<!-- cost: ([a-z]+) -->)\n.*?<!-- /cost -->", block, page, flags=re.DOTALL)
