"""Mutation coverage of six kinds of unit: ``python bench/mutants.py [COUNT] [KIND ...]``.

Needs Verilator; 1,000 faults a kind take some minutes each. What is done is kept, so that an
interrupted run goes on; the seconds are then those of what was left. Survivors follow the table.
"""

import sys
from collections.abc import Iterator

from common import table

from hw import cache
from hw.catalogue import KINDS
from hw.design import design
from hw.request import Request
from hw.verilog import to_verilog
from sim.mutants.command import folder
from sim.mutants.coverage import COUNT, coverage

UNITS = {
    **{name: KINDS[name] for name in ("pwl", "direct", "reciprocal", "writable")},
    # So small that all rows can be simulated: what no row shows is proved.
    "softmax": {"op": "softmax", "bits": 4, "length": 3, "mask": True},
    "layernorm": {"op": "layernorm", "bits": 8, "length": 2},
}

survivors: list[str] = []


def rows(kinds: list[str], count: int) -> Iterator[tuple[str, ...]]:
    for name in kinds:
        request = Request(**UNITS[name])
        spec = design(request, request.wanted[0])
        found = coverage(spec, to_verilog(spec, "top", name), "top", count=count)
        survivors.extend(f"{name}: {each.line()}" for each in found.survivors)
        yield (
            name, f"{found.possible:,}", f"{found.mutants:,}", f"{found.killed:,}",
            f"{found.equivalent:,}", f"{len(found.survivors):,}",
            "-" if found.score is None else f"{found.score:.2%}", f"{found.seconds:,.0f}",
        )  # fmt: skip


def main() -> None:
    words = sys.argv[1:]
    count = int(words.pop(0)) if words and words[0].isdigit() else COUNT
    for name in words:
        if name not in UNITS:
            sys.exit(f"KIND must be one of {', '.join(UNITS)}, not {name}")
    head = ("unit", "possible", "mutants", "killed", "proved equivalent", "survivors", "score", "s")
    with cache.use(folder()):
        table(head, rows(words or list(UNITS), count))
    print(*survivors, sep="\n")


if __name__ == "__main__":
    main()
