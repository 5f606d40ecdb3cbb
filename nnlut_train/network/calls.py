"""Which torch functions are which operations, and how their arguments read.

Every way to write an operation in PyTorch (a module, ``torch.nn.functional``, ``torch``, a tensor's
method, in place) ends in one of the functions here, where `nnlut_train.network.override` meets it.
"""

import math
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["OPENED", "PROBES", "READERS", "Call", "Reader", "attention", "opened"]


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


#: What a call asks for: an operation, or the reason why no unit computes it, or None: nothing
#: non-linear.
Reader = Callable[..., Call | str | None]

_NO_UNIT = "no unit computes it"
_OTHER = "with these constants, no unit computes it"


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


def _unary(op: str) -> Reader:
    def read(input: Tensor, inplace: bool = False) -> Call:  # noqa: A002 (torch's name)
        return Call(op, input, input.copy_ if inplace else _same)

    return read


def _in_place(reader: Reader) -> Reader:
    """Return the reader of the same function whose result overwrites its argument."""

    def read(input: Tensor, *rest: Any, **named: Any) -> Call | str | None:  # noqa: A002
        call = reader(input, *rest, **named)
        return replace(call, finish=input.copy_) if isinstance(call, Call) else call

    return read


# The constants that `nnlut_train.functions` has are torch's defaults.
def _softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Call | str:  # noqa: A002
    return Call("softplus", input, _same) if (beta, threshold) == (1.0, 20.0) else _OTHER


def _elu(
    input: Tensor, alpha: float = 1.0, inplace: bool = False  # noqa: A002 (torch's name)
) -> Call | str:  # fmt: skip
    return _unary("elu")(input, inplace) if alpha == 1.0 else _OTHER


#: Powers that are functions of their own.
_POWERS = {0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}


def _pow(input: Any, exponent: Any) -> Call | str | None:  # noqa: A002 (torch's name)
    if isinstance(exponent, int | float) and isinstance(input, Tensor):
        if exponent in _POWERS:
            return Call(_POWERS[exponent], input, _same)
        if exponent >= 0 and exponent == int(exponent):
            return None  # multiplications
    return _NO_UNIT


def _powered(exponent: Tensor, base: Any) -> Call | str:
    return Call("exp2", exponent, _same) if base == 2 else _NO_UNIT


def _div(
    input: Any, other: Any, *, rounding_mode: str | None = None  # noqa: A002 (torch's name)
) -> str | None:  # fmt: skip
    # By a constant it is a scale.
    return _NO_UNIT if isinstance(other, Tensor) and other.numel() > 1 else None


def _divided(divisor: Tensor, numerator: Any) -> Call:
    return Call("reciprocal", divisor, lambda y: y * numerator)


def _batch_norm(
    input: Tensor, mean: Any, variance: Any, weight: Any = None, bias: Any = None,  # noqa: A002
    training: bool = False, *_: Any, **__: Any,
) -> str | None:  # fmt: skip
    # With statistics of its own it is a scale and an offset.
    return _NO_UNIT if training else None


def _none(*_: Any, **__: Any) -> str:
    return _NO_UNIT


_PLACES = (functional, torch, Tensor, torch.special, torch.linalg)
_UNARY = {
    "silu": "silu", "hardswish": "hswish", "hardsigmoid": "hsigmoid", "mish": "mish",
    "sigmoid": "sigmoid", "expit": "sigmoid", "tanh": "tanh", "erf": "erf", "exp": "exp",
    "exp2": "exp2", "log": "log", "sqrt": "sqrt", "rsqrt": "rsqrt", "sin": "sin", "cos": "cos",
    "reciprocal": "reciprocal",
}  # fmt: skip
_UNSUPPORTED = (
    "log_softmax", "softmin", "gumbel_softmax", "leaky_relu", "prelu", "rrelu", "celu", "selu",
    "glu", "group_norm", "instance_norm", "local_response_norm", "normalize", "logsigmoid",
    "softsign", "tanhshrink", "native_layer_norm", "logsumexp", "logaddexp",
    "expm1", "log1p", "log2", "log10", "erfc", "erfinv", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "asinh", "acosh", "atanh", "logit", "lgamma", "digamma", "sinc", "hypot",
    "cosine_similarity", "pairwise_distance", "cdist", "norm", "vector_norm", "std", "std_mean",
    "lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell",
    "rnn_relu_cell",
)  # fmt: skip


def _readers() -> dict[Callable[..., Any], tuple[str, Reader]]:
    named: dict[str, Reader] = {name: _unary(op) for name, op in _UNARY.items()}
    named |= dict.fromkeys(_UNSUPPORTED, _none)
    named |= {
        "layer_norm": _layer_norm, "rms_norm": _rms_norm, "gelu": _gelu, "softplus": _softplus,
        "elu": _elu, "pow": _pow, "float_power": _pow, "div": _div, "true_divide": _div,
        "divide": _div, "batch_norm": _batch_norm, "softmax": _torch_softmax,
    }  # fmt: skip
    found: dict[Any, tuple[str, Reader]] = {}
    shown = {"true_divide": "div", "divide": "div", "float_power": "pow"}
    for name, reader in named.items():
        for place in _PLACES:
            for own, read in ((name, reader), (f"{name}_", _in_place(reader))):
                if (function := getattr(place, own, None)) is not None:
                    found[function] = shown.get(name, name), read
    return found | {
        functional.softmax: ("softmax", _softmax),
        Tensor.__pow__: ("pow", _pow),
        Tensor.__ipow__: ("pow", _in_place(_pow)),
        Tensor.__rdiv__: ("div", _divided),
        Tensor.__rpow__: ("pow", _powered),
    }


#: Torch function -> its name in a report, and what reads a call of it.
READERS = _readers()

#: Where torch's autocast may compute in more than its argument's precision: what tells it.
PROBES: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda x: functional.softmax(x, 0),
    "layernorm": lambda x: functional.layer_norm(x, (1,)),
    "rmsnorm": lambda x: functional.rms_norm(x, (1,)),
    "softplus": functional.softplus,
    "exp": torch.exp,
    "log": torch.log,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
}

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
