"""Every kind of unit in Icarus Verilog: 100,000 beats of random rows, both sides stalling.

``python bench/stress.py [BEATS] [KIND ...]``; takes some minutes. Fails if a beat is lost or wrong.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from common import table

from hw.catalogue import KINDS
from hw.design import design
from hw.request import Request
from hw.verilog import to_verilog
from sim.stress import stress_verilog


def rows(kinds: list[str], beats: int) -> Iterator[tuple[str, ...]]:
    for name in kinds:
        request = Request(**KINDS[name])
        spec = design(request, request.wanted[0])
        with tempfile.TemporaryDirectory() as folder:
            verilog = Path(folder) / "top.v"
            verilog.write_text(to_verilog(spec, "top", name))
            done = stress_verilog(spec, verilog, "top", beats)
        yield name, f"{done.beats:,}", f"{done.rows:,}", f"{done.clocks:,}"


def main() -> None:
    words = sys.argv[1:]
    beats = int(words.pop(0)) if words and words[0].isdigit() else 100_000
    table(("unit", "beats", "rows", "clocks"), rows(words or list(KINDS), beats))


if __name__ == "__main__":
    main()
