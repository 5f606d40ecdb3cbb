"""The comparison's results as Markdown: one section a question, see `SECTIONS`."""

import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..protocol import CASES, SCALES
from .jobs import RANDOM

__all__ = ["OWN", "PUBLISHED", "SECTIONS", "label", "render", "select", "value"]

#: Names of the rows that are not a method on a shared table.
OWN = "optimal, own table per scale"
OWN_ONE = "optimal, own table of one scale"
PUBLISHED = "GQA-LUT, published table"

#: The sections' names, in the order of a text that is begun.
SECTIONS = {
    "settings": "Settings", "summary": "INT8 MSE, average over the scales",
    "grid": "MSE on the grid of 0.01", "scales": "INT8 MSE of each scale",
    "weighted": "Weighted MSE on the grid", "maximum": "Largest error on the grid",
    "widths": "MSE at 12 and 16 bits", "times": "CPU seconds of one fit",
    "seeds": "INT8 MSE of every seed", "nn": "INT8 MSE of every seed of nn, and dead breakpoints",
    "unused": "Unused entries and failures",
}  # fmt: skip

Rows = list[dict[str, Any]]


def select(results: Mapping[str, Any], entries: int, bits: int = 8) -> dict[tuple[str, str], Rows]:
    """Return the rows of shared tables, in the order of the seeds, by method and function."""
    found: dict[tuple[str, str], Rows] = {}
    for row in results["results"]:
        if row["entries"] == entries and row["bits"] == bits and row["scale"] is None:
            found.setdefault((row["method"], row["function"]), []).append(row)
    return found


def value(rows: Iterable[Mapping[str, Any]], metric: str) -> float | None:
    """Return the median of a metric over the seeds; None where nothing was fitted."""
    values = [row["metrics"][metric] for row in rows if "metrics" in row]
    return statistics.median(values) if values else None


def label(method: str, results: Mapping[str, Any]) -> str:
    """Return a method's name, and how many seeds its number is the median of."""
    seeds = results["seeds"]
    return f"{method}, median of {seeds}" if method in RANDOM and seeds > 1 else method


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(number: float | None, base: float | None = None) -> str:
    if number is None:
        return "-"
    text = re.sub(r"e([+-])0(?=\d)", r"e\1", f"{number:.2e}")  # 3.20e-5, as papers print it
    if base is None or not base:
        return text
    ratio = number / base
    return f"{text} ({ratio:.{1 if ratio < 100 else 0}f}x)"


def _scale(frac: int) -> str:
    return f"2^-{frac}" if frac else "1"


def _published(metric: str, work: str = "GQA-LUT") -> dict[tuple[str, int], dict[str, Any]]:
    """Return the recorded numbers of other works, by function and entries."""
    rows = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
    return {
        (row["function"], row["entries"]): row
        for row in rows if row["metric"] == metric and row["work"] == work
    }  # fmt: skip


def _own(results: Mapping[str, Any], function: str, entries: int) -> dict[str, float]:
    """Return scale -> mean squared error of the optimal table for this scale only.

    Empty unless all of them were fitted: the average of some would not be comparable.
    """
    rows = [
        row for row in results["results"]
        if row["scale"] is not None and row["function"] == function and row["entries"] == entries
    ]  # fmt: skip
    if any("metrics" not in row for row in rows):
        return {}
    return {str(row["scale"]): row["metrics"]["average_mse"] for row in rows}


def _anchors(results: Mapping[str, Any], entries: int) -> dict[str, dict[str, Any]]:
    return {
        row["function"]: row["metrics"] for row in results["anchors"] if row["entries"] == entries
    }


def _by_method(
    results: Mapping[str, Any], metric: str, entries: int, bits: int, *, ratio: bool = True,
    extra: Iterable[tuple[str, Mapping[str, Any]]] = (),
) -> str:  # fmt: skip
    """Return a table of one metric, a row a method and a column a function.

    `extra` are further rows: a name, and numbers or ready text by function.
    """
    found = select(results, entries, bits)
    functions = list(results["functions"])
    base = {f: value(found.get(("optimal", f), ()), metric) if ratio else None for f in functions}
    lines = []
    for method in results["methods"]:
        values = (value(found.get((method, f), ()), metric) for f in functions)
        bases = [None if method == "optimal" else base[f] for f in functions]
        cells = [_number(v, b) for v, b in zip(values, bases, strict=True)]
        lines.append([label(method, results), *cells])
    for name, numbers in extra:
        if any(f in numbers for f in functions):
            cells = [
                numbers[f] if isinstance(numbers.get(f), str) else _number(numbers.get(f), base[f])
                for f in functions
            ]
            lines.append([name, *cells])
    return f"{entries} entries:\n\n" + _table(["", *functions], lines)


