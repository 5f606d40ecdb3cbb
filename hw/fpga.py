"""What a design takes of an FPGA: its resources by Yosys, and its clock by nextpnr.

`hw.cells` says how resources count; they are those of the unit alone. Where it is also placed and
routed, it stands in the harness of `hw.harness`.
"""

import functools
import json
import threading
from dataclasses import replace
from typing import Any

from nnlut_train.errors import StepError

from . import cells as fpga_cells
from . import yosys
from .cache import cached, digest
from .cost import FpgaCost
from .devices import Device
from .ecp5 import pack
from .harness import TOP, harness
from .place import Placing, place
from .stat import STAT, cell_counts, read_stat

__all__ = ["fpga_cost"]

# `synth_ice40` and `synth_ecp5` flatten, and place no pads, unless told otherwise.
_COMMANDS = {
    "ice40": "synth_ice40",
    "ecp5": "synth_ecp5",
    "xilinx": "synth_xilinx -family xc7 -flatten -noiopad",
}
_UNIT = "unit.json"
_NETLIST = "netlist.json"


def fpga_cost(
    verilog: str, top: str, target: str, bram: str, placing: Placing | None = None
) -> FpgaCost:
    """Synthesise a design for an FPGA, and place and route it where that is asked for.

    Parameters
    ----------
    verilog, top, target, bram
        As in `hw.synth.synthesize`.
    placing : Placing, optional
        Where to place; without effect for a target of which no device is known.

    Raises
    ------
    UsageError
        The design has no clock that a harness knows.
    StepError
        Yosys or nextpnr is missing or failed, or the netlist has a cell that is not known.
    """
    device = None if placing is None else placing.device(target)
    step = f"synthesis of {top} for {target}"
    outputs = [STAT] if device is None else [STAT, _UNIT]

    def synthesised(options: str) -> tuple[str, dict[str, bytes], dict[str, int]]:
        script = f"""\
read_verilog design.v
{wishes}{_COMMANDS[target]}{options} -top {top}
setattr -mod -unset keep_hierarchy
flatten
tee -q -o {STAT} stat -top {top} -json
"""
        script += f"write_json {_UNIT}\n" * (device is not None)
        key = {"result": "fpga 1", "design": digest(verilog), "script": script,
               "yosys": yosys.version()}  # fmt: skip

        def make() -> dict[str, str]:
            files = yosys.run(script, {"design.v": verilog}, outputs, step=step)
            return {name: content.decode() for name, content in files.items()}

        written = {name: text.encode() for name, text in cached(key, make).items()}
        return script, written, cell_counts(read_stat(written[STAT], step), step)

    options = " -nobram" * (bram == "off")
    # A unit's wish for block RAM counts more for Yosys than its option.
    wishes = "setattr -unset rom_style *\n" * (bram == "off")
    dsp = 0 if device is None else device.dsp
    script, written, cells = synthesised(options + " -dsp" * (dsp > 0))
    if dsp and fpga_cells.resources(target, cells)["dsp"] > dsp:
        # Yosys takes multipliers for all products or for none.
        script, written, cells = synthesised(options)
    # First, as it tells a cell that is not known.
    counts = fpga_cells.resources(target, cells)
    cost = FpgaCost(
        design=top,
        target=target,
        yosys=yosys.version(),
        bram_policy=bram,
        cells=cells,
        bram_kinds=fpga_cells.block_rams(target, cells),
        **counts,
    )
    if device is None or placing is None:
        return cost
    key = {"design": digest(verilog), "unit": script, "yosys": cost.yosys}
    step = f"place and route of {top} for {device}"
    return replace(cost, placed=_place(written[_UNIT], key, top, device, placing, step))


def _place(
    unit: bytes, key: dict[str, Any], top: str, device: Device, placing: Placing, step: str
) -> Any:
    try:
        ports = json.loads(unit)["modules"][top]["ports"]
    except (ValueError, KeyError, TypeError) as error:
        raise StepError(f"{step}: Yosys' netlist cannot be read: {error!r}") from error
    if device.target == "ecp5":
        unit = pack(unit, top, step)
    around = harness(top, ports)
    # The unit's cells stay as they are: they are black boxes now.
    script = f"""\
read_json {_UNIT}
delete =A:blackbox=1 =A:whitebox=1
read_verilog harness.v
{_COMMANDS[device.target]} -top {TOP} -json {_NETLIST}
"""
    lock = threading.Lock()

    @functools.cache
    def make() -> bytes:
        files = {_UNIT: unit, "harness.v": around.verilog}
        return yosys.run(script, files, [_NETLIST], step=step)[_NETLIST]

    def netlist() -> bytes:
        with lock:
            return make()

    key = {**key, "harness": around.verilog, "script": script, "netlist": digest(unit)}
    return place(netlist, key, around, device, placing, step)
