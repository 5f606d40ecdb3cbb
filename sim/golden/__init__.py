"""Integer NumPy models of every unit: the specification that the hardware is held to.

A specification is a frozen dataclass. From it come the model (``compute``), the hardware
(`hw.units`), the latency, and the manifest (``describe``). `spec_from_json` reads a manifest's
specification back.
"""

from typing import Any

from nnlut_train.errors import UsageError

from .base2 import Base2Spec
from .delta import DeltaSpec
from .direct import DirectSpec
from .exp import ExpSpec
from .float_pwl import FloatPwlSpec
from .ibert_norm import IbertNormSpec
from .ibert_softmax import IbertSoftmaxSpec
from .iexp import IExpSpec
from .igelu import IGeluSpec
from .indexed import IndexedSpec, ShiftAddSpec
from .isqrt import ISqrtSpec
from .kulisch import KulischSpec
from .lanes import LANES, LanesSpec
from .log import LogSpec
from .lut2d import Lut2dSpec
from .lut_softmax import LutSoftmaxSpec
from .minimised import MinimisedSpec
from .multipartite import MultipartiteSpec
from .norm import NormSpec
from .pwl import PwlSpec
from .reciprocal import ReciprocalSpec
from .rexp import RexpSpec
from .rows import NormRowSpec, RowSpec, SoftmaxRowSpec
from .serial import SerialSpec
from .shared import SharedSpec
from .sine import SineSpec
from .softmax import SoftmaxSpec
from .spec import Spec, UnarySpec
from .writable import WritableSpec

__all__ = [
    "LANES",
    "Base2Spec",
    "DeltaSpec",
    "DirectSpec",
    "ExpSpec",
    "FloatPwlSpec",
    "IExpSpec",
    "IGeluSpec",
    "ISqrtSpec",
    "IbertNormSpec",
    "IbertSoftmaxSpec",
    "IndexedSpec",
    "KulischSpec",
    "LanesSpec",
    "LogSpec",
    "Lut2dSpec",
    "LutSoftmaxSpec",
    "MinimisedSpec",
    "MultipartiteSpec",
    "NormRowSpec",
    "NormSpec",
    "PwlSpec",
    "ReciprocalSpec",
    "RexpSpec",
    "RowSpec",
    "SerialSpec",
    "SharedSpec",
    "ShiftAddSpec",
    "SineSpec",
    "SoftmaxRowSpec",
    "SoftmaxSpec",
    "Spec",
    "UnarySpec",
    "WritableSpec",
    "spec_from_json",
]

_KINDS: dict[str, type[Spec]] = {
    cls.kind: cls
    for cls in (
        Base2Spec,
        DeltaSpec,
        DirectSpec,
        ExpSpec,
        FloatPwlSpec,
        IbertNormSpec,
        IbertSoftmaxSpec,
        IExpSpec,
        IGeluSpec,
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
        IndexedSpec,
        SharedSpec,
        ShiftAddSpec,
        SineSpec,
        SoftmaxSpec,
        WritableSpec,
    )
}


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
