"""Functional coverage of a unit's stream ports: what passed over them, counted in bins.

It lies beside `cocotb_bench` in the folder ``cocotb`` of a build, whose ``bench.json`` names the
bins.
"""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

#: By 1 where the source has no beat, plus 2 where the sink is not ready.
STALLS = ("neither side stalls", "source stalls", "sink stalls", "both sides stall")


class Coverage:
    """What passed over a unit's ports.

    Parameters
    ----------
    unit : dict
        ``bench.json``: the unit, and the bins.
    """

    def __init__(self, unit: dict[str, Any]) -> None:
        self.unit = unit
        #: The input code, and in a softmax its distance from the row's maximum: values that passed.
        self.values: list[set[int]] = [set() for _ in unit["coverage"]["values"]]
        self.lengths: Counter[int] = Counter()
        self.patterns: Counter[str] = Counter()
        self.stalls: Counter[str] = Counter()
        self.longest: Counter[str] = Counter()
        self.clocks = self.beats = 0
        self._row: list[tuple[list[int | None], int]] = []
        self._now, self._run = "", 0

    def clock(self, valid: bool, ready: bool) -> None:
        """Count a clock: whether the source has a beat, and the sink is ready."""
        self.clocks += 1
        name = STALLS[(not valid) + 2 * (not ready)]
        self._run = self._run + 1 if name == self._now else 1
        self._now = name
        self.stalls[name] += 1
        self.longest[name] = max(self.longest[name], self._run)

    def beat(self, codes: Sequence[int | None], user: int, last: bool) -> None:
        """Count a beat that the unit accepted: a code a lane, None where there is no element."""
        self.beats += 1
        self._row.append((list(codes), user))
        if last:
            self._count(self._row)
            self._row = []

    def cut(self) -> None:
        """Count a reset; it ends the row."""
        self.patterns["reset in mid-row" if self._row else "reset between rows"] += 1
        self._row = []

    def _count(self, beats: list[tuple[list[int | None], int]]) -> None:
        lanes, longest = self.unit["lanes"], self.unit["longest"]
        slots = [code for codes, _ in beats for code in codes]
        while slots and slots[-1] is None:
            slots.pop()
        self.lengths[len(slots)] += 1
        if len(beats) == 1:
            self.patterns["tlast on a row's first beat"] += 1
        if None in slots:
            self.patterns["lanes without an element in mid-row"] += 1
        if len(slots) % lanes:
            self.patterns["last beat of a row not full"] += 1
        users = [user for _, user in beats]
        masked = [bool(self.unit["mask"] and user >> lane & 1) for user in users
                  for lane in range(lanes)]  # fmt: skip
        if self.unit["mask"]:
            there = masked[: len(slots)]
            name = "all" if all(there) else "some" if any(there) else "no"
            self.patterns[f"{name} elements of a row masked"] += 1
        else:
            self.patterns.update(f"tuser = {user}" for user in users if self.unit["user_bits"])
        step = longest or len(slots) or 1
        for at in range(0, len(slots), step):
            here = range(at, min(at + step, len(slots)))
            self._values([slots[k] for k in here if slots[k] is not None and not masked[k]])

    def _values(self, codes: list[int]) -> None:
        for place, found in zip(self.unit["coverage"]["values"], self.values, strict=True):
            if place["of"] == "code":
                found.update(codes)
            elif codes:
                top = max(codes)
                found.update(top - code for code in codes)

    def bins(self) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield a group's name, its bins that were hit, and those that were missed."""
        wanted = self.unit["coverage"]
        for place, found in zip(wanted["values"], self.values, strict=True):
            low, high, starts = place["low"], place["high"], place["starts"]
            edges = [start + near for start in starts[1:] for near in (-1, 0, 1)]
            groups = {
                "segments": (range(len(starts)), {bisect_right(starts, x) - 1 for x in found}),
                "breakpoints, one below, one above":
                    (sorted({edge for edge in edges if low <= edge <= high}), found),
                "ends and zero": (sorted({low, high, *([0] if low <= 0 <= high else [])}), found),
            }  # fmt: skip
            if place["every"]:
                groups["every value"] = range(low, high + 1), found
            for name, (bins, hits) in groups.items():
                if name != "segments" or len(starts) > 1:
                    yield (f"{place['name']}: {name}", [str(k) for k in bins if k in hits],
                           [str(k) for k in bins if k not in hits])  # fmt: skip
        for name, bins, hits in (
            ("row lengths", wanted["lengths"], self.lengths),
            ("patterns", wanted["patterns"], self.patterns), ("stalls", list(STALLS), self.stalls),
        ):  # fmt: skip
            yield (name, [str(k) for k in bins if hits[k]], [str(k) for k in bins if not hits[k]])

    def missed(self) -> list[str]:
        """Return the groups that must be hit whole, and are not."""
        whole = [place["name"] for place in self.unit["coverage"]["values"] if place["every"]]
        return [name for name, _, missed in self.bins()
                if missed and name.split(":")[0] in whole]  # fmt: skip

    def table(self) -> str:
        """Return all groups as a short table."""
        lines = [f"coverage of {self.unit['top']}: {self.beats} beats in {self.clocks} clocks"]
        for name, hit, missed in self.bins():
            share = f"{len(hit)} of {len(hit) + len(missed)}"
            more = f"  missed: {', '.join(missed[:6])}{', ...' if missed[6:] else ''}"
            lines.append(f"  {name:<64} {share:>14}{more if missed else ''}")
        for name in STALLS:
            lines.append(
                f"  {name:<64} {self.stalls[name]:>14} clocks, {self.longest[name]} at a time"
            )
        for name in self.unit["coverage"]["inside"]:
            lines.append(f"  {name}: what enters this table is not on the ports, and not counted")
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """Write the same as JSON."""
        data = {
            "unit": self.unit["top"], "beats": self.beats, "clocks": self.clocks,
            "bins": {name: {"hit": len(hit), "of": len(hit) + len(missed), "missed": missed}
                     for name, hit, missed in self.bins()},
            "row_lengths": {str(length): count for length, count in sorted(self.lengths.items())},
            "patterns": dict(sorted(self.patterns.items())),
            "stalls": {name: {"clocks": self.stalls[name], "longest": self.longest[name]}
                       for name in STALLS},
            "not_counted": self.unit["coverage"]["inside"],
        }  # fmt: skip
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
