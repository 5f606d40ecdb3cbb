"""Integer NumPy models of every unit: the specification that the hardware is held to.

A specification is a frozen dataclass. From it come the model (``compute``), the hardware
(`hw.units`), the latency, and the manifest (``describe``). `spec_from_json` reads a manifest's
specification back.
"""

from typing import Any

from nnlut_train.errors import UsageError

from .direct import DirectSpec
from .exp import ExpSpec
from .log import LogSpec
from .pwl import PwlSpec
from .reciprocal import ReciprocalSpec
from .softmax import SoftmaxSpec
from .spec import Spec, UnarySpec

__all__ = [
    "DirectSpec", "ExpSpec", "LogSpec", "PwlSpec", "ReciprocalSpec", "SoftmaxSpec", "Spec",
    "UnarySpec", "spec_from_json",
]  # fmt: skip

_KINDS: dict[str, type[Spec]] = {
    cls.kind: cls for cls in (DirectSpec, ExpSpec, LogSpec, PwlSpec, ReciprocalSpec, SoftmaxSpec)
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
