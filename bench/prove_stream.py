"""The stream contract of every kind of unit: ``python bench/prove_stream.py [KIND ...]``.

``--timeout`` is of each claim; ``--proofs-only`` plants no faults.

A row is a claim about a unit of `hw.catalogue.KINDS`; row units are shorter (`SHORT`), so that the
longest time to an answer can be searched. Then every fault of `hw.prove.stream_faults` is planted,
and must be refuted by the assertion that is about it. Seconds are those that processors worked.
"""

import argparse
import re
import time
from collections.abc import Iterator

from common import table, worked

from hw.catalogue import KINDS
from hw.design import design
from hw.prove import stream
from hw.prove.results import Task
from hw.prove.stream_faults import FAULTS, faulty
from hw.request import Request
from hw.verilog import to_verilog
from nnlut_train.errors import StepError

TOP = "unit_under_proof"
#: Beats of the longest row.
SHORT = 2
CLAIMS = ("paths", "held", "order", "answer")


def task(kind: str, timeout: int) -> Task:
    options = dict(KINDS[kind])
    if "length" in options:
        options["length"] = SHORT * options.get("lanes", 1)
        # One beat a row would be a unit without buffers.
        options["bits"] = min(options["bits"], 8 if "norm" in options["op"] else 4)
        options.pop("distance_bits", None)
        if "narrow" in kind:
            options |= {"bits": 5, "distance_bits": 4}
    request = Request(**options)
    spec = design(request, request.wanted[0])
    return Task(spec, to_verilog(spec, TOP, kind), TOP, timeout=timeout)


def refuted(unit: Task) -> str:
    """Plant every fault; return how many are refuted by what is about them."""
    missed = []
    for name, fault in FAULTS.items():
        try:
            stream.prove(faulty(unit, name))
        except StepError as error:
            if re.search(fault.shown_by, str(error)):
                continue
        missed.append(name)
    return f"{len(FAULTS) - len(missed)} of {len(FAULTS)}" + "".join(f"; not: {m}" for m in missed)


def rows(kinds: list[str], timeout: int, *, plant: bool) -> Iterator[tuple[str, ...]]:
    for kind in kinds:
        unit = task(kind, timeout)
        began, start = worked(), time.monotonic()
        proofs = stream.prove(unit)
        took, wall = worked() - began, time.monotonic() - start
        cells = [f"{p.engine}, {'-' if p.depth is None else p.depth}"
                 f"{'' if p.unbounded else ' from reset'}" if p.decided else "undecided"
                 for p in proofs]  # fmt: skip
        cells += ["-"] * (len(CLAIMS) - len(cells))
        began = worked()
        found = refuted(unit) if plant else "-"
        yield (kind, *cells, f"{took:.1f}", f"{wall:.0f}", found, f"{worked() - began:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="default: all")
    parser.add_argument("--timeout", type=int, default=300, metavar="S", help="default: 300")
    parser.add_argument("--proofs-only", action="store_true", help="plant no faults")
    options = parser.parse_args()
    for kind in options.kinds:
        if kind not in KINDS:
            parser.error(f"KIND must be one of {', '.join(KINDS)}, not {kind}")
    head = ("unit", *(f"{c}: engine, clocks" for c in CLAIMS), "proofs, s", "of wall clock",
            "faults refuted", "s")  # fmt: skip
    table(head, rows(options.kinds or list(KINDS), options.timeout, plant=not options.proofs_only))


if __name__ == "__main__":
    main()
