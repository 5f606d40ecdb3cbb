"""Integer NumPy models of every unit: the specification that the hardware is held to.

A specification is a frozen dataclass. From it come the model (``compute``), the hardware
(`hw.units`), the latency, and the manifest (``describe``). `spec_from_json` reads a manifest's
specification back.
"""

from typing import Any

from nnlut_train.errors import UsageError

from .base2 import Base2Spec
from .direct import DirectSpec
from .exp import ExpSpec
from .ibert_norm import IbertNormSpec
from .ibert_softmax import IbertSoftmaxSpec
from .iexp import IExpSpec
from .igelu import IGeluSpec
from .isqrt import ISqrtSpec
from .lanes import LANES, LanesSpec
from .log import LogSpec
from .lut2d import Lut2dSpec
from .lut_softmax import LutSoftmaxSpec
from .norm import NormSpec
from .pwl import PwlSpec
from .reciprocal import ReciprocalSpec
from .rexp import RexpSpec
from .rows import NormRowSpec, RowSpec, SoftmaxRowSpec
from .shared import SharedSpec
from .sine import SineSpec
from .softmax import SoftmaxSpec
from .spec import Spec, UnarySpec
from .writable import WritableSpec

__all__ = [
    "LANES",
    "Base2Spec",
    "DirectSpec",
    "ExpSpec",
    "IExpSpec",
    "IGeluSpec",
    "ISqrtSpec",
    "IbertNormSpec",
    "IbertSoftmaxSpec",
    "LanesSpec",
    "LogSpec",
    "Lut2dSpec",
    "LutSoftmaxSpec",
    "NormRowSpec",
    "NormSpec",
    "PwlSpec",
    "ReciprocalSpec",
    "RexpSpec",
    "RowSpec",
    "SharedSpec",
    "SineSpec",
    "SoftmaxRowSpec",
    "SoftmaxSpec",
    "Spec",
    "UnarySpec",
    "WritableSpec",
    "spec_from_json",
]  # fmt: skip

_KINDS: dict[str, type[Spec]] = {
    cls.kind: cls
    for cls in (
        Base2Spec, DirectSpec, ExpSpec, IbertNormSpec, IbertSoftmaxSpec, IExpSpec, IGeluSpec,
        ISqrtSpec, LanesSpec, LogSpec, Lut2dSpec, NormSpec, PwlSpec, ReciprocalSpec, RexpSpec,
        SharedSpec, SineSpec, SoftmaxSpec, WritableSpec,
    )
}  # fmt: skip


def spec_from_json(data: Any) -> Spec:
    """Build a specification from what `Spec.describe` returned.

    Raises
    ------
    UsageError
        If a field is missing or its value is out of range.
    """
    if not isinstance(data, dict) or data.get("kind") not in list(_KINDS):
        raise UsageError(f"spec: kind must be one of {', '.join(_KINDS)}")
    return _KINDS[data["kind"]].from_json(data, spec_from_json)
