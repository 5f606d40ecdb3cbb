"""What each FPGA cell that Yosys places is made of.

One table a family, from cell type to the resources that one such cell takes. A type that is in no
table is unknown, and `resources` refuses it: a missing entry must never read as "takes nothing".
Latches are absent on purpose, as no design of this project may have one.

How the families' special cells count:

luts
    Look-up tables used as logic: LUT4 on iCE40 and ECP5, LUT6 (or smaller) on Xilinx, where two
    small ones that could share a LUT6 count as two. An ECP5 CCU2C is the two LUT4 of a slice in
    carry mode, so it is 2 LUTs and 1 carry cell. A Xilinx INV is a LUT, as only a LUT can invert
    a signal there.
wide_muxes
    The multiplexers behind the LUTs that join them to wider functions (PFUMX, L6MUX21, MUXF7,
    MUXF8). Every slice has them, so they add no LUT.
carry
    Carry cells: SB_CARRY is 1 bit, CCU2C is 2, CARRY4 is 4. Only CCU2C contains LUTs.
lutram
    LUTs used as memory or as shift register, not counted in `luts`.
bram
    Block RAMs, whatever their size: SB_RAM40_4K has 4 Kbit, DP16KD and PDPW16KD 18, RAMB18E1 18,
    RAMB36E1 36.
"""

from collections.abc import Mapping
from types import MappingProxyType

from nnlut_train.errors import StepError

#: The kinds of resources, in the order of reports.
RESOURCES = ("luts", "flip_flops", "bram", "lutram", "dsp", "carry", "wide_muxes")

_LUT = {"luts": 1}
_FF = {"flip_flops": 1}
_BRAM = {"bram": 1}
_DSP = {"dsp": 1}
_CARRY = {"carry": 1}
_MUX = {"wide_muxes": 1}
# Pads, clock buffers and constants: there are always enough of them.
_FREE: dict[str, int] = {}


def _lutram(luts: int) -> dict[str, int]:
    return {"lutram": luts}


_ICE40 = {
    "SB_LUT4": _LUT,
    "SB_CARRY": _CARRY,
    **{
        f"SB_DFF{edge}{enable}{reset}": _FF
        for edge in ("", "N")
        for enable in ("", "E")
        for reset in ("", "R", "S", "SR", "SS")
    },
    **{f"SB_RAM40_4K{edges}": _BRAM for edges in ("", "NR", "NW", "NRNW")},
    "SB_MAC16": _DSP,
    "SB_IO": _FREE,
    "SB_GB": _FREE,
    "SB_GB_IO": _FREE,
}

_ECP5 = {
    "LUT4": _LUT,
    "CCU2C": {"luts": 2, "carry": 1},
    "PFUMX": _MUX,
    "L6MUX21": _MUX,
    "TRELLIS_FF": _FF,
    # 16 x 4 bits in the four LUTs of two slices, whose write port takes the two of a third slice.
    "TRELLIS_DPR16X4": _lutram(6),
    "DP16KD": _BRAM,
    "PDPW16KD": _BRAM,
    "MULT18X18D": _DSP,
    "ALU54B": _DSP,
    "TRELLIS_IO": _FREE,
    "DCCA": _FREE,
    "VLO": _FREE,
    "VHI": _FREE,
}

_XILINX = {
    **{f"LUT{inputs}": _LUT for inputs in range(1, 7)},
    "INV": _LUT,
    "CARRY4": _CARRY,
    "MUXF7": _MUX,
    "MUXF8": _MUX,
    **{f"FD{kind}E{edge}": _FF for kind in "RSCP" for edge in ("", "_1")},
    "RAMB18E1": _BRAM,
    "RAMB36E1": _BRAM,
    # S: one port; D: a second port to read, from a copy in as many LUTs again; M: four LUTs
    # with three ports to read.
    "RAM32X1S": _lutram(1),
    "RAM64X1S": _lutram(1),
    "RAM128X1S": _lutram(2),
    "RAM256X1S": _lutram(4),
    "RAM32X1D": _lutram(2),
    "RAM64X1D": _lutram(2),
    "RAM128X1D": _lutram(4),
    "RAM32M": _lutram(4),
    "RAM64M": _lutram(4),
    "SRL16E": _lutram(1),
    "SRLC32E": _lutram(1),
    "DSP48E1": _DSP,
    "BUFG": _FREE,
    "BUFGCTRL": _FREE,
    "IBUF": _FREE,
    "OBUF": _FREE,
    "OBUFT": _FREE,
    "IOBUF": _FREE,
    "VCC": _FREE,
    "GND": _FREE,
}

#: FPGA target to its table of cells.
FAMILIES: Mapping[str, Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {"ice40": _ICE40, "ecp5": _ECP5, "xilinx": _XILINX}
)


def resources(target: str, cells: Mapping[str, int]) -> dict[str, int]:
    """Add up what the cells of a netlist take.

    Parameters
    ----------
    target : str
        A key of `FAMILIES`.
    cells : mapping
        Cell type to how many of it there are.

    Returns
    -------
    dict
        Each of `RESOURCES` to its count.

    Raises
    ------
    StepError
        A cell type is not in the family's table.
    """
    table = FAMILIES[target]
    total = dict.fromkeys(RESOURCES, 0)
    for cell, count in cells.items():
        if cell not in table:
            raise StepError(f"synthesis for {target}: cell type {cell} is not known to hw.synth")
        for resource, amount in table[cell].items():
            total[resource] += amount * count
    return total


def block_rams(target: str, cells: Mapping[str, int]) -> dict[str, int]:
    """Pick the block RAMs out of a netlist's cells: type to count."""
    return {cell: count for cell, count in cells.items() if "bram" in FAMILIES[target][cell]}
