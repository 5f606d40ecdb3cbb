"""cocotb tests of exported Verilog: its vectors, through AXI4-Stream bus models.

Run by `sim.verilog`; the environment variable NNLUT_BUILD names the build folder.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from hw.manifest import load_build
from sim.vectors import load_vectors


def stalls(probability: float, seed: int) -> Iterator[bool]:
    """Yield whether to stall, for ever."""
    draw = random.Random(seed).random
    while True:
        yield draw() < probability


def frames(
    codes: np.ndarray, keep: np.ndarray | None, user: np.ndarray | None, last: np.ndarray,
    size: int,
) -> list[AxiStreamFrame]:  # fmt: skip
    """Return a frame a row, `size` bytes a beat, in the order of the lanes."""
    codes = codes.reshape(len(codes), -1)
    step = size // codes.shape[1]
    rows: list[AxiStreamFrame] = []
    row = AxiStreamFrame(b"", tkeep=[], tuser=[])
    for beat, lanes in enumerate((codes & ((1 << 8 * step) - 1)).tolist()):
        for lane, code in enumerate(lanes):
            row.tdata += code.to_bytes(step, "little")
            row.tkeep += [1 if keep is None else int(keep[beat, lane])] * step
            row.tuser += [0 if user is None else int(user[beat])] * step
        if last[beat]:
            rows.append(row)
            row = AxiStreamFrame(b"", tkeep=[], tuser=[])
    assert not row.tdata, "the vectors must end with a row's end"
    return rows


def kept(frame: AxiStreamFrame) -> list[int | None]:
    """Return the bytes of a frame, None for those that are not kept."""
    keep = frame.tkeep or [1] * len(frame.tdata)
    return [byte if kept else None for byte, kept in zip(frame.tdata, keep, strict=True)]


async def start(dut: HierarchyObject, stall: float) -> tuple[AxiStreamSource, AxiStreamSink]:
    """Start clock and bus models, and reset the unit; return source and sink."""
    cocotb.start_soon(Clock(dut.aclk, 10, unit="ns").start())
    source, sink = (
        model(AxiStreamBus.from_prefix(dut, prefix), dut.aclk, dut.aresetn,
              reset_active_level=False)
        for model, prefix in ((AxiStreamSource, "s_axis"), (AxiStreamSink, "m_axis"))
    )  # fmt: skip
    for model in (source, sink):
        model.log.setLevel("WARNING")
    if stall:
        source.set_pause_generator(stalls(stall, cocotb.RANDOM_SEED))
        sink.set_pause_generator(stalls(stall, cocotb.RANDOM_SEED + 1))
    # Of writable units: nothing is written, and nothing read.
    for name in ("awvalid", "wvalid", "bready", "arvalid", "rready"):
        if hasattr(dut, f"s_axil_{name}"):
            getattr(dut, f"s_axil_{name}").value = 0
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 4)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    return source, sink


def text(row: list[int | None]) -> str:
    """Return the bytes of a row in hexadecimal, a low line each for those that are not kept."""
    return "".join("__" if byte is None else f"{byte:02x}" for byte in row)


async def _run(dut: HierarchyObject, stall: float) -> None:
    build = load_build(Path(os.environ["NNLUT_BUILD"]))
    vectors = load_vectors(build.folder / "vectors" / "vectors.npz")
    source, sink = await start(dut, stall)
    sizes = [len(port) // 8 for port in (dut.s_axis_tdata, dut.m_axis_tdata)]
    entering = vectors.input, vectors.input_keep, vectors.input_user, vectors.input_last
    for row in frames(*entering, sizes[0]):
        await source.send(row)
    leaving = vectors.output, vectors.output_keep, None, vectors.output_last
    for index, row in enumerate(frames(*leaving, sizes[1])):
        wanted, result = kept(row), kept(await sink.recv(compact=False))
        assert result == wanted, f"row {index} must be {text(wanted)}, not {text(result)}"
    spec = build.spec()
    await ClockCycles(dut.aclk, 32 + spec.latency_of(spec.longest or 1))
    assert sink.empty(), "the unit gives more rows than it was given"
    # One row of the vectors is too long, and lanes are missing.
    for flag in ("overlong", "holes"):
        if hasattr(dut, flag):
            assert getattr(dut, flag).value == 1, f"{flag} must be told"


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def full_rate(dut: HierarchyObject) -> None:
    """Nothing stalls."""
    await _run(dut, 0.0)


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def random_stalls(dut: HierarchyObject) -> None:
    """Both sides stall in a third of the clocks."""
    await _run(dut, 0.33)
