"""What place and route says of a design."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

__all__ = ["Path", "Placed"]


@dataclass(frozen=True)
class Path:
    """The longest path between two registers.

    Parameters
    ----------
    start, end : str
        The registers, as far as the netlist has names of the design's own for them.
    delay, logic, routing : float
        Nanoseconds: from the clock to the end's setup, and what of it is in cells and in wires.
    cells : int
        Cells on the way.
    """

    start: str
    end: str
    delay: float
    logic: float
    routing: float
    cells: int

    def __str__(self) -> str:
        """Return one line."""
        return (
            f"{self.start} to {self.end}: {self.delay:.2f} ns in {self.cells} cells, "
            f"{self.routing:.2f} ns of it wires"
        )


@dataclass(frozen=True)
class Placed:
    """A design after place and route, in a harness; see `hw.place`.

    Parameters
    ----------
    device, package, speed : str
        Where it is placed.
    nextpnr : str
        `hw.nextpnr.version`.
    clock_ns : float or None
        The clock that was asked for.
    fmax : dict
        From a seed, in decimal, to the clock in MHz that it reaches.
    used : dict
        From a resource of the device to how many the design and its harness take, and how many
        there are.
    harness : dict
        What of `used` is the harness: ``luts`` and ``flip_flops``.
    critical : Path
        The longest path, with the seed whose clock is the median.
    """

    device: str
    package: str
    speed: str
    nextpnr: str
    clock_ns: float | None
    fmax: dict[str, float]
    used: dict[str, list[int]]
    harness: dict[str, int]
    critical: Path

    @property
    def median(self) -> float:
        """Median of the seeds' clocks, in MHz; of an even number, the lower of the middle two."""
        return statistics.median_low(self.fmax.values())

    @property
    def slack_ns(self) -> float | None:
        """What the median leaves of the clock that was asked for, in ns; None without one."""
        return None if self.clock_ns is None else self.clock_ns - 1e3 / self.median

    def to_json(self) -> dict[str, Any]:
        """Give all fields under their names, and what the seeds have in common."""
        clocks = self.fmax.values()
        return {
            **asdict(self), "fmax_median": self.median, "fmax_min": min(clocks),
            "fmax_max": max(clocks), "slack_ns": self.slack_ns,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build it from `to_json`'s data."""
        own = {name: data[name] for name in cls.__dataclass_fields__}
        return cls(**{**own, "critical": Path(**data["critical"])})

    def summary(self) -> str:
        """Say in one line what was reached, and where."""
        used = ", ".join(f"{count:,} of {all_of:,} {name.replace('_', ' ')}"
                         for name, (count, all_of) in self.used.items())  # fmt: skip
        slack = "" if self.slack_ns is None else (
            f", {self.slack_ns:+.3f} ns at {self.clock_ns:g} ns"
        )  # fmt: skip
        return (
            f"{self.device.upper()} {self.package} speed {self.speed}: {self.median:.1f} MHz "
            f"(median of {len(self.fmax)}: {min(self.fmax.values()):.1f} to "
            f"{max(self.fmax.values()):.1f}){slack}; {used}, with a harness of "
            f"{self.harness['luts']} LUTs, {self.harness['flip_flops']} flip-flops"
        )
