"""What the bit-exact modules have in common."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from nnlut_train.errors import UsageError
from sim.golden import Spec

from .codes import dequantize, quantize

__all__ = ["HardwareModule", "straight_through"]


class HardwareModule(nn.Module):
    """A unit of `hw` as a torch module: made from the same specification, equal bit for bit.

    It has no parameters and no state: its tables are those of the specification.

    Parameters
    ----------
    spec : Spec
        The specification. Lanes, masks and write ports change nothing of what is computed.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        #: What is computed, without what only changes the interface.
        self.bare = spec.bare

    @abstractmethod
    def compute(self, codes: Tensor) -> Tensor:
        """Return the output codes (int64, same shape) of int64 `codes`: the golden model's."""

    def quantize(self, x: Tensor) -> Tensor:
        """Return the input codes of real `x`; see `nnlut_train.modules.codes.quantize`."""
        return quantize(x, self.bare.input)

    def dequantize(self, codes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the real values of output codes."""
        return dequantize(codes, self.bare.output_scale, dtype)

    def check_codes(self, codes: Tensor) -> None:
        """Raise UsageError unless `codes` are integers of the input's format."""
        form = self.bare.input
        if codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool:
            raise UsageError(f"codes must be integers, not {codes.dtype}")
        if codes.numel():
            low, high = (int(v) for v in torch.aminmax(codes))
            if not form.min <= low <= high <= form.max:
                raise UsageError(
                    f"codes of format {form} must be {form.min} to {form.max}, not {low} to {high}"
                )

    def extra_repr(self) -> str:
        """Return kind and formats, for ``print(module)``."""
        return f"{self.bare.kind}, {self.bare.input} to {self.bare.output}"


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, surrogate: Tensor, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(surrogate: Tensor, value: Tensor) -> Tensor:
    """Return `value`, exactly, with the derivatives of `surrogate` (same shape).

    The straight-through estimator (Bengio et al., arXiv 1308.3432), as GQA-LUT trains with it:
    rounding counts as the identity. What `surrogate` is worth does not matter.
    """
    return _StraightThrough.apply(surrogate, value)
