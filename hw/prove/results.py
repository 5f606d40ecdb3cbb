"""What is to be proved, and what a proof found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnlut_train.errors import StepError
from sim.golden import Spec

__all__ = ["Inapplicable", "Proof", "Task", "UndecidedError"]


class Inapplicable(Exception):  # noqa: N818
    """A claim says nothing about this unit; the text is the reason."""


class UndecidedError(StepError):
    """A claim is neither proved nor refuted in the time that was given."""


@dataclass(frozen=True)
class Task:
    """A unit about which something is to be proved.

    Every prover of `hw.prove.command` takes one and returns a list of proofs. It raises
    `Inapplicable` where there is nothing to prove of such a unit, and
    `nnlut_train.errors.StepError`, with the counterexample in one line, where a claim is refuted,
    and `UndecidedError` where nothing is left to say without one that is undecided.

    Parameters
    ----------
    spec : Spec
        What the unit computes.
    verilog : str
        Its exported Verilog.
    top : str
        Its module there.
    timeout : int
        Seconds after which an engine gives up.
    liberty : tuple of Path
        Cell libraries for netlists of gates; none: the project's own.
    """

    spec: Spec
    verilog: str
    top: str
    timeout: int = 120
    liberty: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Proof:
    """One claim, which is proved unless the proof says that it is not `decided`.

    A refuted one raises `nnlut_train.errors.StepError` instead.

    Parameters
    ----------
    claim : str
        What holds, in one sentence.
    engine : str
        The program that proved it, and by which method.
    depth : int or None
        Clocks that were unrolled: of the induction where `unbounded`, else the clocks from reset
        for which the claim holds. None: the proof unrolls none, as of combinational logic.
    unbounded : bool
        The claim holds for ever, not only for `depth` clocks.
    seconds : float
        Time that it took.
    assumptions : tuple of str
        What the proof takes as given; a sentence each.
    decided : bool
        False: the claim is not proved, and not refuted. It is one that must not be left out.
    """

    claim: str
    engine: str
    depth: int | None
    unbounded: bool
    seconds: float
    assumptions: tuple[str, ...] = ()
    decided: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the proof as JSON-ready data."""
        return {
            "claim": self.claim, "engine": self.engine, "depth": self.depth,
            "unbounded": self.unbounded, "seconds": round(self.seconds, 2),
            "assumptions": list(self.assumptions),
        }  # fmt: skip
