"""Modules of other packages that are an operation under a name of their own.

Hugging Face writes RMSNorm out in every model (``LlamaRMSNorm``), and some GELUs too
(``NewGELUActivation``). They are taken for what they are called only if they also compute it.
Those that hand their argument to torch's own function (``GELUActivation``) are not for here: that
call is met, at the same site, and then nothing is computed twice.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from .calls import READERS, Call

__all__ = ["Known", "known", "norm_parameters"]

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "mish": functional.mish,
    "hswish": functional.hardswish,
}
#: Their names in `READERS`.
_NAMES = {"gelu", "silu", "mish", "hardswish"}
#: Two ways to compute the same function agree this far.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Known:
    """What a module is.

    Parameters
    ----------
    op : str
        The operation.
    eps : float
        Of a norm.
    offset : float
        Of a norm: what its gain is beside its weight: 1 where that is stored less 1.
    """

    op: str
    eps: float = 0.0
    offset: float = 0.0

    def call(self, module: nn.Module, x: Tensor) -> Call:
        """Return the call that a run of the module is."""
        weight = bias = None
        if self.op in ("layernorm", "rmsnorm"):
            weight, bias = module.weight, getattr(module, "bias", None)
            weight = weight + self.offset if self.offset else weight
        return Call(self.op, x, lambda y: y, weight, bias, self.eps)


def known(module: nn.Module) -> Known | None:
    """Return which operation a module of another package is, or None."""
    if type(module).__module__.startswith("torch.") or any(True for _ in module.children()):
        return None
    name = type(module).__name__
    with torch.no_grad():
        if re.search(r"norm", name, re.IGNORECASE):
            return _norm(module)
        if re.search(r"gelu|silu|swish|mish", name, re.IGNORECASE) and not any(
            True for _ in module.parameters()
        ):
            return _unary(module)
    return None


def norm_parameters(module: nn.Module) -> tuple[Tensor | None, Tensor | None]:
    """Return gain and offset of a module that is a norm, shape (n,); None where it has none."""
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        rows = (module.weight, getattr(module, "bias", None))
        return tuple(None if row is None else row.flatten() for row in rows)
    if (operation := known(module)) is not None:
        call = operation.call(module, torch.zeros(0))
        return call.weight, call.bias
    return None, None


def _norm(module: nn.Module) -> Known | None:
    weight, bias = (getattr(module, name, None) for name in ("weight", "bias"))
    eps = next((v for name in ("variance_epsilon", "eps", "epsilon")
                if isinstance(v := getattr(module, name, None), float)), None)  # fmt: skip
    if not isinstance(weight, Tensor) or weight.dim() != 1 or eps is None or weight.is_meta:
        return None
    x = torch.linspace(-3.0, 4.0, 2 * weight.numel(), device=weight.device).view(2, -1)
    gain, offset = weight.float(), None if bias is None else bias.float()
    found = _result(module, x.to(weight.dtype))
    if found is None:
        return None
    exact = functional.layer_norm(x, weight.shape, gain, offset, eps)
    if _agree(found, exact):
        return Known("layernorm", eps)
    for stored in (0.0, 1.0):
        exact = functional.rms_norm(x, weight.shape, gain + stored, eps)
        if bias is None and _agree(found, exact):
            return Known("rmsnorm", eps, stored)
    return None


class _Calls(TorchFunctionMode):
    """Notes the names of the operations that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in READERS:
            self.names.add(READERS[func][0])
        return func(*args, **(kwargs or {}))


def _unary(module: nn.Module) -> Known | None:
    x = torch.linspace(-6.0, 6.0, 257)
    with _Calls() as calls:
        found = _result(module, x)
    if calls.names & _NAMES:
        return None  # met as that call
    for op, function in _UNARY.items():
        if found is not None and _agree(found, function(x)):
            return Known(op)
    return None


def _result(module: nn.Module, x: Tensor) -> Tensor | None:
    try:
        found = module.forward(x)
    except Exception:  # whatever another package's code does with a plain tensor
        return None
    return found if isinstance(found, Tensor) and found.shape == x.shape else None


def _agree(found: Tensor, exact: Tensor) -> bool:
    tolerance = max(TOLERANCE, 4 * torch.finfo(found.dtype).eps)
    return torch.allclose(found.float(), exact, rtol=tolerance, atol=tolerance)
