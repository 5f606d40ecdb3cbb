"""Place and route of a synthesised unit, with several seeds, out of the context of any board."""

import contextvars
import os
import re
import statistics
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from tqdm import tqdm

from nnlut_train.errors import StepError, UsageError

from . import nextpnr
from .cache import cached
from .devices import DEFAULTS, DEVICES, Device
from .harness import Harness
from .placed import Path, Placed

__all__ = ["SEEDS", "Placing", "place"]

#: Seeds, where the user does not say how many.
SEEDS = 5
#: Where Yosys' name of a cell begins that has none of the design's own.
_NAMELESS = re.compile(
    r"_(TRELLIS_|SB_|LUT4|CCU2C|PFUMX|L6MUX21|MULT18X18D|DP16KD|PDPW16KD).*|(\$nextpnr_.*?|)\$.*"
)


@dataclass(frozen=True)
class Placing:
    """Where to place, how often, and for what clock.

    Parameters
    ----------
    devices : tuple of str
        Names of `DEVICES`, at most one of a target; the others are `DEFAULTS`.
    seeds : int
        How many placements, of seeds 1, 2, ...; at least 1.
    clock_ns : float, optional
        The clock period that is asked for.
    progress : bool
        Show the progress on a terminal.

    Raises
    ------
    UsageError
        If one of them is out of range.
    """

    devices: tuple[str, ...] = ()
    seeds: int = SEEDS
    clock_ns: float | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        targets = []
        for name in self.devices:
            if name not in DEVICES:
                raise UsageError(f"--device must be one of {', '.join(DEVICES)}, not {name}")
            targets.append(DEVICES[name].target)
        if len(set(targets)) < len(targets):
            raise UsageError(f"--device must be one of a target, not {' and '.join(self.devices)}")
        if self.seeds < 1:
            raise UsageError(f"--seeds must be at least 1, not {self.seeds}")
        if self.clock_ns is not None and not 0 < self.clock_ns < float("inf"):
            raise UsageError(f"--clock-ns must be above 0, not {self.clock_ns:g}")

    def check(self, targets: tuple[str, ...] | list[str]) -> None:
        """Raise UsageError unless there is a target to place for, and one for every device."""
        if not any(target in DEFAULTS for target in targets):
            raise UsageError(
                f"--pnr goes with the targets {' and '.join(DEFAULTS)}, not with "
                f"{', '.join(targets)}"
            )
        for name in self.devices:
            if DEVICES[name].target not in targets:
                raise UsageError(
                    f"--device {name} goes with the target {DEVICES[name].target}, which is not "
                    "among --target"
                )

    def device(self, target: str) -> Device | None:
        """Return the device for a target, or None where none is known."""
        named = [DEVICES[name] for name in self.devices if DEVICES[name].target == target]
        return named[0] if named else DEFAULTS.get(target)


def place(
    netlist: Callable[[], bytes], key: Mapping[str, Any], harness: Harness, device: Device,
    placing: Placing, step: str,
) -> Placed:  # fmt: skip
    """Place and route a unit in its harness, with every seed.

    Parameters
    ----------
    netlist : callable
        Returns the JSON of Yosys; asked for only where a result is not in the cache.
    key : mapping
        What the netlist depends on; see `hw.cache.cached`.
    harness : Harness
        The unit's.
    device : Device
        Where to.
    placing : Placing
        How often, and for what clock.
    step : str
        What the run is for; error messages begin with it.

    Raises
    ------
    StepError
        nextpnr is missing, or failed, such as where the device is too small.
    """
    version = nextpnr.version(device.target)
    mhz = device.mhz if placing.clock_ns is None else 1e3 / placing.clock_ns
    bar = tqdm(total=placing.seeds, desc=step, disable=None if placing.progress else True)

    def one(seed: int) -> dict[str, Any]:
        def make() -> dict[str, Any]:
            report = nextpnr.run(
                device.target, device.arguments, netlist(), seed=seed, mhz=mhz, step=step
            )
            return _read(report, device, step)

        found = cached(
            {"result": "placed 1", **key, "nextpnr": version, "device": list(device.arguments),
             "seed": seed, "mhz": mhz},
            make,
        )  # fmt: skip
        bar.update()
        return found

    seeds = range(1, placing.seeds + 1)
    with bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        # The cache's folder is a context variable, which threads do not inherit.
        waiting = [pool.submit(contextvars.copy_context().run, one, seed) for seed in seeds]
        try:
            runs = {str(seed): done.result() for seed, done in zip(seeds, waiting, strict=True)}
        finally:
            for each in waiting:
                each.cancel()
    fmax = {seed: run["fmax"] for seed, run in runs.items()}
    middle = statistics.median_low(fmax.values())
    run = next(run for run in runs.values() if run["fmax"] == middle)
    return Placed(
        device.name, device.package, device.speed, version, placing.clock_ns, fmax, run["used"],
        {"luts": harness.luts, "flip_flops": harness.flip_flops}, Path(**run["critical"]),
    )  # fmt: skip


def _read(report: Mapping[str, Any], device: Device, step: str) -> dict[str, Any]:
    """Take from nextpnr's report what is kept of it."""
    try:
        (clock,) = report["fmax"].values()
        used = {
            name: [report["utilization"][bel]["used"], report["utilization"][bel]["available"]]
            for name, bel in device.resources.items()
        }
        # There is one for each pair of edges; those at a pad are of the harness alone.
        paths = [
            _critical(each["path"])
            for each in report["critical_paths"]
            if "<async>" not in (each["from"], each["to"])
        ]
        return {
            "fmax": round(float(clock["achieved"]), 3),
            "used": used,
            "critical": asdict(max(paths, key=lambda path: path.delay)),
        }
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise StepError(f"{step}: the report of nextpnr cannot be read: {error!r}") from error


def _critical(path: list[dict[str, Any]]) -> Path:
    wires = [part for part in path if part["type"] == "routing"]
    delay = sum(part["delay"] for part in path)
    routing = sum(part["delay"] for part in wires)
    return Path(
        start=_readable(wires[0]["net"]) or _readable(path[0]["from"]["cell"]),
        end=_readable(path[-1]["to"]["cell"]),
        delay=round(delay, 3),
        logic=round(delay - routing, 3),
        routing=round(routing, 3),
        cells=sum(part["type"] == "logic" for part in path),
    )


def _readable(name: str) -> str:
    """Return what a name has of the design's own names."""
    return _NAMELESS.sub("", name.removeprefix("unit."))
