"""The FPGAs that `hw.place` places on."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["DEFAULTS", "DEVICES", "Device"]

_ECP5 = {"luts": "TRELLIS_COMB", "flip_flops": "TRELLIS_FF", "bram": "DP16KD", "dsp": "MULT18X18D"}
_ICE40 = {"logic_cells": "ICESTORM_LC", "bram": "ICESTORM_RAM", "dsp": "ICESTORM_DSP"}


@dataclass(frozen=True)
class Device:
    """One FPGA in one package.

    Parameters
    ----------
    name : str
        What the user calls it.
    target : str
        The target of `hw.synth` that it is of.
    arguments : tuple of str
        What chooses it on nextpnr's command line, with package and speed grade.
    package, speed : str
        Package, and speed grade; the iCE40's is in its name.
    resources : mapping
        What `hw.placed.Placed.used` calls a resource, to nextpnr's name of it. A logic cell of an
        iCE40 is a LUT and a flip-flop.
    mhz : float
        What nextpnr aims at where the user gives no clock: more than units reach, as it stops
        improving what already meets its aim.
    dsp : int
        Multipliers, where Yosys uses them only if it is told to; else 0.
    """

    name: str
    target: str
    arguments: tuple[str, ...]
    package: str
    speed: str
    resources: Mapping[str, str]
    mhz: float
    dsp: int = 0

    def __str__(self) -> str:
        """Return device, package and speed grade as a report has them."""
        return f"{self.name.upper()} {self.package} speed {self.speed}"


def _ecp5(size: str) -> Device:
    name, package, speed = f"lfe5u-{size}f", "CABGA381", "6"
    arguments = (f"--{size}k", "--package", package, "--speed", speed)
    return Device(name, "ecp5", arguments, package, speed, MappingProxyType(_ECP5), 250.0)


def _ice40(name: str, package: str, mhz: float, *, dsp: int = 0) -> Device:
    resources = {key: bel for key, bel in _ICE40.items() if dsp or key != "dsp"}
    arguments = (f"--{name}", "--package", package)
    return Device(
        name, "ice40", arguments, package.upper(), name[:2].upper(), MappingProxyType(resources),
        mhz, dsp,
    )  # fmt: skip


#: From a device's name to the device.
DEVICES: Mapping[str, Device] = MappingProxyType({
    device.name: device
    for device in (
        _ecp5("25"), _ecp5("45"), _ecp5("85"),
        _ice40("up5k", "sg48", 60.0, dsp=8), _ice40("hx8k", "ct256", 150.0),
        _ice40("hx1k", "tq144", 150.0),
    )
})  # fmt: skip

#: From a target to the device that is taken where the user names none.
DEFAULTS: Mapping[str, Device] = MappingProxyType(
    {"ecp5": DEVICES["lfe5u-25f"], "ice40": DEVICES["up5k"]}
)