def _all(results: Mapping[str, Any], metric: str, ratio: bool = True) -> str:
    """Return tables of one metric at 8 bits, with GQA-LUT's own tables."""
    return "\n\n".join(
        _by_method(results, metric, entries, 8, ratio=ratio, extra=[
            (PUBLISHED, {f: m[metric] for f, m in _anchors(results, entries).items()})
        ])
        for entries in results["entries"]
    )  # fmt: skip


def _summary(results: Mapping[str, Any]) -> str:
    parts = []
    for entries in results["entries"]:
        own = {f: _own(results, f, entries) for f in results["functions"]}
        extra = [
            (OWN, {f: statistics.fmean(v.values()) for f, v in own.items() if v}),
            (PUBLISHED, {f: m["average_mse"] for f, m in _anchors(results, entries).items()}),
        ]
        parts.append(_by_method(results, "average_mse", entries, 8, extra=extra))
    return "\n\n".join(parts)


def _whole(function: str) -> int:
    """Return the fraction bits of the finest scale whose INT8 codes reach the whole range."""
    low, high = CASES[function].function.domain
    return max(s for s in SCALES if low >= -128 * 2.0**-s and high <= 128 * 2.0**-s)


def _grid(results: Mapping[str, Any]) -> str:
    parts = []
    notes: dict[str, list[str]] = {}
    for entries in results["entries"]:
        own = {
            row["function"]: row["metrics"]["grid_mse"] for row in results["results"]
            if "metrics" in row and row["entries"] == entries and row["scale"] is not None
            and row["scale"] == _whole(row["function"])
        }  # fmt: skip
        anchors = {f: m["grid_mse"] for f, m in _anchors(results, entries).items()}
        extra: list[tuple[str, Mapping[str, Any]]] = [(OWN_ONE, own), (PUBLISHED, anchors)]
        for work in ("GQA-LUT", "earlier DP"):
            numbers = {}
            for function in results["functions"]:
                row = _published("grid_mse", work).get((function, entries))
                if row is not None:
                    numbers[function] = row["value"] + ("\\*" if row["note"] else "")
                    note = f"{work}, on record, COLUMNS: {row['source']}."
                    note += f" \\* {row['note']}." if row["note"] else ""
                    columns = notes.setdefault(note, [])
                    columns += [function] * (function not in columns)
            extra.append((f"{work}, on record", numbers))
        parts.append(_by_method(results, "grid_mse", entries, 8, extra=extra))
    lines = [f"* {note.replace('COLUMNS', ', '.join(c))}" for note, c in notes.items()]
    return "\n\n".join([*parts, "\n".join(lines)])


def _scales(results: Mapping[str, Any]) -> str:
    parts = []
    for function in results["functions"]:
        for entries in results["entries"]:
            found = select(results, entries)
            lines, scales = [], []
            for method in results["methods"]:
                rows = [r for r in found.get((method, function), ()) if "metrics" in r]
                if not rows:
                    continue
                scales = list(rows[0]["metrics"]["scale_mse"])
                values = [
                    statistics.median(r["metrics"]["scale_mse"][s] for r in rows) for s in scales
                ]
                cells = [*values, value(rows, "average_mse")]
                lines.append([label(method, results), *map(_number, cells)])
            if len(scales) < 2:
                continue
            if own := _own(results, function, entries):
                cells = [*own.values(), statistics.fmean(own.values())]
                lines.append([OWN, *map(_number, cells)])
            if anchor := _anchors(results, entries).get(function):
                cells = [*anchor["scale_mse"].values(), anchor["average_mse"]]
                lines.append([PUBLISHED, *map(_number, cells)])
            header = ["", *(_scale(int(s)) for s in scales), "average"]
            parts.append(f"{function}, {entries} entries:\n\n" + _table(header, lines))
    return "\n\n".join(parts)


def _widths(results: Mapping[str, Any]) -> str:
    parts = [
        f"{bits} bits, " + _by_method(results, "average_mse", entries, bits)
        for bits in results["bits"] if bits != 8
        for entries in results["entries"]
    ]  # fmt: skip
    gaps: dict[int, float] = {}
    for row in results["results"]:
        gap = row.get("table", {}).get("meta", {}).get("certificate", {}).get("gap", 0.0)
        gaps[row["bits"]] = max(gap, gaps.get(row["bits"], 0.0))
    parts += [
        f"At {bits} bits `optimal` is not proved to be the optimum: its squared error is at most "
        f"{100 * gap:.1f} % above it."
        for bits, gap in gaps.items() if gap
    ]  # fmt: skip
    return "\n\n".join(parts)


