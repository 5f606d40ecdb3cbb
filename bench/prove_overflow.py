"""No overflow in every kind of unit: ``python bench/prove_overflow.py [KIND ...]``.

A row is a unit of `hw.catalogue.KINDS`. Its claims are proved, and then claimed of one bit fewer:
that refutes those that are tight; at least one must be. Seconds are those that processors worked.
"""

import sys
import time
from collections.abc import Iterator

from common import table, worked

from hw.catalogue import KINDS
from hw.design import design
from hw.prove import overflow
from hw.prove.results import Inapplicable, Task
from hw.request import Request
from nnlut_train.errors import StepError

TIMEOUT = 300


def tight(task: Task) -> tuple[int, int]:
    """Return how many claims there are, and how many are refuted of one bit fewer."""
    circuit, claims, steps = overflow.claims_of(overflow.bare(task.spec), step="fewer", fewer=1)
    graph, literals, _ = overflow.unrolled(circuit, claims, steps, "fewer")
    count = 0
    for name, literal in literals.items():
        try:
            overflow.settled(graph, {name: literal}, "fewer", TIMEOUT)
        except StepError as error:
            count += "refuted: " in str(error)
    return len(claims), count


def rows(kinds: list[str]) -> Iterator[tuple[str, ...]]:
    for kind in kinds:
        request = Request(**KINDS[kind])
        task = Task(design(request, request.wanted[0]), "", kind, timeout=TIMEOUT)
        began, start = worked(), time.monotonic()
        try:
            (proof,) = overflow.prove(task)
        except Inapplicable:
            yield kind, "0", *["-"] * 5
            continue
        took, wall = worked() - began, time.monotonic() - start
        count, refuted = tight(task)
        if not refuted:
            sys.exit(f"{kind}: a claim of one bit fewer must be refuted, but none of {count} is")
        yield (kind, str(count), proof.engine, str(proof.depth), f"{took:.1f}", f"{wall:.0f}",
               f"{refuted} of {count}")  # fmt: skip


def main() -> None:
    kinds = sys.argv[1:] or list(KINDS)
    for kind in kinds:
        if kind not in KINDS:
            sys.exit(f"KIND must be one of {', '.join(KINDS)}, not {kind}")
    table(("unit", "claims", "engine", "clocks", "s", "of wall clock", "refuted of one bit fewer"),
          rows(kinds))  # fmt: skip


if __name__ == "__main__":
    main()
