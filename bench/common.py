"""What the benchmarks have in common."""

import os
from collections.abc import Iterable, Sequence
from typing import TypeVar

from hw.design import design
from hw.request import Request
from sim.golden import Spec

__all__ = ["spec_of", "table", "worked"]

_Spec = TypeVar("_Spec", bound=Spec)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table in Markdown, each row as soon as it is there.

    Parameters
    ----------
    head : sequence of str
        Names of the columns.
    rows : iterable of sequences
        The cells, a row each; a generator that takes its time for every row will do.
    """
    print(_line(head))
    print("|" + "---|" * len(head), flush=True)
    for row in rows:
        print(_line(row), flush=True)


def worked() -> float:
    """Return the seconds that processors worked for this process and those that it started."""
    return sum(os.times()[:4])


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def spec_of(kind: type[_Spec], request: Request) -> _Spec:
    """Return what a request is to compute, in the first architecture that it asks for.

    Parameters
    ----------
    kind : type
        What the specification is an instance of.
    request : Request
        What to build.
    """
    spec = design(request, request.wanted[0]).bare
    assert isinstance(spec, kind)
    return spec
