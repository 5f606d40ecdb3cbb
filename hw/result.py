"""What a build made, and what it could have made instead."""

from dataclasses import dataclass, field
from pathlib import Path

from sim.bench import BenchReport
from sim.golden import Spec
from sim.measure import Accuracy

from .cost import Cost
from .request import Request
from .shared_report import Separate

__all__ = ["Candidate", "Result"]


@dataclass(frozen=True)
class Candidate:
    """One architecture of what was asked for.

    Parameters
    ----------
    arch : str
        ``pwl``, ``direct``, or ``integer`` where there are no tables.
    spec : Spec
        The unit.
    verilog : str
        Its Verilog.
    accuracy : Accuracy
        Its measured error.
    bound_ulp : float or None
        Its proven largest error in ulp, over every input; infinite if nothing bounds it, None if
        no proof was tried.
    cost : Cost
        Its cost on the first target that was asked for.
    """

    arch: str
    spec: Spec
    verilog: str
    accuracy: Accuracy
    bound_ulp: float | None
    cost: Cost

    @property
    def error_ulp(self) -> float:
        """The error that counts: the proven one, or else the largest measured."""
        return self.accuracy.max_ulp if self.bound_ulp is None else self.bound_ulp


@dataclass(frozen=True)
class Result:
    """What a build made.

    Parameters
    ----------
    request : Request
        What was asked for.
    chosen : Candidate
        What was built.
    others : list of Candidate
        What the other architectures would have been.
    bench : BenchReport
        The simulation.
    costs : list of Cost
        One a target.
    folder : Path
        Where it was written.
    files : list of str
        What was written there.
    replaced : str
        Command of another build that was there before; empty if none was.
    seconds : float
        How long it took.
    separate : list of Separate
        What the functions of a shared unit would be by themselves.
    planned : bool
        Whether the specification was given, by a plan.
    refused : dict of str to str
        By the name of each architecture that cannot do what was asked for, why.
    """

    request: Request
    chosen: Candidate
    others: list[Candidate]
    bench: BenchReport
    costs: list[Cost]
    folder: Path
    files: list[str]
    replaced: str
    seconds: float
    separate: list[Separate]
    planned: bool = False
    refused: dict[str, str] = field(default_factory=dict)
