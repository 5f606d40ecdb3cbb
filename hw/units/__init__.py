"""The units: one file each. `unit_of` builds the hardware of a specification."""

from nnlut_train.errors import UsageError
from sim.golden import DirectSpec, ExpSpec, LogSpec, PwlSpec, ReciprocalSpec, SoftmaxSpec, Spec

from .direct import Direct
from .exp import Exp
from .log import Log
from .pwl import Pwl
from .reciprocal import Reciprocal
from .softmax import Softmax
from .unary import Unary

__all__ = ["Direct", "Exp", "Log", "Pwl", "Reciprocal", "Softmax", "Unary", "unit_of"]

_UNITS = {
    DirectSpec: Direct, ExpSpec: Exp, LogSpec: Log, PwlSpec: Pwl,
    ReciprocalSpec: Reciprocal, SoftmaxSpec: Softmax,
}  # fmt: skip


def unit_of(spec: Spec) -> Unary | Softmax:
    """Return the Amaranth component that `spec` describes."""
    if type(spec) not in _UNITS:
        raise UsageError(f"no unit builds a {type(spec).__name__}")
    return _UNITS[type(spec)](spec)
