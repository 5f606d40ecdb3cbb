"""From what a user asks for to a unit's specification."""

from sim.golden import Spec

from ..request import Request
from .softmax import softmax
from .tables import FOLDED_DIRECT_BITS_MIN, Tables
from .unary import unary

__all__ = ["FOLDED_DIRECT_BITS_MIN", "design"]


def design(request: Request, arch: str, *, progress: bool = False) -> Spec:
    """Return the specification of `request` in architecture `arch` ("pwl" or "direct").

    Parameters
    ----------
    request : Request
        What to build.
    arch : str
        One of ``request.possible``.
    progress : bool
        Show the progress of long fits on a terminal.
    """
    tables = Tables(request, arch, progress)
    return softmax(tables) if request.op == "softmax" else unary(tables)
