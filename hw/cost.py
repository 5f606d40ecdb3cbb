"""What synthesis reports: the resources of an FPGA, or the area of gates.

A number means something only with its target, its policy for block RAMs and its version of Yosys,
so a `Cost` carries them.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from .placed import Placed
from .timing import GateTiming


@dataclass(frozen=True)
class Cost(ABC):
    """What is common to the costs of all targets.

    Parameters
    ----------
    design : str
        The top module.
    target : str
        A target of `hw.synth`, or ``liberty`` for gates of the user's libraries.
    yosys : str
        `hw.yosys.version`.
    bram_policy : str
        ``auto`` where Yosys could use block RAMs, ``off`` where not; ``flip-flops`` for gates.
    cells : dict
        Cell type of the netlist to how many of it there are.
    flip_flops : int
        How many there are.
    """

    design: str
    target: str
    yosys: str
    bram_policy: str
    cells: dict[str, int]
    flip_flops: int

    def to_json(self) -> dict[str, object]:
        """Give all fields under their names, of types that `json` takes."""
        return asdict(self)

    @property
    @abstractmethod
    def size(self) -> float:
        """The one number by which architectures are compared on the same target."""

    @abstractmethod
    def summary(self) -> str:
        """Say the cost in one line, without the design and the target."""


@dataclass(frozen=True)
class FpgaCost(Cost):
    """Resources of an FPGA; see `hw.cells` for how cells count.

    Parameters
    ----------
    luts, bram, lutram, dsp, carry, wide_muxes : int
        As in `hw.cells`; `lutram` is in LUTs.
    bram_kinds : dict
        Type of block RAM to how many of it there are; they add up to `bram`.
    placed : Placed, optional
        What place and route says, where it was asked for; the other numbers are Yosys'.
    """

    luts: int
    bram: int
    lutram: int
    dsp: int
    carry: int
    wide_muxes: int
    bram_kinds: dict[str, int]
    placed: Placed | None = None

    def to_json(self) -> dict[str, object]:
        """Give all fields under their names, of types that `json` takes; no `placed` if None."""
        own = asdict(self)
        del own["placed"]
        return own if self.placed is None else {**own, "placed": self.placed.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build it from `to_json`'s data."""
        placed = data.get("placed")
        return cls(**{**data, "placed": None if placed is None else Placed.from_json(placed)})

    @property
    def size(self) -> float:
        """LUTs, those of memories included: block RAM and DSPs are there anyway."""
        return self.luts + self.lutram

    def summary(self) -> str:
        """Say the cost in one line, without the design and the target."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.bram_kinds.items())
        return (
            f"{self.luts:,} LUTs and {self.lutram} as memory, {self.flip_flops:,} flip-flops, "
            f"{kinds or 'no block RAM'} (policy {self.bram_policy}), {self.dsp} DSPs"
            + (f"; {self.placed.summary()}" if self.placed else "")
        )


@dataclass(frozen=True)
class AsicCost(Cost):
    """Area of gates.

    Parameters
    ----------
    area, sequential_area, combinational_area : float
        In `unit`. Sequential are flip-flops and latches; both add up to `area`. Cells only, no
        wires.
    unit : str
        ``GE`` for gate equivalents, ``um2`` for the user's libraries, which are taken to use it.
    libraries : tuple of dict
        ``file``, ``name`` and ``sha256`` of each liberty file.
    clock_ns : float, optional
        The period that was aimed at.
    timing : GateTiming, optional
        What OpenSTA says at that clock.
    untimed : str, optional
        Why there is no timing, or no power, although there is a clock.
    """

    area: float
    sequential_area: float
    combinational_area: float
    unit: str
    libraries: tuple[dict[str, str], ...]
    clock_ns: float | None = None
    timing: GateTiming | None = None
    untimed: str | None = None

    @property
    def size(self) -> float:
        """Area."""
        return self.area

    @property
    def cell_count(self) -> int:
        """How many cells the netlist has."""
        return sum(self.cells.values())

    def to_json(self) -> dict[str, object]:
        """Give all fields under their names, of types that `json` takes."""
        own = {**asdict(self), "libraries": list(self.libraries), "cell_count": self.cell_count}
        for name in ("clock_ns", "timing", "untimed"):
            if own[name] is None:
                del own[name]
        return own

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build it from `to_json`'s data."""
        timing = data.get("timing")
        rest = {name: value for name, value in data.items() if name != "cell_count"}
        return cls(**{
            **rest, "libraries": tuple(data["libraries"]),
            "timing": None if timing is None else GateTiming.from_json(timing),
        })  # fmt: skip

    def summary(self) -> str:
        """Say the cost in one line, without the design and the target."""
        text = (
            f"{self.area:,.1f} {self.unit}: logic {self.combinational_area:,.1f}, "
            f"{self.flip_flops:,} flip-flops {self.sequential_area:,.1f}; memories are flip-flops"
        )
        if self.clock_ns is not None:
            parts = [self.timing.summary() if self.timing else None, self.untimed]
            text += f"; at {self.clock_ns:g} ns: {', '.join(filter(None, parts))}"
        return text

    def lines(self) -> list[str]:
        """Say what is known at the clock, in lines for people."""
        if self.clock_ns is None:
            return []
        found = [] if self.untimed is None else [self.untimed]
        if self.timing is not None:
            found = [f"{self.timing.summary()} ({self.timing.sta})", *self.timing.lines(), *found]
        return [f"{self.target} at {self.clock_ns:g} ns: {found[0]}", *found[1:]]


_FPGA_COLUMNS = ("luts", "flip_flops", "bram", "lutram", "dsp", "carry", "wide_muxes")
_GATE_COLUMNS = (
    "area",
    "unit",
    "sequential_area",
    "combinational_area",
    "cell_count",
    "flip_flops",
)


def table(costs: Sequence[Cost]) -> str:
    """Lay costs out for people: gates first, then FPGAs, one row each."""
    parts = []
    for kind, columns in ((AsicCost, _GATE_COLUMNS), (FpgaCost, _FPGA_COLUMNS)):
        rows = [
            (cost.target, *(_text(getattr(cost, column)) for column in columns))
            for cost in costs
            if isinstance(cost, kind)
        ]
        if rows:
            rows.insert(0, ("target", *columns))
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            parts.append(
                "\n".join(
                    "  ".join(
                        [row[0].ljust(widths[0])]
                        + [
                            cell.rjust(width)
                            for cell, width in zip(row[1:], widths[1:], strict=True)
                        ]
                    )
                    for row in rows
                )
            )
    parts += ["\n  ".join(cost.lines()) for cost in costs
              if isinstance(cost, AsicCost) and cost.lines()]  # fmt: skip
    placed = [(cost.target, cost.placed) for cost in costs
              if isinstance(cost, FpgaCost) and cost.placed]  # fmt: skip
    if placed:
        parts.append("\n".join(
            f"{target} placed: {found.summary()}\n  longest path {found.critical}"
            for target, found in placed
        ))  # fmt: skip
    return "\n\n".join(parts)


def _text(value: float | str) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
