"""The same random rows through four simulations of a unit: the beats that leave are identical.

``python bench/simulators.py [--beats N] [--cocotb-beats N] [--kinds KIND...]``: the unit in
Amaranth's simulator; and its exported Verilog in Icarus Verilog, by a plain testbench and by the
cocotb bench that is in every build, and in Verilator. Both sides stall in a quarter of the clocks,
in cocotb in a third. What leaves each is compared, bit by bit, with the golden model.

Prints beats a second that the processor worked for the simulation; of Icarus, compiling included. A
number in brackets is of so many beats, the first of the same rows. Fails where a beat differs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import table

from hw.axi import data_bytes
from hw.catalogue import KINDS
from hw.design import design
from hw.request import Request
from hw.units import unit_of
from hw.verilog import to_verilog
from nnlut_train.errors import StepError
from sim.bench import run_bench
from sim.golden import Spec
from sim.stimuli import Stimulus
from sim.stress import random_run, stress_verilog
from sim.vectors import Vectors, hex_fields, vectors_of
from sim.verilator import STALL, verilate_random
from sim.verilog import write_bench

TOP = "unit_top"
DEFAULT = ("pwl", "softmax", "layernorm", "writable")
HEAD = ("unit", "beats", "rows", "identical", "Amaranth", "Icarus", "Icarus, cocotb", "Verilator")


def in_amaranth(spec: Spec, run: Stimulus) -> tuple[list[str], float]:
    """Return what leaves the Amaranth unit, as lines of ``output.hex``, and the seconds."""
    stalling = replace(run, source_stall=STALL, sink_stall=STALL)
    began = time.process_time()
    report = run_bench(spec, unit_of(spec), [stalling])
    seconds = time.process_time() - began
    width, keep = 8 * spec.lanes * data_bytes(spec.output), spec.lanes > 1
    fields, step = hex_fields(width, keep=keep, user_bits=0), data_bytes(spec.output)
    lines = []
    for clock in report.trace:
        if clock.o_valid and clock.o_ready:
            word = clock.o_beat.last << fields["tlast"][0]
            for lane, code in enumerate(clock.o_beat.codes):
                if code is not None:
                    word |= (code & (1 << 8 * step) - 1) << 8 * step * lane
                    word |= ((1 << step) - 1) << width + step * lane if keep else 0
            lines.append(f"{word:0{fields['tlast'][0] // 4 + 1}x}")
    return lines, seconds


def in_cocotb(spec: Spec, vectors: Vectors, folder: Path) -> list[str]:
    """Return what leaves in the bench of a build."""
    write_bench(spec, vectors, TOP, folder)
    done = subprocess.run(
        ["make", "-C", folder / "cocotb", f"PYTHON={sys.executable}"], capture_output=True,
        text=True, check=False,
        env={**os.environ, "COCOTB_TEST_FILTER": "random_stalls$", "BEATS_DUMP": str(folder / "d")},
    )  # fmt: skip
    if done.returncode:
        raise StepError(f"cocotb failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return (folder / "d").read_text().split()


def children(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what some work gives, and the seconds that the programs that it calls worked."""
    before = sum(os.times()[2:4])
    result = work()
    return result, sum(os.times()[2:4]) - before


def masked(lines: Sequence[str], spec: Spec) -> list[int]:
    """Return beats as numbers, with 0 for the bytes that are not kept: they may be anything."""
    width = 8 * spec.lanes * data_bytes(spec.output)
    if spec.lanes == 1:
        return [int(line, 16) for line in lines]
    found = []
    for line in lines:
        # Icarus has an x for a bit that was never written.
        word = int(line.lower().replace("x", "0").replace("z", "0"), 16)
        keep = word >> width
        data = sum((word >> 8 * at & 255) << 8 * at for at in range(width // 8) if keep >> at & 1)
        found.append(keep << width | data)
    return found


def first(spec: Spec, run: Stimulus, beats: int) -> Stimulus:
    """Return the first rows of a run: at least so many beats."""
    total, count = 0, 0
    while total < beats:
        total += spec.beats(len(run.rows[count]))
        count += 1
    return replace(run, rows=run.rows[:count], users=run.users and run.users[:count],
                   keeps=run.keeps and run.keeps[:count])  # fmt: skip


def rows(kinds: Sequence[str], beats: int, fewer: int) -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for each unit."""
    for name in kinds:
        request = Request(**KINDS[name])
        spec = design(request, request.wanted[0])
        run = random_run(spec, beats, 0)
        vectors = vectors_of(spec, [run])
        count = len(vectors.output)
        few = vectors if fewer >= beats else vectors_of(spec, [first(spec, run, fewer)])
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            verilog = folder / f"{TOP}.v"
            verilog.write_text(to_verilog(spec, TOP, name))
            widths = tuple(8 * spec.lanes * data_bytes(f) for f in (spec.input, spec.output))
            golden = vectors.files(widths, spec.user_bits)["output.hex"].decode().split()
            wanted = masked(golden, spec)
            found, spent = {}, {}
            found["amaranth"], spent["amaranth"] = in_amaranth(spec, run)
            icarus, spent["icarus"] = children(
                lambda s=spec, v=verilog, d=folder / "i": stress_verilog(s, v, TOP, beats, dump=d)
            )
            verilator = verilate_random(spec, verilog, TOP, beats, dump=folder / "v")
            found["cocotb"], spent["cocotb"] = children(
                lambda s=spec, v=few, d=folder: in_cocotb(s, v, d)
            )
            found["icarus"] = (folder / "i").read_text().split()
            found["verilator"] = (folder / "v").read_text().split()
        for simulator, lines in found.items():
            there = wanted if simulator != "cocotb" else wanted[: len(few.output)]
            if masked(lines, spec) != there:
                raise StepError(f"{name}: the beats of {simulator} differ from the golden model's")
        brackets = "" if few is vectors else f" ({len(few.output):,} beats)"
        yield (name, f"{count:,}", f"{icarus.rows:,}", "yes",
               f"{count / spent['amaranth']:,.0f}", f"{count / spent['icarus']:,.0f}",
               f"{len(few.output) / spent['cocotb']:,.0f}{brackets}",
               f"{count / verilator.seconds:,.0f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beats", type=int, default=100_000)
    parser.add_argument("--cocotb-beats", type=int, default=100_000)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=DEFAULT, metavar="KIND")
    options = parser.parse_args()
    table(HEAD, rows(options.kinds, options.beats, options.cocotb_beats))


if __name__ == "__main__":
    main()
