"""INT8 weights and activations of every linear layer, simulated.

The usual integer inference of Transformers (as I-BERT's matrix products; Kim et al., ICML 2021,
arXiv 2101.01321) with dynamic scales:

* Weights: symmetric, one scale for each output channel: the largest absolute weight is 127.
* Activations: symmetric, one scale for each token, that is, for each vector along the last
  dimension, from the vector itself: the largest absolute value is 127.
* The product of the two is the exact integer. It is computed in float32, in which integers up to
  2^24 are exact in any order of addition: at most `DEPTH` products of 127 * 127 at a time, and sums
  of such parts in float64. (An integer product may be faster, but on processors without VNNI the
  libraries saturate it.)
* Result: product times both scales, plus the bias, in the activations' own precision.

Rounding is half up, as everywhere here. Whatever is no `nn.Linear` stays as it is: the two matrix
products of attention (scores, and probabilities times values), embeddings, residual additions, and
of course the non-linear operations.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch._C import DisableTorchFunction

from ..errors import UsageError

__all__ = ["DEPTH", "LARGEST", "int8", "linear", "product", "quantize"]

#: The largest code; -128 is not used.
LARGEST = 127
#: Most products whose sum float32 surely holds: 2^24 / 127^2.
DEPTH = 2**24 // LARGEST**2


def quantize(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the codes of real vectors, and their scales.

    Parameters
    ----------
    x : float tensor, shape (..., n)

    Returns
    -------
    codes : float tensor, shape (..., n)
        Integers -127 to 127; NaN where the vector has a number that is not finite.
    scales : float tensor, shape (..., 1)
        Real value of a code step; 1 for a vector of zeros.
    """
    scales = x.abs().amax(dim=-1, keepdim=True) / LARGEST
    scales = scales.masked_fill(scales == 0, 1.0)
    codes = x / scales
    floor = codes.floor()
    # Not floor(codes + 0.5): that sum is itself rounded.
    return (floor + (codes - floor >= 0.5)).clamp(-LARGEST, LARGEST), scales


def product(activations: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return ``activations @ weights.T`` of integers, exactly.

    Parameters
    ----------
    activations : float32 tensor, shape (..., k)
        Integers -127 to 127.
    weights : float32 tensor, shape (n, k)
        Integers -127 to 127.

    Returns
    -------
    tensor, shape (..., n)
        Integers; float32 if k is at most `DEPTH`, else float64.
    """
    parts = [
        nn.functional.linear(a, w)
        for a, w in zip(activations.split(DEPTH, -1), weights.split(DEPTH, -1), strict=True)
    ]
    return parts[0] if len(parts) == 1 else sum(part.double() for part in parts)


def linear(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Compute a linear layer with INT8 activations.

    Parameters
    ----------
    x : float tensor, shape (..., k)
        Real activations.
    weight : float32 tensor, shape (n, k)
        Codes of the weights, of `quantize`.
    scale : float tensor, shape (n, 1)
        Their scales.
    bias : float tensor, shape (n,), optional

    Returns
    -------
    float tensor, shape (..., n)
        In the precision of `x`.
    """
    codes, scales = quantize(x)
    result = (product(codes.float(), weight) * scales * scale[:, 0]).to(x.dtype)
    return result if bias is None else result + bias


@contextmanager
def int8(model: nn.Module) -> Iterator[list[str]]:
    """Compute every `nn.Linear` of `model` with INT8 weights and activations.

    For inference: rounding has no useful gradient. The weights are quantised once, on entry, and
    the model itself is unchanged afterwards.

    Yields
    ------
    list of str
        Module paths of the layers.

    Raises
    ------
    UsageError
        If there is no `nn.Linear`, or a matrix product is hidden where it cannot be replaced: in a
        subclass's own forward, or in `nn.MultiheadAttention`.
    """
    layers = {}
    for path, module in model.named_modules():
        hidden = isinstance(module, nn.MultiheadAttention)
        if isinstance(module, nn.Linear):
            hidden = type(module).forward is not nn.Linear.forward or "forward" in vars(module)
            layers[path] = module
        if hidden:
            raise UsageError(
                f"INT8 must find matrix products in plain nn.Linear modules, "
                f"not in {type(module).__name__} at {path or 'the root'}"
            )
    if not layers:
        raise UsageError(f"INT8 must find nn.Linear in a model: {type(model).__name__} has none")
    try:
        for module in layers.values():
            weight, scale = quantize(module.weight.detach())
            module.forward = _forward(weight.float(), scale, module.bias)
        yield list(layers)
    finally:
        for module in layers.values():
            vars(module).pop("forward", None)


def _forward(
    weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None
) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(x: torch.Tensor) -> torch.Tensor:
        with DisableTorchFunction():  # a quotient here is a scale, and no operation of the model
            return linear(x, weight, scale, bias)

    return forward
