"""Which torch functions are which operations, and how their arguments read.

Every way to write an operation in PyTorch (a module, ``torch.nn.functional``, ``torch``, a tensor's
method) ends in one of the functions here, where `nnlut_train.network.override` meets it.
"""

import math
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["OPENED", "READERS", "UNSUPPORTED", "Call", "attention", "opened"]


@dataclass(frozen=True)
class Call:
    """An operation that a model asks for.

    Parameters
    ----------
    op : str
        ``softmax``, ``layernorm``, ``rmsnorm``, or a name in `nnlut_train.functions.FUNCTIONS`.
    x : Tensor
        Its argument; of a row operation, rows are in the last dimension.
    finish : callable
        Brings a result of the shape of `x` to what the model expects.
    weight, bias : Tensor or None
        Of a norm: gain and offset, shape (n,).
    eps : float
        Of a norm.
    """

    op: str
    x: Tensor
    finish: Callable[[Tensor], Tensor]
    weight: Tensor | None = None
    bias: Tensor | None = None
    eps: float = 0.0


def _same(y: Tensor) -> Tensor:
    return y


def _softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3,  # noqa: A002 (torch's name)
    dtype: torch.dtype | None = None,
) -> Call:  # fmt: skip
    x = input if dtype is None else input.to(dtype)
    if dim is None:  # torch's own rule of old
        dim = 0 if x.dim() in (0, 1, 3) else 1
    return Call("softmax", x.movedim(dim, -1), lambda y: y.movedim(-1, dim))


def _torch_softmax(
    input: Tensor, dim: int, dtype: torch.dtype | None = None  # noqa: A002 (torch's name)
) -> Call:  # fmt: skip
    return _softmax(input, dim, dtype=dtype)


def _norm(
    op: str, x: Tensor, shape: Any, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Call:
    count = 1 if isinstance(shape, int) else len(shape)
    flat = [None if v is None else v.flatten() for v in (weight, bias)]
    return Call(op, x.flatten(-count), lambda y: y.view(x.shape), *flat, eps)


def _layer_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None,  # noqa: A002 (torch's name)
    bias: Tensor | None = None, eps: float = 1e-5, cudnn_enable: bool = True,
) -> Call:  # fmt: skip
    return _norm("layernorm", input, normalized_shape, weight, bias, eps)


def _rms_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None,  # noqa: A002 (torch's name)
    eps: float | None = None,
) -> Call:  # fmt: skip
    eps = torch.finfo(input.dtype).eps if eps is None else eps
    return _norm("rmsnorm", input, normalized_shape, weight, None, eps)


def _gelu(input: Tensor, *, approximate: str = "none") -> Call:  # noqa: A002 (torch's name)
    return Call("gelu" if approximate == "none" else "gelu_tanh", input, _same)


def _unary(op: str) -> Callable[..., Call | None]:
    """Return the reader of a function of one tensor; with other constants it is another function.

    The constants that `nnlut_train.functions` has are torch's defaults.
    """
    defaults = {"softplus": {"beta": 1.0, "threshold": 20.0}, "elu": {"alpha": 1.0}}.get(op, {})

    def read(input: Tensor, *rest: Any, **named: Any) -> Call | None:  # noqa: A002 (torch's name)
        inplace = named.pop("inplace", False)
        given = dict(zip(defaults, rest, strict=False)) | named
        if op == "elu" and len(rest) > 1:
            inplace = rest[1]
        elif op != "softplus" and op != "elu" and rest:
            inplace = rest[0]
        if any(given.get(name, value) != value for name, value in defaults.items()):
            return None
        return Call(op, input, input.copy_ if inplace else _same)

    return read


def _readers() -> dict[Callable[..., Any], Callable[..., Call | None]]:
    readers: dict[Any, Callable[..., Call | None]] = {
        functional.softmax: _softmax,
        torch.softmax: _torch_softmax,
        Tensor.softmax: _torch_softmax,
        functional.layer_norm: _layer_norm,
        torch.layer_norm: _layer_norm,
        functional.rms_norm: _rms_norm,
        torch.rms_norm: _rms_norm,
        functional.gelu: _gelu,
    }
    names = {
        "silu": "silu", "hardswish": "hswish", "hardsigmoid": "hsigmoid", "softplus": "softplus",
        "elu": "elu", "mish": "mish", "sigmoid": "sigmoid", "tanh": "tanh", "erf": "erf",
        "exp": "exp", "exp2": "exp2", "log": "log", "sqrt": "sqrt", "rsqrt": "rsqrt", "sin": "sin",
        "cos": "cos", "reciprocal": "reciprocal",
    }  # fmt: skip
    for name, op in names.items():
        for place in (functional, torch, Tensor, torch.special):
            if (found := getattr(place, name, None)) is not None:
                readers[found] = _unary(op)
    readers[torch.special.expit] = _unary("sigmoid")
    return readers


#: Torch function -> what reads a call of it; None is returned for what no unit computes.
READERS = _readers()


def _unsupported() -> dict[Callable[..., Any], str]:
    names = (
        "log_softmax", "softmin", "gumbel_softmax", "leaky_relu", "prelu", "rrelu", "celu", "selu",
        "glu", "group_norm", "batch_norm", "instance_norm", "local_response_norm", "normalize",
        "logsigmoid", "softsign", "tanhshrink", "native_layer_norm", "logsumexp", "expm1", "log1p",
        "log2", "log10", "erfc", "erfinv", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh",
        "asinh", "acosh", "atanh", "pow", "logit", "cosine_similarity", "lstm", "gru", "rnn_tanh",
        "sigmoid_", "tanh_", "exp_", "sqrt_", "rsqrt_", "reciprocal_", "pow_", "lgamma", "digamma",
    )  # fmt: skip
    found: dict[Any, str] = {}
    for name in names:
        for place in (functional, torch, Tensor, torch.special):
            if (function := getattr(place, name, None)) is not None:
                found[function] = name
    for division in ("div", "true_divide", "divide", "__truediv__", "__rtruediv__", "div_",
                     "__itruediv__"):  # fmt: skip
        for place in (torch, Tensor):
            if (function := getattr(place, division, None)) is not None:
                found[function] = "div"
    for power in ("__pow__", "__rpow__", "__ipow__"):
        found[getattr(Tensor, power)] = "pow"
    return found


#: Non-linear torch functions that no unit computes, by what a report calls them.
UNSUPPORTED = _unsupported()

#: Functions of Python that call others, which are to be met.
OPENED = (functional.multi_head_attention_forward,)


def opened(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a torch function of Python that does not hand itself over to overrides again."""
    never = dict.fromkeys(("has_torch_function", "has_torch_function_unary"), lambda *_: False)
    copy = types.FunctionType(
        function.__code__, function.__globals__ | never, function.__name__,
        function.__defaults__, function.__closure__,
    )  # fmt: skip
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, *, scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """Return ``torch.nn.functional.scaled_dot_product_attention``, expressed through softmax.

    Arguments as there; a masked score is -inf.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if enable_gqa:
        key, value = (v.repeat_interleave(query.shape[-3] // v.shape[-3], -3) for v in (key, value))
    scores = query @ key.transpose(-2, -1) * scale
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~seen, -math.inf)
    if attn_mask is not None:
        bools = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if bools else scores + attn_mask
    weights = functional.softmax(scores, -1)
    if dropout_p:
        weights = functional.dropout(weights, dropout_p)
    return weights @ value
