"""Every kind of unit in Icarus Verilog: 100,000 beats of random rows, both sides stalling.

``python bench/stress.py [BEATS]``; takes an hour. Nothing is lost, doubled or wrong, or it fails.
"""

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hw.catalogue import KINDS
from hw.design import design
from hw.request import Request
from hw.verilog import to_verilog
from sim.stress import stress_verilog

BEATS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000


def run(name: str) -> str:
    request = Request(**KINDS[name])
    spec = design(request, request.wanted[0])
    with tempfile.TemporaryDirectory() as folder:
        verilog = Path(folder) / "top.v"
        verilog.write_text(to_verilog(spec, "top", name))
        began = time.monotonic()
        done = stress_verilog(spec, verilog, "top", BEATS)
    seconds = time.monotonic() - began
    return (f"| {name} | {done.beats:,} | {done.rows:,} | {done.clocks:,} | "
            f"{done.beats / seconds:,.0f} |")  # fmt: skip


def main() -> None:
    print("| unit | beats | rows | clocks | beats a second |")
    print("|---|---|---|---|---|")
    with ThreadPoolExecutor() as pool:
        for line in pool.map(run, KINDS):
            print(line, flush=True)


if __name__ == "__main__":
    main()
