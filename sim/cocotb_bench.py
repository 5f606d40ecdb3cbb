"""cocotb bench of one unit: its Verilog against its test vectors, through AXI4-Stream bus models.

It needs cocotb 2.1 and cocotbext-axi, and nothing of the generator: all else is in ``bench.json``
beside it, and in ``../vectors``. Run by ``make``; see the Makefile.
"""

import json
import logging
import os
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource
from unit_coverage import Coverage
from unit_rows import Beat, beats_of, frames, kept_of, results_of, text

HERE = Path(__file__).resolve().parent
UNIT: dict[str, Any] = json.loads((HERE / "bench.json").read_text(encoding="utf-8"))
COVERAGE = Coverage(UNIT)
#: A file for the beats that leave, a line each as in ``../vectors/output.hex``, if one is wanted.
DUMP = open(os.environ["BEATS_DUMP"], "w") if os.environ.get("BEATS_DUMP") else None  # noqa: SIM115

# What the bus models print of themselves.
warnings.filterwarnings("ignore", module="cocotbext")
for _port in ("s_axis", "m_axis", "s_axil"):
    logging.getLogger(f"cocotb.{UNIT['top']}.{_port}").setLevel(logging.ERROR)


def vectors(name: str) -> list[Beat]:
    """Return the beats of ``../vectors/<name>.hex``."""
    return beats_of(HERE.parent / "vectors" / f"{name}.hex", UNIT["fields"][name])


def stalls(probability: float, seed: int) -> Iterator[bool]:
    """Yield whether to stall, for ever."""
    draw = random.Random(seed).random
    while True:
        yield draw() < probability


class Bench:
    """Clock, bus models and a monitor around the unit.

    Parameters
    ----------
    dut : HierarchyObject
        The unit.
    source, sink : float
        Share of the clocks in which each side stalls.
    """

    def __init__(self, dut: HierarchyObject, source: float = 0.0, sink: float = 0.0) -> None:
        self.dut = dut
        self.accepted = 0
        cocotb.start_soon(Clock(dut.aclk, 10, unit="ns").start())
        self.source, self.sink = (
            model(AxiStreamBus.from_prefix(dut, prefix), dut.aclk, dut.aresetn,
                  reset_active_level=False)
            for model, prefix in ((AxiStreamSource, "s_axis"), (AxiStreamSink, "m_axis"))
        )  # fmt: skip
        for model, share, seed in ((self.source, source, 0), (self.sink, sink, 1)):
            if share:
                model.set_pause_generator(stalls(share, cocotb.RANDOM_SEED + seed))
        self.outputs = [dut.m_axis_tdata, dut.m_axis_tlast]
        self.outputs += [dut.m_axis_tkeep] if hasattr(dut, "m_axis_tkeep") else []
        # Of writable units: nothing is written, and nothing read.
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready"):
            if hasattr(dut, f"s_axil_{name}"):
                getattr(dut, f"s_axil_{name}").value = 0
        self.watch: Any = None

    async def reset(self) -> None:
        """Reset the unit, and forget what was sent."""
        if self.watch is not None:
            self.watch.cancel()
            COVERAGE.cut()
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 4)
        self.source.clear()
        self.sink.clear()
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 2)
        self.accepted = 0
        self.watch = cocotb.start_soon(self._watch())
        self.check_flags(after_reset=True)

    def check_flags(self, *, after_reset: bool = False) -> None:
        """Check what the unit tells: nothing after a reset, else what the vectors give rise to."""
        for name, told in UNIT["flags"].items():
            wanted = 0 if after_reset else told
            found = int(getattr(self.dut, name).value)
            assert found == wanted, f"{name} must be {wanted}, not {found}"

    async def _watch(self) -> None:
        """Count every clock, and check that what is offered stays until it is taken."""
        dut, edge, held, quiet = self.dut, RisingEdge(self.dut.aclk), None, 0
        inputs = dut.s_axis_tvalid, dut.s_axis_tready
        outputs = dut.m_axis_tvalid, dut.m_axis_tready
        patience, digits = UNIT["patience"], UNIT["fields"]["output"]["tlast"][0] // 4 + 1
        while True:
            await edge
            valid, taken = (bool(int(port.value)) for port in inputs)
            offered, ready = (bool(int(port.value)) for port in outputs)
            COVERAGE.clock(valid, ready)
            if held is not None:
                now = [str(port.value) for port in self.outputs]
                assert offered, "a stalled beat was withdrawn"
                assert held == now, f"a stalled beat changed: it was {held}, and is {now}"
            if DUMP is not None and offered and ready:
                fields = UNIT["fields"]["output"]
                word = sum(int(getattr(dut, f"m_axis_{name}").value) << low
                           for name, (low, _) in fields.items())  # fmt: skip
                print(f"{word:0{digits}x}", file=DUMP)
            held = [str(port.value) for port in self.outputs] if offered and not ready else None
            if valid and taken:
                self.accepted += 1
                self._count()
            quiet = 0 if (valid and taken) or (offered and ready) else quiet + 1
            stuck = quiet > patience and not (offered and not ready)
            assert not stuck, f"nothing moves for {patience} clocks"

    def _count(self) -> None:
        """Count the beat on the input."""
        dut, form = self.dut, UNIT["input"]
        step, bits = 8 * form["bytes"], form["bits"]
        word = int(dut.s_axis_tdata.value)
        keep = int(dut.s_axis_tkeep.value) if hasattr(dut, "s_axis_tkeep") else -1
        user = int(dut.s_axis_tuser.value) if UNIT["user_bits"] else 0
        codes: list[int | None] = []
        for lane in range(UNIT["lanes"]):
            code = word >> lane * step & (1 << bits) - 1
            if form["signed"] and code >> bits - 1:
                code -= 1 << bits
            all_bytes = (1 << form["bytes"]) - 1
            codes.append(code if keep >> lane * form["bytes"] & all_bytes == all_bytes else None)
        COVERAGE.beat(codes, user, bool(int(dut.s_axis_tlast.value)))

    async def row(self) -> list[int | None]:
        """Return the next row that leaves."""
        return kept_of(await self.sink.recv(compact=False))

    async def compare(self, beats: list[Beat]) -> None:
        """Check that the rows of `beats` leave."""
        for index, wanted in enumerate(results_of(beats)):
            found = await self.row()
            assert found == wanted, f"row {index} must be {text(wanted)}, not {text(found)}"

    async def send(self, beats: list[Beat]) -> None:
        """Queue the rows of `beats`."""
        for row in frames(beats):
            await self.source.send(row)

    async def run(self) -> None:
        """Send all vectors, and check what leaves, that no more does, and the flags."""
        await self.send(vectors("input"))
        await self.compare(vectors("output"))
        await ClockCycles(self.dut.aclk, UNIT["drain"])
        assert self.sink.empty(), "the unit gives more rows than it was given"
        self.check_flags()

    async def run_some(self) -> None:
        """Send some rows of the vectors, and check what leaves."""
        entering, leaving = some(UNIT["some"])
        await self.send(entering)
        await self.compare(leaving)


