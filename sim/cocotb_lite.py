"""cocotb test of exported Verilog with writable tables: its driver's writes, in traffic.

Run by `sim.verilog`, as `sim.cocotb_axis` is.
"""

import os
import random
import types
from dataclasses import replace
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp, AxiStreamFrame

from hw.manifest import Build, load_build
from sim.cocotb_axis import frames, kept, stalls, start
from sim.golden import WritableSpec
from sim.random_tables import random_tables
from sim.stimuli import Stimulus, stimuli
from sim.vectors import vectors_of

#: Beats that are sent again and again, more or less, while tables are loaded.
BEATS = 200

#: How many tables are drawn, to find some that give other results.
ATTEMPTS = 20


def _driver(build: Build) -> types.ModuleType:
    """Return the driver that lies beside the Verilog."""
    path = build.folder / f"{build.name}_driver.py"
    module = types.ModuleType(path.stem)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


def _run(spec: WritableSpec, seed: int) -> Stimulus:
    """Return rows of all kinds."""
    everything = stimuli(spec, seed)[2]
    count, beats = 0, 0
    for row in everything.rows:
        beats += spec.beats(len(row))
        count += beats <= BEATS
    count = max(count, 1)
    rows, users = everything.rows[:count], everything.users and everything.users[:count]
    return replace(everything, rows=rows, users=users)


def _parts(spec: WritableSpec, rows: list[AxiStreamFrame], size: int) -> list[list[int | None]]:
    """Return what must be of one table: rows, or where they do not matter beats."""
    results = [kept(row) for row in rows]
    if spec.longest:
        return results
    return [row[at : at + size] for row in results for at in range(0, len(row), size)]


async def _status(axil: AxiLiteMaster, address: int) -> int:
    answer = await axil.read(address, 4)
    assert answer.resp == AxiResp.OKAY
    return int.from_bytes(answer.data, "little")


async def _write(axil: AxiLiteMaster, address: int, word: int, wanted: AxiResp) -> None:
    resp = (await axil.write(address, word.to_bytes(4, "little"))).resp
    assert resp == wanted, f"a write to {address:#x} must be answered by {wanted}, not {resp}"


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def tables_in_traffic(dut: HierarchyObject) -> None:
    """Other tables are loaded while rows pass: each is of the old or of the new ones."""
    build = load_build(Path(os.environ["NNLUT_BUILD"]))
    seed, driver, old = cocotb.RANDOM_SEED, _driver(build), build.spec()
    assert isinstance(old, WritableSpec)
    run = _run(old, seed)
    given = vectors_of(old, [run])
    # Of tables of few codes, some give the same results: others are drawn then.
    for attempt in range(ATTEMPTS):
        tables = random_tables(old, random.Random(seed + attempt))
        other = vectors_of(old.with_tables(tables), [run])
        if (given.output != other.output).any():
            break
    source, sink = await start(dut, 0.2)
    axil = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, dut.aresetn,
                         reset_active_level=False)  # fmt: skip
    for channel in (axil.write_if.aw_channel, axil.write_if.w_channel, axil.write_if.b_channel,
                    axil.read_if.ar_channel, axil.read_if.r_channel):  # fmt: skip
        channel.set_pause_generator(stalls(0.3, seed))
    places = {r["name"]: r["address"] for r in driver.REGISTERS["registers"]}
    driver.identify(await _status(axil, places["ID"]), await _status(axil, places["MAP"]))
    sizes = [len(port) // 8 for port in (dut.s_axis_tdata, dut.m_axis_tdata)]
    sent = frames(given.input, given.input_keep, given.input_user, given.input_last, sizes[0])
    rows = [frames(v.output, v.output_keep, None, v.output_last, sizes[1]) for v in (given, other)]
    wanted = [_parts(old, each, sizes[1]) for each in rows]
    passing = True
    copies = 0

    async def traffic() -> None:
        nonlocal copies
        while passing:
            copies += 1
            for row in sent:
                await source.send(row)
            await source.wait()

    sending = cocotb.start_soon(traffic())
    for address, word in driver.writes({name: table.to_json() for name, table in tables.items()}):
        await _write(axil, places["ID"], word, AxiResp.SLVERR)
        await _write(axil, address, word, AxiResp.OKAY)
    while await _status(axil, places["STATUS"]) & 1:
        pass
    passing = False
    await sending
    # One copy more, which has only new tables.
    for row in sent:
        await source.send(row)
    results = [await sink.recv(compact=False) for _ in range((copies + 1) * len(rows[0]))]
    found, before, after = _parts(old, results, sizes[1]), *(each * (copies + 1) for each in wanted)
    assert len(found) == len(before)
    last = len(found) - len(wanted[0])
    # Old ones first, then new ones.
    changed = next((at for at in range(last) if found[at] != before[at]), last)
    assert changed > 0, "new tables before they were written"
    wrong = next((at for at in range(changed, len(found)) if found[at] != after[at]), None)
    assert wrong is None, f"part {wrong} is neither of the old nor, from {changed} on, of the new"
    await ClockCycles(dut.aclk, 32)
    assert sink.empty(), "the unit gives more rows than it was given"
