"""Modules of other packages that are an operation under a name of their own.

Hugging Face writes RMSNorm out in every model (``LlamaRMSNorm``), and some GELUs too
(``NewGELUActivation``). They are taken for what they are called only if they also compute it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .calls import Call

__all__ = ["Known", "known"]

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "mish": functional.mish,
    "hswish": functional.hardswish,
}
#: Two ways to compute the same function agree this far.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Known:
    """What a module is.

    Parameters
    ----------
    op : str
        The operation.
    forward : callable
        The module's own.
    module : nn.Module
        The module.
    eps : float
        Of a norm.
    offset : float
        Of a norm: what its gain is beside its weight: 1 where that is stored less 1.
    """

    op: str
    forward: Callable[[Tensor], Tensor]
    module: nn.Module
    eps: float = 0.0
    offset: float = 0.0

    def call(self, x: Tensor) -> Call:
        """Return the call that the module makes."""
        weight = None
        if self.op == "rmsnorm":
            weight = self.module.weight + self.offset if self.offset else self.module.weight
        return Call(self.op, x, lambda y: y, weight, None, self.eps)


def known(module: nn.Module) -> Known | None:
    """Return which operation a module of another package is, or None."""
    if type(module).__module__.startswith("torch.") or any(True for _ in module.children()):
        return None
    name = type(module).__name__
    with torch.no_grad():
        if re.search(r"RMS_?Norm$", name, re.IGNORECASE):
            return _rms_norm(module)
        if re.search(r"gelu|silu|swish|mish", name, re.IGNORECASE) and not any(
            True for _ in module.parameters()
        ):
            return _unary(module)
    return None


def _rms_norm(module: nn.Module) -> Known | None:
    weight = getattr(module, "weight", None)
    eps = next((v for name in ("variance_epsilon", "eps", "epsilon")
                if isinstance(v := getattr(module, name, None), float)), None)  # fmt: skip
    if not isinstance(weight, Tensor) or weight.dim() != 1 or eps is None:
        return None
    x = torch.linspace(-3.0, 3.0, 2 * weight.numel(), device=weight.device).view(2, -1)
    for offset in (0.0, 1.0):
        wanted = functional.rms_norm(x, weight.shape, (weight + offset).float(), eps)
        if _agree(module.forward, x.to(weight.dtype), wanted):
            return Known("rmsnorm", module.forward, module, eps, offset)
    return None


def _unary(module: nn.Module) -> Known | None:
    x = torch.linspace(-6.0, 6.0, 257)
    for op, function in _UNARY.items():
        if _agree(module.forward, x, function(x)):
            return Known(op, module.forward, module)
    return None


def _agree(forward: Callable[[Tensor], Tensor], x: Tensor, wanted: Tensor) -> bool:
    try:
        found = forward(x)
    except Exception:  # whatever another package's code does with a plain tensor
        return False
    if not isinstance(found, Tensor) or found.shape != wanted.shape:
        return False
    tolerance = max(TOLERANCE, 4 * torch.finfo(found.dtype).eps)
    return torch.allclose(found.float(), wanted, rtol=tolerance, atol=tolerance)
