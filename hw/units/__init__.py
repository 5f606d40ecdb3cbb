"""The units: one file each. `unit_of` builds the hardware of a specification."""

from nnlut_train.errors import UsageError
from sim.golden import (
    Base2Spec,
    DeltaSpec,
    DirectSpec,
    ExpSpec,
    FloatPwlSpec,
    IbertNormSpec,
    IbertSoftmaxSpec,
    IExpSpec,
    IGeluSpec,
    IndexedSpec,
    ISqrtSpec,
    KulischSpec,
    LanesSpec,
    LogSpec,
    Lut2dSpec,
    MinimisedSpec,
    MultipartiteSpec,
    NormSpec,
    PwlSpec,
    ReciprocalSpec,
    RexpSpec,
    SerialSpec,
    SharedSpec,
    ShiftAddSpec,
    SineSpec,
    SoftmaxSpec,
    Spec,
    WritableSpec,
)

from ..store import CONSTANTS, Store
from .base2 import Base2
from .delta import Delta
from .direct import Direct
from .exp import Exp
from .float_pwl import FloatPwl
from .ibert_norm import IbertNorm
from .ibert_softmax import IbertSoftmax
from .iexp import IExp
from .igelu import IGelu
from .indexed import Indexed
from .isqrt import ISqrt
from .kulisch import Kulisch
from .log import Log
from .lut2d import Lut2d
from .minimised import Minimised
from .multipartite import Multipartite
from .norm import Norm
from .pwl import Pwl
from .reciprocal import Reciprocal
from .rexp import Rexp
from .row_unit import RowUnit
from .serial import Serial
from .shared import Shared
from .sine import Sine
from .softmax import Softmax
from .unary import Unary
from .writable import Writable

__all__ = [
    "Base2",
    "Delta",
    "Direct",
    "Exp",
    "FloatPwl",
    "IExp",
    "IGelu",
    "ISqrt",
    "IbertNorm",
    "IbertSoftmax",
    "Kulisch",
    "Log",
    "Lut2d",
    "Minimised",
    "Multipartite",
    "Norm",
    "Pwl",
    "Reciprocal",
    "Rexp",
    "Shared",
    "Sine",
    "Softmax",
    "Unary",
    "Writable",
    "unit_of",
]

_UNITS = {
    Base2Spec: Base2,
    DeltaSpec: Delta,
    DirectSpec: Direct,
    ExpSpec: Exp,
    FloatPwlSpec: FloatPwl,
    IExpSpec: IExp,
    IGeluSpec: IGelu,
    ISqrtSpec: ISqrt,
    IbertNormSpec: IbertNorm,
    IbertSoftmaxSpec: IbertSoftmax,
    KulischSpec: Kulisch,
    LanesSpec: Unary,
    IndexedSpec: Indexed,
    LogSpec: Log,
    Lut2dSpec: Lut2d,
    MinimisedSpec: Minimised,
    MultipartiteSpec: Multipartite,
    NormSpec: Norm,
    PwlSpec: Pwl,
    ReciprocalSpec: Reciprocal,
    RexpSpec: Rexp,
    SerialSpec: Serial,
    SharedSpec: Shared,
    ShiftAddSpec: Indexed,
    SineSpec: Sine,
    SoftmaxSpec: Softmax,
}


def unit_of(spec: Spec, store: Store = CONSTANTS) -> Unary | RowUnit | Writable:
    """Return the Amaranth component that `spec` describes; its tables are in `store`."""
    if isinstance(spec, WritableSpec):
        return Writable(spec, lambda registers: unit_of(spec.unit, registers))
    if type(spec) not in _UNITS:
        raise UsageError(f"no unit builds a {type(spec).__name__}")
    unit = _UNITS[type(spec)](spec)
    unit.store = store
    return unit
