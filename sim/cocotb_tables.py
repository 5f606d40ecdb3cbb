"""cocotb test of one unit with writable tables: its driver's writes, in traffic.

It lies beside `cocotb_bench` in the folder ``cocotb`` of a build, and is run after it.
"""

import importlib
import sys

import cocotb
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles
from cocotb_bench import HERE, UNIT, stalls, start
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from unit_rows import beats_of, results_of

sys.path.append(str(HERE.parent))
DRIVER = importlib.import_module(UNIT["load"]["driver"])


def parts(rows: list[list[int | None]]) -> list[list[int | None]]:
    """Return what must be of one table: rows, or where they do not matter beats."""
    if UNIT["longest"]:
        return rows
    size = UNIT["lanes"] * UNIT["output"]["bytes"]
    return [row[at : at + size] for row in rows for at in range(0, len(row), size)]


async def read(axil: AxiLiteMaster, address: int) -> int:
    """Return what a register has."""
    answer = await axil.read(address, 4)
    assert answer.resp == AxiResp.OKAY, f"a read of {address:#x} is answered by {answer.resp}"
    return int.from_bytes(answer.data, "little")


async def write(axil: AxiLiteMaster, address: int, word: int, wanted: AxiResp) -> None:
    """Write a register, and check the answer."""
    resp = (await axil.write(address, word.to_bytes(4, "little"))).resp
    assert resp == wanted, f"a write to {address:#x} must be answered by {wanted}, not {resp}"


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def tables_in_traffic(dut: HierarchyObject) -> None:
    """Other tables are loaded while rows pass: each is of the old or of the new ones."""
    entering, old, new = (
        beats_of(HERE / f"load_{name}.hex", UNIT["fields"][side])
        for name, side in (("input", "input"), ("old", "output"), ("new", "output"))
    )
    bench = await start(dut, 0.2, 0.2)
    axil = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, dut.aresetn,
                         reset_active_level=False)  # fmt: skip
    for number, channel in enumerate((
        axil.write_if.aw_channel, axil.write_if.w_channel, axil.write_if.b_channel,
        axil.read_if.ar_channel, axil.read_if.r_channel,
    )):  # fmt: skip
        channel.set_pause_generator(stalls(0.3, cocotb.RANDOM_SEED + number))
    places = {each["name"]: each["address"] for each in DRIVER.REGISTERS["registers"]}
    DRIVER.identify(await read(axil, places["ID"]), await read(axil, places["MAP"]))
    passing, copies = True, 0

    async def traffic() -> None:
        nonlocal copies
        while passing:
            copies += 1
            await bench.send(entering)
            await bench.source.wait()

    sending = cocotb.start_soon(traffic())
    for address, word in DRIVER.writes(UNIT["load"]["tables"]):
        await write(axil, places["ID"], word, AxiResp.SLVERR)
        await write(axil, address, word, AxiResp.OKAY)
    while await read(axil, places["STATUS"]) & 1:
        pass
    passing = False
    await sending
    # One copy more, which has only new tables.
    await bench.send(entering)
    before, after = (parts(results_of(each)) * (copies + 1) for each in (old, new))
    rows = [await bench.row() for _ in range((copies + 1) * len(results_of(old)))]
    found, last = parts(rows), len(before) - len(before) // (copies + 1)
    assert len(found) == len(before), "beats are missing, or too many"
    # Old ones first, then new ones.
    changed = next((at for at in range(last) if found[at] != before[at]), last)
    assert changed > 0, "new tables before they were written"
    wrong = next((at for at in range(changed, len(found)) if found[at] != after[at]), None)
    assert wrong is None, f"part {wrong} is neither of the old nor, from {changed} on, of the new"
    await ClockCycles(dut.aclk, UNIT["drain"])
    assert bench.sink.empty(), "the unit gives more rows than it was given"
