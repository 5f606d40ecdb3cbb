"""The fewest pipeline stages with which a unit meets a clock, found by synthesis."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nnlut_train.errors import InfeasibleError, StepError, UsageError
from sim.golden import Spec

from .cost import AsicCost, Cost, FpgaCost
from .design.staging import staging, with_stages
from .devices import DEFAULTS
from .place import SEEDS, Placing
from .synth import synthesize

__all__ = ["Clocked", "Try", "check_clock", "meet", "meet_all", "timed"]

#: Numbers of stages whose estimated delay is too long by this factor, measured by the estimate and
#: the delay of the number tried before, are passed over.
PASSED_OVER = 2.0
#: Slack below 0, in parts of the clock, from which one placement is enough to tell.
FAR = 0.25


@dataclass(frozen=True)
class Try:
    """One number of stages.

    Parameters
    ----------
    stages : int
        How many.
    slack_ns, fmax_mhz : float
        What is left of the clock's period, and the clock that could be had.
    size : float
        Area, or LUTs.
    """

    stages: int
    slack_ns: float
    fmax_mhz: float
    size: float

    def to_json(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)

    def __str__(self) -> str:
        """Return one line."""
        return (
            f"{self.stages} stages: {self.fmax_mhz:,.1f} MHz, slack {self.slack_ns:+.3f} ns, "
            f"{self.size:,.1f}"
        )


@dataclass(frozen=True)
class Clocked:
    """A unit that meets its clock.

    Parameters
    ----------
    spec : Spec
        The unit.
    verilog : str
        Its Verilog.
    cost : Cost
        Its cost.
    tries : tuple of Try
        What was tried, the last of which is `spec`.
    clock_ns : float
        The clock.
    """

    spec: Spec
    verilog: str
    cost: Cost
    tries: tuple[Try, ...]
    clock_ns: float

    @property
    def future(self) -> Future[Cost]:
        """The cost, as what is synthesised meanwhile."""
        done: Future[Cost] = Future()
        done.set_result(self.cost)
        return done

    def to_json(self) -> dict[str, Any]:
        """Return the clock and what was tried."""
        return {"clock_ns": self.clock_ns, "tried": [each.to_json() for each in self.tries]}


def check_clock(target: str, clock_ns: float, liberty: bool) -> None:
    """Raise UsageError unless a clock of a target can be measured."""
    if not 0 < clock_ns < float("inf"):
        raise UsageError(f"--clock-ns must be above 0, not {clock_ns:g}")
    if target not in DEFAULTS and not (target == "generic" and liberty):
        raise UsageError(
            f"--clock-ns goes with a first --target of {' or '.join(DEFAULTS)}, or with generic "
            f"and --liberty files, not with {target}" + " alone" * (target == "generic")
        )


def _timing(cost: Cost, clock_ns: float) -> tuple[float, float]:
    """Return slack and fmax of a cost."""
    if isinstance(cost, FpgaCost) and cost.placed is not None:
        return clock_ns - 1e3 / cost.placed.median, cost.placed.median
    if isinstance(cost, AsicCost) and cost.timing is not None:
        return cost.timing.slack_ns, cost.timing.fmax_mhz
    why = cost.untimed if isinstance(cost, AsicCost) else None
    raise UsageError(f"--clock-ns needs timing: {why or 'the target has none'}")


def _numbers(spec: Spec) -> Iterator[tuple[int, int]]:
    """Yield numbers of stages, and their estimates: only those that are better than fewer."""
    able, best = staging(spec), None
    for stages in range(able.fewest, able.most + 1):
        lengths = able.lengths(stages)
        if best is None or lengths < best:
            best = lengths
            yield stages, max(lengths, default=0)


def meet(
    spec: Spec, clock_ns: float, export: Callable[[Spec], str], synthesis: Callable[[str], Cost],
    told: Callable[[Try], None] = lambda _: None,
) -> Clocked:  # fmt: skip
    """Find the fewest stages with which a unit meets a clock.

    Parameters
    ----------
    spec : Spec
        The unit; where its stages cannot be chosen, it is tried as it is.
    clock_ns : float
        The clock's period.
    export : callable
        From a specification to its Verilog.
    synthesis : callable
        From Verilog to a cost with timing.
    told : callable, optional
        Gets every try.

    Raises
    ------
    InfeasibleError
        None meets it: one line with the best that was tried.
    UsageError, StepError
        The synthesis failed, or gives no timing.
    """
    tries: list[Try] = []
    scale = 0.0
    for stages, estimate in _numbers(spec):
        if scale and estimate * scale > PASSED_OVER * clock_ns:
            continue
        able = staging(spec)
        tried = spec if not able.parts else with_stages(spec, stages)
        verilog = export(tried)
        cost = synthesis(verilog)
        slack, fmax = _timing(cost, clock_ns)
        tries.append(Try(stages, slack, fmax, cost.size))
        told(tries[-1])
        if slack >= 0:
            return Clocked(tried, verilog, cost, tuple(tries), clock_ns)
        scale = 1e3 / fmax / estimate if estimate else 0.0
    best = max(tries, key=lambda one: one.slack_ns)
    raise InfeasibleError(
        f"no number of stages meets --clock-ns {clock_ns:g}: the best of {len(tries)} tried is "
        f"{best}"
    )


def meet_all(
    specs: Mapping[str, Spec], clock_ns: float, export: Callable[[Spec], str],
    synthesis: Callable[[str], Cost], refused: dict[str, str],
    told: Callable[[str, Try], None],
) -> dict[str, Clocked]:  # fmt: skip
    """Return `meet` of each architecture that meets the clock; `refused` gets why others do not.

    Raises
    ------
    StepError
        If none does.
    """
    found = {}
    for arch, spec in specs.items():
        try:
            found[arch] = meet(
                spec, clock_ns, export, synthesis, lambda tried, arch=arch: told(arch, tried)
            )
        except InfeasibleError as error:
            refused[arch] = str(error)
    if not found:
        raise StepError("; ".join(f"{arch}: {refused[arch]}" for arch in specs))
    return found


def timed(
    verilog: str, top: str, target: str, clock_ns: float, liberty: Sequence[Path], bram: str
) -> Cost:
    """Synthesise a design with its timing; parameters as in `hw.synth.synthesize`."""
    if target == "generic":
        return synthesize(verilog, top, target, liberty=liberty, clock_ns=clock_ns)
    # Seeds differ by some percent: where the first misses by far, the median does, too.
    first = synthesize(verilog, top, target, bram=bram, placing=Placing((), 1, clock_ns))
    if _timing(first, clock_ns)[0] < -FAR * clock_ns:
        return first
    return synthesize(
        verilog, top, target, bram=bram, placing=Placing((), SEEDS, clock_ns, progress=True)
    )
