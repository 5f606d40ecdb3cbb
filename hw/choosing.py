"""The architectures of what is asked for: designed, brought to a clock, measured, chosen from."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import NamedTuple

from nnlut_train.errors import InfeasibleError, StepError, UsageError
from sim.golden import Spec
from sim.measure import Accuracy, measure

from .clocked import Clocked
from .cost import Cost
from .design import design
from .request import Request
from .result import Candidate

__all__ = ["Found", "choose", "designs", "find", "step"]


class Found(NamedTuple):
    """What can be chosen from.

    Parameters
    ----------
    candidates : list of Candidate
        The architectures, at least one.
    clocked : dict of str to Clocked
        By the name of each architecture, how it meets the clock, if one was asked for.
    """

    candidates: list[Candidate]
    clocked: dict[str, Clocked]


@contextmanager
def step(name: str) -> Iterator[None]:
    """Name the step on a terminal while it runs, and in the message if it fails."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{name} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    except StepError as error:
        raise StepError(f"{name} failed: {error}") from error
    finally:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def designs(request: Request) -> tuple[dict[str, Spec], dict[str, str]]:
    """Design every architecture that a build compares.

    Returns
    -------
    specs : dict of str to Spec
        By the name of the architecture.
    refused : dict of str to str
        Why others cannot do it.

    Raises
    ------
    UsageError
        If none of those that are wanted can.
    """
    specs, refused = {}, {}
    for arch in request.compared:
        try:
            specs[arch] = design(request, arch, progress=True)
        except InfeasibleError as error:
            if request.wanted == (arch,):
                raise
            refused[arch] = str(error)
    if not any(arch in specs for arch in request.wanted):
        raise UsageError("; ".join(f"{arch}: {refused[arch]}" for arch in request.wanted))
    return specs, refused


def find(
    request: Request, specs: Mapping[str, Spec], export: Callable[[Spec], str],
    synthesis: Callable[[str], Future[Cost]],
    search: Callable[[dict[str, Spec]], dict[str, Clocked]] | None = None,
) -> Found:  # fmt: skip
    """Measure and synthesise each architecture.

    Parameters
    ----------
    request : Request
        What was asked for.
    specs : mapping of str to Spec
        The architectures.
    export : callable
        From a specification to its Verilog.
    synthesis : callable
        From Verilog to a cost on the first target.
    search : callable, optional
        From specifications to what of them meets a clock; only that is left then.

    Raises
    ------
    StepError
        If a step fails.
    """

    def measured(arch: str) -> tuple[Accuracy, float | None]:
        return measure(specs[arch], request.ops, request.domain)

    clocked: dict[str, Clocked] = {}
    errors = {}
    if search is not None:
        # Stages do not change a result: what is not accurate enough need not be brought to a clock.
        wanted = {arch: spec for arch, spec in specs.items() if arch in request.wanted}
        with step("measure the accuracy"):
            errors = {arch: measured(arch) for arch in wanted}
        allowed = {
            arch: wanted[arch]
            for arch, (accuracy, bound) in errors.items()
            if request.allows(accuracy.max_ulp if bound is None else bound)
        }
        with step("meet the clock"):
            clocked = search(allowed or wanted)
        specs = {arch: each.spec for arch, each in clocked.items()}
    with step("export Verilog"):
        texts = {
            arch: clocked[arch].verilog if arch in clocked else export(spec)
            for arch, spec in specs.items()
        }
    with step("measure the accuracy, synthesise"):
        costs = {
            arch: clocked[arch].future if arch in clocked else synthesis(text)
            for arch, text in texts.items()
        }
        # Measured meanwhile, all of them before any result is waited for.
        errors = {arch: errors[arch] if arch in errors else measured(arch) for arch in specs}
        return Found(
            [
                Candidate(arch, spec, texts[arch], *errors[arch], costs[arch].result())
                for arch, spec in specs.items()
            ],
            clocked,
        )


def choose(
    request: Request, candidates: Sequence[Candidate], max_area: float | None = None
) -> Candidate:
    """Return the architecture that was asked for, or the smallest that is accurate enough.

    Raises
    ------
    StepError
        If bounds were asked for that none of them meets.
    """
    wanted = [c for c in candidates if c.arch in request.wanted]
    good = [c for c in wanted if request.allows(c.error_ulp)]
    small = [c for c in good if max_area is None or c.cost.size <= max_area]
    if small:
        return min(small, key=lambda c: c.cost.size)
    if max_area is None and request.max_error is None:
        return min(wanted, key=lambda c: c.error_ulp)
    asked = [f"--max-error {request.max_error:g}"] if request.max_error is not None else []
    asked += [f"--max-area {max_area:g}"] if max_area is not None else []
    had = "; ".join(f"{c.arch} has {c.error_ulp:.3f} ulp, {c.cost.size:,.1f}" for c in wanted)
    raise StepError(f"choosing the architecture failed: none meets {' and '.join(asked)}: {had}")
