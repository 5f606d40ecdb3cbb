"""For what the units are synthesised."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnlut_train.errors import UsageError

from ..synth import TARGETS

__all__ = ["Target", "parse_library", "targets"]


@dataclass(frozen=True)
class Target:
    """One target of a comparison.

    Parameters
    ----------
    name : str
        A target of `hw.synth`, or the name that the user gives a cell library.
    kind : str
        The target of `hw.synth`.
    liberty : tuple of Path
        Files of a cell library.
    clock_ns : float, optional
        Clock period that gates are to reach.
    """

    name: str
    kind: str
    liberty: tuple[Path, ...] = ()
    clock_ns: float | None = None


def parse_library(text: str) -> Target:
    """Return the target of ``NAME@CLOCK_NS=FILE,FILE...``; a file may be a pattern.

    Raises
    ------
    UsageError
        If it is none, or a pattern fits no file.
    """
    head, equals, files = text.partition("=")
    name, at, clock = head.partition("@")
    try:
        period = float(clock) if at else None
    except ValueError:
        period = 0.0
    if (
        not equals
        or not name.isidentifier()
        or name in TARGETS
        or (period is not None and (not 0 < period < float("inf")))
    ):
        raise UsageError(
            "--library must be NAME@CLOCK_NS=FILE,FILE... with a name that is none of "
            f"{', '.join(TARGETS)}, not {text!r}"
        )
    found: list[Path] = []
    for pattern in files.split(","):
        path = Path(pattern)
        some = [path] if path.is_file() else sorted(path.parent.glob(path.name or "-"))
        if not some:
            raise UsageError(f"--library {name}: {pattern} must be a file, or fit some")
        found += some
    return Target(name, "generic", tuple(found), period)


def targets(names: Sequence[str], libraries: Sequence[Target]) -> tuple[Target, ...]:
    """Return the targets of a run: those of `hw.synth` by their names, then the libraries.

    Raises
    ------
    UsageError
        If two libraries have one name.
    """
    both = [*(Target(name, name) for name in dict.fromkeys(names)), *libraries]
    if len({target.name for target in both}) < len(both):
        raise UsageError(
            "each --library must have a name of its own, not "
            + ", ".join(library.name for library in libraries)
        )
    return tuple(both)
