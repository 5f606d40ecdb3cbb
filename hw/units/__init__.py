"""The units: one file each. `unit_of` builds the hardware of a specification."""

from nnlut_train.errors import UsageError
from sim.golden import (
    Base2Spec,
    DirectSpec,
    ExpSpec,
    IbertNormSpec,
    IbertSoftmaxSpec,
    IExpSpec,
    IGeluSpec,
    ISqrtSpec,
    LanesSpec,
    LogSpec,
    Lut2dSpec,
    NormSpec,
    PwlSpec,
    ReciprocalSpec,
    RexpSpec,
    SharedSpec,
    SineSpec,
    SoftmaxSpec,
    Spec,
    WritableSpec,
)

from ..store import CONSTANTS, Store
from .base2 import Base2
from .direct import Direct
from .exp import Exp
from .ibert_norm import IbertNorm
from .ibert_softmax import IbertSoftmax
from .iexp import IExp
from .igelu import IGelu
from .isqrt import ISqrt
from .log import Log
from .lut2d import Lut2d
from .norm import Norm
from .pwl import Pwl
from .reciprocal import Reciprocal
from .rexp import Rexp
from .row_unit import RowUnit
from .shared import Shared
from .sine import Sine
from .softmax import Softmax
from .unary import Unary
from .writable import Writable

__all__ = [
    "Base2", "Direct", "Exp", "IExp", "IGelu", "ISqrt", "IbertNorm", "IbertSoftmax", "Log", "Lut2d",
    "Norm", "Pwl", "Reciprocal", "Rexp", "Shared", "Sine", "Softmax", "Unary", "Writable",
    "unit_of",
]  # fmt: skip

_UNITS = {
    Base2Spec: Base2, DirectSpec: Direct, ExpSpec: Exp, IExpSpec: IExp, IGeluSpec: IGelu,
    ISqrtSpec: ISqrt, IbertNormSpec: IbertNorm, IbertSoftmaxSpec: IbertSoftmax, LanesSpec: Unary,
    LogSpec: Log, Lut2dSpec: Lut2d, NormSpec: Norm, PwlSpec: Pwl, ReciprocalSpec: Reciprocal,
    RexpSpec: Rexp, SharedSpec: Shared, SineSpec: Sine, SoftmaxSpec: Softmax,
}  # fmt: skip


def unit_of(spec: Spec, store: Store = CONSTANTS) -> Unary | RowUnit | Writable:
    """Return the Amaranth component that `spec` describes; its tables are in `store`."""
    if isinstance(spec, WritableSpec):
        return Writable(spec, lambda registers: unit_of(spec.unit, registers))
    if type(spec) not in _UNITS:
        raise UsageError(f"no unit builds a {type(spec).__name__}")
    unit = _UNITS[type(spec)](spec)
    unit.store = store
    return unit
