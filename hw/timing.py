"""What timing and power analysis of gates gives, as data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

__all__ = ["Activity", "CriticalPath", "GateTiming", "Power"]


@dataclass(frozen=True)
class CriticalPath:
    """The path with the least slack.

    Parameters
    ----------
    start, end : str
        The register's output, or the port, that it starts or ends at.
    delay_ns : float
        From the clock's edge to the arrival at its end.
    """

    start: str
    end: str
    delay_ns: float


@dataclass(frozen=True)
class Activity:
    """How often nets switch, and where that is from.

    Parameters
    ----------
    source : str
        Which data the unit was simulated with.
    beats, clocks : int
        Beats given to it, and clocks over which transitions were counted.
    nets : int
        Nets counted, without clock and constants.
    toggles : float
        Transitions of a net in a clock, on average.
    """

    source: str
    beats: int
    clocks: int
    nets: int
    toggles: float


@dataclass(frozen=True)
class Power:
    """Power at the clock, in mW.

    Parameters
    ----------
    internal, switching, leakage, total : float
        Inside the cells; of the nets' capacitances, which are those of pins; at rest; all.
    """

    internal: float
    switching: float
    leakage: float
    total: float


@dataclass(frozen=True)
class GateTiming:
    """What OpenSTA says.

    Parameters
    ----------
    sta : str
        Its version.
    slack_ns : float
        Of the critical path; negative: it is too slow for the clock.
    fmax_mhz : float
        1 / (period - slack).
    path : CriticalPath
        The critical path.
    power : Power, optional
        Where the activity was simulated.
    activity : Activity, optional
        What the power is for.
    iverilog : str, optional
        Version of the simulator that measured the activity.
    """

    sta: str
    slack_ns: float
    fmax_mhz: float
    path: CriticalPath
    power: Power | None = None
    activity: Activity | None = None
    iverilog: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give all fields under their names, of types that `json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build it from `to_json`'s data."""
        power, activity = data.get("power"), data.get("activity")
        return cls(**{
            **data,
            "path": CriticalPath(**data["path"]),
            "power": None if power is None else Power(**power),
            "activity": None if activity is None else Activity(**activity),
        })  # fmt: skip

    def summary(self) -> str:
        """Say it in one line."""
        text = f"slack {self.slack_ns:+.3f} ns, fmax {self.fmax_mhz:,.1f} MHz"
        if self.power is not None and self.activity is not None:
            text += (
                f", {self.power.total:.4g} mW (internal {self.power.internal:.4g}, switching "
                f"{self.power.switching:.4g}, leakage {self.power.leakage:.4g}) at "
                f"{self.activity.toggles:.3f} toggles a net and clock"
            )
        return text

    def lines(self) -> list[str]:
        """Say it in lines for people."""
        path = self.path
        found = [f"longest path {path.delay_ns:.3f} ns: {path.start} to {path.end}"]
        if self.activity is not None:
            found.append(
                f"activity of {self.activity.source}: {self.activity.beats:,} beats, "
                f"{self.activity.clocks:,} clocks, {self.activity.nets:,} nets"
            )
        return found
