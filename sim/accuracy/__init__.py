"""How far a unit is from float64: the error in ulp of the output, measured on its golden model.

The reference is the exact function of the dequantised input, limited to the output's range; 1 ulp
is one step of the output code. A correctly rounded result is within 0.5 ulp.
"""

from .floating import FloatAccuracy, float_accuracy
from .norm import NormAccuracy, norm_accuracy
from .shared import SharedAccuracy, shared_accuracy
from .softmax import (
    SoftmaxAccuracy,
    protocol_rows,
    softmax_accuracy,
    softmax_floor,
    softmax_reference,
)
from .unary import UnaryAccuracy, unary_accuracy

__all__ = [
    "FloatAccuracy", "NormAccuracy", "SharedAccuracy", "SoftmaxAccuracy", "UnaryAccuracy",
    "float_accuracy", "norm_accuracy",
    "protocol_rows", "shared_accuracy", "softmax_accuracy", "softmax_floor", "softmax_reference",
    "unary_accuracy",
]  # fmt: skip
