"""From what a user asks for to a unit's specification."""

from collections.abc import Callable

from sim.golden import LanesSpec, SerialSpec, Spec, WritableSpec

from ..choices import FLOAT_BITS, ROW_OPS
from ..request import Request
from .base2 import base2
from .floating import floating
from .ibert import ibert
from .kulisch import kulisch
from .norm import norm
from .shared import shared
from .softmax import softmax
from .staging import with_stages
from .tables import FOLDED_DIRECT_BITS_MIN, Tables, Weights
from .unary import unary
from .vasyltsov import lut2d, rexp

__all__ = ["FOLDED_DIRECT_BITS_MIN", "design"]


def design(
    request: Request, arch: str, *, progress: bool = False, weights: Weights | None = None
) -> Spec:
    """Return the specification of `request` in architecture `arch`.

    Parameters
    ----------
    request : Request
        What to build.
    arch : str
        One of ``request.possible``.
    progress : bool
        Show the progress of long fits on a terminal.
    weights : callable, optional
        How often arguments of a whole function occur: see `Tables`.
    """
    spec = _maker(request)(Tables(request, arch, progress, weights))
    if not spec.longest and request.lanes > 1:
        spec = (
            LanesSpec(spec, request.lanes)
            if request.interval == 1
            else SerialSpec(spec, request.lanes, request.interval)
        )
    if request.tables == "writable":
        spec = WritableSpec(spec)
    return spec if request.stages is None else with_stages(spec, request.stages)


def _maker(request: Request) -> Callable[[Tables], Spec]:
    """Return what makes the unit, of one lane if it is unary."""
    if request.op == "softmax":
        made = {"nnlut": softmax, "rexp": rexp, "lut2d": lut2d, "base2": base2, "ibert": ibert,
                "kulisch": kulisch}  # fmt: skip
        return made[request.method]
    if len(request.ops) > 1:
        return shared
    if request.precision in FLOAT_BITS:
        return floating
    if request.method == "ibert":
        return ibert
    return norm if request.op in ROW_OPS else unary
