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


def _stalls(probability: float, seed: int) -> Iterator[bool]:
    draw = random.Random(seed).random
    while True:
        yield draw() < probability


def _frames(codes: np.ndarray, last: np.ndarray, size: int) -> list[bytes]:
    """Return a byte string a row, `size` bytes a beat, in the order of the lanes."""
    words = (codes & ((1 << (8 * size)) - 1)).tolist()
    rows: list[bytes] = []
    row = b""
    for word, end in zip(words, last.tolist(), strict=True):
        row += word.to_bytes(size, "little")
        if end:
            rows.append(row)
            row = b""
    assert not row, "the vectors must end with a row's end"
    return rows


async def _run(dut: HierarchyObject, stall: float) -> None:
    build = load_build(Path(os.environ["NNLUT_BUILD"]))
    vectors = load_vectors(build.folder / "vectors" / "vectors.npz")
    cocotb.start_soon(Clock(dut.aclk, 10, unit="ns").start())
    source, sink = (
        model(AxiStreamBus.from_prefix(dut, prefix), dut.aclk, dut.aresetn,
              reset_active_level=False)
        for model, prefix in ((AxiStreamSource, "s_axis"), (AxiStreamSink, "m_axis"))
    )  # fmt: skip
    for model in (source, sink):
        model.log.setLevel("WARNING")
    if stall:
        source.set_pause_generator(_stalls(stall, cocotb.RANDOM_SEED))
        sink.set_pause_generator(_stalls(stall, cocotb.RANDOM_SEED + 1))
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 4)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    sizes = [len(port) // 8 for port in (dut.s_axis_tdata, dut.m_axis_tdata)]
    for row in _frames(vectors.input, vectors.input_last, sizes[0]):
        await source.send(AxiStreamFrame(row))
    wanted = _frames(vectors.output, vectors.output_last, sizes[1])
    for index, row in enumerate(wanted):
        result = bytes((await sink.recv()).tdata)
        assert result == row, f"row {index} must be {row.hex()}, not {result.hex()}"
    await ClockCycles(dut.aclk, 32)
    assert sink.empty(), "the unit gives more rows than it was given"


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def full_rate(dut: HierarchyObject) -> None:
    """Nothing stalls."""
    await _run(dut, 0.0)


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def random_stalls(dut: HierarchyObject) -> None:
    """Both sides stall in a third of the clocks."""
    await _run(dut, 0.33)