async def start(dut: HierarchyObject, source: float = 0.0, sink: float = 0.0) -> Bench:
    """Return a bench around the unit, which was reset."""
    bench = Bench(dut, source, sink)
    await bench.reset()
    return bench


def some(count: int) -> tuple[list[Beat], list[Beat]]:
    """Return the first rows of the vectors, as many as have `count` beats, and their results."""
    entering, leaving = vectors("input"), vectors("output")
    end = min(count, len(entering)) - 1
    while not (entering[end][2] and leaving[end][2]):
        end += 1
    return entering[: end + 1], leaving[: end + 1]


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def full_rate(dut: HierarchyObject) -> None:
    """All vectors, back to back; nothing stalls."""
    await (await start(dut)).run()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def random_stalls(dut: HierarchyObject) -> None:
    """All vectors; both sides stall in a third of the clocks."""
    await (await start(dut, 0.33, 0.33)).run()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def source_stalls(dut: HierarchyObject) -> None:
    """Pass some rows; the source alone stalls, in most clocks."""
    await (await start(dut, 0.6, 0.0)).run_some()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def sink_stalls(dut: HierarchyObject) -> None:
    """Pass some rows; the sink alone stalls, in most clocks."""
    await (await start(dut, 0.0, 0.6)).run_some()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def sink_waits_for_valid(dut: HierarchyObject) -> None:
    """Be ready only after a row is offered: valid must not wait for it."""
    entering, leaving = some(1)
    bench = await start(dut)
    bench.sink.pause = True
    await bench.send(entering)
    for _ in range(UNIT["patience"]):
        await RisingEdge(dut.aclk)
        if int(dut.m_axis_tvalid.value):
            break
    else:
        raise AssertionError("tvalid waits for tready")
    bench.sink.pause = False
    await bench.compare(leaving)


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def reset_in_mid_row(dut: HierarchyObject) -> None:
    """Reset in the middle of a row, while earlier rows leave: all starts over."""
    entering, leaving = some(UNIT["some"])
    bench = await start(dut)
    vectors_in = vectors("input")
    await bench.send(vectors_in)
    at = UNIT["reset_after"]
    while vectors_in[at - 1][2]:
        at += 1
    while bench.accepted < at:
        await RisingEdge(dut.aclk)
    await bench.reset()
    await bench.send(entering)
    await bench.compare(leaving)


# After all others, also those of other modules.
@cocotb.test(stage=1)
async def coverage(dut: HierarchyObject) -> None:
    """All values of the input passed, where there are few enough; what else did is told."""
    dut._log.info("\n%s", COVERAGE.table())
    COVERAGE.write(Path(os.environ.get("COVERAGE_JSON", "coverage.json")))
    missed = COVERAGE.missed()
    assert not missed, f"not all bins were hit of {'; '.join(missed)}"