def _times(results: Mapping[str, Any]) -> str:
    lines = []
    for method in results["methods"]:
        cells = []
        for bits in results["bits"]:
            seconds = [
                row["seconds"] for row in results["results"]
                if (row["method"], row["bits"], row["scale"]) == (method, bits, None)
                and "metrics" in row
            ]  # fmt: skip
            cells.append(
                f"{statistics.median(seconds):.2g} ({max(seconds):.2g})" if seconds else "-"
            )
        lines.append([method, *cells])
    text = _table(["", *(f"{bits} bits" for bits in results["bits"])], lines)
    recorded = ", ".join(
        f"{function} {row['value']}"
        for (function, _), row in _published("seconds").items() if function in results["functions"]
    )  # fmt: skip
    if recorded:
        text += (
            f"\n\nOn record for GQA-LUT's own code, CPU seconds of one search with 8 entries in "
            f"one thread, on another day: {recorded}."
        )
    return text


def _seeds(results: Mapping[str, Any]) -> str:
    """Return every seed's number of the methods that draw random numbers, nn apart."""
    return _every_seed(results, [m for m in results["methods"] if m in RANDOM and m != "nn"])


def _every_seed(results: Mapping[str, Any], methods: Sequence[str]) -> str:
    lines = []
    for function in results["functions"]:
        for entries in results["entries"]:
            found = select(results, entries)
            for method in methods:
                rows = [r for r in found.get((method, function), ()) if "metrics" in r]
                if not rows:
                    continue
                values = [row["metrics"]["average_mse"] for row in rows]
                each = []
                for row, number in zip(rows, values, strict=True):
                    dead = row["table"]["meta"].get("dead_breakpoints")
                    each.append(_number(number) + ("" if dead is None else f" [{dead}]"))
                three = statistics.median(values), min(values), max(values)
                lines.append([f"{function}, {entries}", method, *map(_number, three),
                              ", ".join(each)])  # fmt: skip
    return _table(["", "method", "median", "least", "most", "every seed"], lines) if lines else ""


def _nn(results: Mapping[str, Any]) -> str:
    return _every_seed(results, [m for m in results["methods"] if m == "nn"])


def _unused(results: Mapping[str, Any]) -> str:
    """List tables with fewer segments than asked for, and problems that a method cannot do."""
    used: dict[str, dict[str, list[int]]] = {}
    lines: dict[str, None] = {}
    for row in results["results"]:
        own = "" if row["scale"] is None else f" at {_scale(row['scale'])}"
        name = f"{row['function']}-{row['entries']}, {row['bits']} bits{own}"
        if "error" in row:
            lines[f"* {row['method']}, {name}: not fitted: {row['error']}"] = None
        elif row["used_entries"] < row["entries"] and row["method"] != "nn":
            group = OWN if own else row["method"]
            used.setdefault(group, {}).setdefault(name, []).append(row["used_entries"])
    for group, names in used.items():
        several = group in RANDOM and results["seeds"] > 1
        texts = (
            f"{name}: {min(counts)}" + (f" at least, {len(counts)} seeds" if several else "")
            for name, counts in names.items()
        )
        lines[f"* {group}: {'; '.join(texts)}."] = None
    return "\n".join(lines) or "Every method fitted every problem, and used all entries."


def _settings(results: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {text}" for name, text in results["versions"].items())
    lines = [[function, text] for function, text in results["functions"].items()]
    return f"Versions: {versions}.\n\n" + _table(["", "distribution of the arguments"], lines)


def render(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the Markdown of every section, by its name.

    Parameters
    ----------
    results : mapping
        What ``results.json`` holds.
    """
    sections = {
        "summary": _summary(results) if 8 in results["bits"] else "",
        "grid": _grid(results) if 8 in results["bits"] else "",
        "scales": _scales(results),
        "weighted": _all(results, "weighted_mse") if 8 in results["bits"] else "",
        "maximum": _all(results, "max_error") if 8 in results["bits"] else "",
        "widths": _widths(results), "times": _times(results), "seeds": _seeds(results),
        "nn": _nn(results), "unused": _unused(results), "settings": _settings(results),
    }  # fmt: skip
    return {name: sections[name] or "Not measured in this run." for name in SECTIONS}
