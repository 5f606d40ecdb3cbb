"""The published tables taken literally: real lines on published ranges, on real tensors.

What the papers evaluate before they build hardware: breakpoints, slopes and intercepts are real
numbers, and so are arguments and results, in the tensor's own precision. A table is read as the
hardware reads it: comparators find the segment (an argument on a breakpoint belongs to the right
one), then one multiplication and one addition. Nothing limits the argument, so **outside the range
the outer lines run on**, in both methods:

* ``uniform``: the Linear-LUT baseline of J. Yu et al., "NN-LUT: Neural Approximation of Non-Linear
  Operations for Efficient Transformer Inference", DAC 2022, arXiv 2112.02191: segments of equal
  length, the line of each the least-squares one.
* ``nn``: NN-LUT itself (same paper; Eq. 5 and 7, ranges of Table 1), trained by
  `nnlut_train.fit.nn`, whose text says what the paper leaves open. A ReLU network has no range
  either: its table runs on just as the network does.

Around the tables, as in that paper: softmax is exp of the scores below their maximum, their sum,
and 1/x of the sum; LayerNorm is the exact mean and variance, and 1/sqrt of variance plus eps. The
sums, the products and everything else are exact. One thing is ours: a masked score (-inf, or below
`MASKED`) has the exponential 0, where the line of the outermost segment would give an infinity, or
let padding count.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UsageError
from ..files import write_bytes
from ..fit import METHODS, cache_folder, nn
from ..functions import FUNCTIONS
from ..modules.softmax import MASKED
from ..reading import read_json
from ..tables import digest

__all__ = [
    "SCALE", "RealTable", "functions", "layernorm", "nn_table", "scaled", "softmax", "table",
    "uniform_table",
]  # fmt: skip

#: NN-LUT's input scaling of 1/sqrt: S = 2^10, so that sqrt(S) = 2^5 is a shift, too.
SCALE = 1024.0

#: A function of tensors, each element by itself.
Unary = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class RealTable:
    """Lines ``y = slopes[j] x + intercepts[j]`` (NN-LUT, Eq. 4), applied to real tensors.

    Parameters
    ----------
    function : str
        What it approximates.
    domain : tuple of float
        ``(lo, hi)``: the range that it was made for; nothing keeps the argument inside.
    breakpoints : float64 array, shape (n - 1,)
        Ascending; equal ones leave a segment without an argument.
    slopes, intercepts : float64 array, shape (n,)
        The lines from left to right.
    """

    function: str
    domain: tuple[float, float]
    breakpoints: np.ndarray
    slopes: np.ndarray
    intercepts: np.ndarray

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluate at real `x` of any shape, in its precision; NaN stays NaN.

        The gradient is the segment's slope.
        """
        breakpoints, slopes, intercepts = (
            torch.as_tensor(v, dtype=x.dtype, device=x.device)
            for v in (self.breakpoints, self.slopes, self.intercepts)
        )
        segment = torch.bucketize(x.detach(), breakpoints, right=True)
        return slopes[segment] * x + intercepts[segment]


def uniform_table(
    function: str, entries: int, domain: tuple[float, float] | None = None
) -> RealTable:
    """Return segments of equal length (Linear-LUT).

    The line of each has the least squared error over the segment, from NN-LUT's number of uniform
    samples.

    Parameters
    ----------
    function : str
        A key of `nnlut_train.functions.FUNCTIONS`.
    entries : int
        Number of segments.
    domain : tuple of float, optional
        ``(lo, hi)``; by default NN-LUT's range (Table 1).

    Raises
    ------
    UsageError
        If the function is unknown, its range is neither known nor given, or the function is not
        finite where it is sampled.
    """
    exact, (low, high) = _exact(function, entries, domain)
    edges = np.linspace(low, high, entries + 1)
    count = -(-nn.SAMPLES // entries)
    steps = (np.arange(count) + 0.5) / count
    x = edges[:-1, None] + np.diff(edges)[:, None] * steps
    y = exact(x)
    if not np.isfinite(y).all():
        raise UsageError(f"{function} must be finite on all of its range, not ({low}, {high})")
    middle = x.mean(axis=1, keepdims=True)
    slopes = ((x - middle) * y).sum(axis=1) / ((x - middle) ** 2).sum(axis=1)
    intercepts = y.mean(axis=1) - slopes * middle[:, 0]
    return RealTable(function, (low, high), edges[1:-1], slopes, intercepts)


def nn_table(
    function: str, entries: int, domain: tuple[float, float] | None = None, *, seed: int = 0,
    progress: bool = False, cache: bool = True,
) -> RealTable:  # fmt: skip
    """Train NN-LUT's network, and return the table that equals it (Eq. 7).

    Training takes about a minute. The table is kept, as real numbers, in
    `nnlut_train.fit.cache_folder`, and taken from there when the same one was trained before by
    the same version of torch; a damaged file is trained anew.

    Parameters
    ----------
    function, entries, domain
        See `uniform_table`; the network is trained on uniform samples of the domain.
    seed : int
        Of the samples and the initial weights.
    progress : bool
        Show a progress bar, if standard error is a terminal.
    cache : bool
        Use the cache.

    Raises
    ------
    UsageError
        See `uniform_table`.
    """
    exact, domain = _exact(function, entries, domain)
    key = {
        "kind": "real nn table", "function": function, "domain": list(domain), "entries": entries,
        "signs": list(exact.nn_signs), "seed": seed, "steps": nn.STEPS, "samples": nn.SAMPLES,
        "batch": nn.BATCH, "revision": METHODS["nn"], "torch": metadata.version("torch"),
    }  # fmt: skip
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    path = cache_folder() / f"{name}.json"
    if cache and (arrays := _cached(path, key)) is not None:
        return RealTable(function, domain, *arrays)
    network = nn.train(exact, domain, entries, exact.nn_signs, seed, progress)
    arrays = nn.to_float_table(network)
    if cache:
        data = key | dict(zip(_ARRAYS, (v.tolist() for v in arrays), strict=True))
        # A cache that cannot be written costs time, not the result.
        with suppress(OSError):
            write_bytes(path, json.dumps(data | {"checksum": digest(data)}).encode())
    return RealTable(function, domain, *arrays)


_ARRAYS = ("breakpoints", "slopes", "intercepts")


def _cached(path: Path, key: dict[str, Any]) -> tuple[np.ndarray, ...] | None:
    """Return the arrays of a file of `nn_table`; None if there is none, or it is damaged."""
    try:
        data = read_json(path)
        checksum = data.pop("checksum")
        if digest(data) != checksum or any(data[name] != value for name, value in key.items()):
            return None
        return tuple(np.array(data[name], dtype=np.float64) for name in _ARRAYS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _exact(
    function: str, entries: int, domain: tuple[float, float] | None
) -> tuple[Any, tuple[float, float]]:
    if function not in FUNCTIONS:
        raise UsageError(f"a function must be one of {', '.join(FUNCTIONS)}, not {function!r}")
    if entries < 1:
        raise UsageError(f"entries must be 1 or more, not {entries}")
    exact = FUNCTIONS[function]
    domain = domain or exact.nn_range
    if domain is None:
        raise UsageError(f"{function} must be given a domain: NN-LUT publishes no range for it")
    low, high = map(float, domain)
    if not low < high:
        raise UsageError(f"a domain must be two numbers LO < HI, not {domain}")
    return exact, (low, high)


def scaled(rsqrt: Unary, factor: float = SCALE) -> Unary:
    """Return 1/sqrt with NN-LUT's input scaling: ``sqrt(S) rsqrt(S x)`` where 0 < x < 1.

    Parameters
    ----------
    rsqrt : callable
        1/sqrt of tensors, made for the range (1, factor).
    factor : float
        S, a power of four.
    """

    def evaluate(x: torch.Tensor) -> torch.Tensor:
        small = (x > 0) & (x < 1)
        return torch.where(small, factor**0.5 * rsqrt(x * factor), rsqrt(x))

    return evaluate


def softmax(exp: Unary | None = None, reciprocal: Unary | None = None) -> Unary:
    """Return softmax over the last dimension, by tables.

    Parameters
    ----------
    exp : callable, optional
        Exponential of the scores below their maximum; exact by default.
    reciprocal : callable, optional
        1/x of the sum of the exponentials; exact by default.

    Returns
    -------
    callable
        Real tensor, masked elements -inf or below `MASKED`, to a tensor of the same shape. Masked
        elements become 0, and so does a row that is masked as a whole.
    """
    exp, reciprocal = exp or torch.exp, reciprocal or torch.reciprocal

    def evaluate(x: torch.Tensor) -> torch.Tensor:
        masked = x < MASKED
        below = x - x.amax(dim=-1, keepdim=True)
        power = exp(below.masked_fill(masked, 0.0)).masked_fill(masked, 0.0)
        total = power.sum(dim=-1, keepdim=True)
        return (power * reciprocal(total)).masked_fill(masked, 0.0)

    return evaluate


def layernorm(
    rsqrt: Unary,
) -> Callable[[torch.Tensor, torch.Tensor | None, torch.Tensor | None, float], torch.Tensor]:
    """Return LayerNorm over the last dimension, 1/sqrt by a table.

    Parameters
    ----------
    rsqrt : callable
        1/sqrt of the variance plus eps.

    Returns
    -------
    callable
        ``h(x, weight, bias, eps)``: real tensors, the second and third of shape ``x.shape[-1:]``
        or None, to a tensor of the shape of `x`.
    """

    def evaluate(
        x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
    ) -> torch.Tensor:
        variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
        y = (x - mean) * rsqrt(variance + eps)
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    return evaluate


def table(
    method: str, function: str, entries: int = 16, domain: tuple[float, float] | None = None, *,
    seed: int = 0, progress: bool = False,
) -> RealTable:  # fmt: skip
    """Return the table of one published method, ``uniform`` or ``nn``; see `functions`."""
    if method == "uniform":
        return uniform_table(function, entries, domain)
    if method == "nn":
        return nn_table(function, entries, domain, seed=seed, progress=progress)
    raise UsageError(f"a published method must be uniform or nn, not {method!r}")


def functions(
    method: str, entries: int = 16, *, scaling: bool = False, seed: int = 0, progress: bool = False
) -> dict[str, Callable[..., torch.Tensor]]:
    """Return softmax, gelu and layernorm by one published method, on NN-LUT's ranges (Table 1).

    Parameters
    ----------
    method : str
        ``uniform`` or ``nn``.
    entries : int
        Segments of every table; the paper has 16.
    scaling : bool
        NN-LUT's input scaling: 1/sqrt is made for (1, `SCALE`), see `scaled`.
    seed, progress
        See `nn_table`.

    Raises
    ------
    UsageError
        If the method is unknown, or `entries` is no count.
    """

    def made(function: str, domain: tuple[float, float] | None = None) -> RealTable:
        return table(method, function, entries, domain, seed=seed, progress=progress)

    rsqrt = scaled(made("rsqrt", (1.0, SCALE))) if scaling else made("rsqrt")
    return {
        "softmax": softmax(made("exp"), made("reciprocal")), "gelu": made("gelu"),
        "layernorm": layernorm(rsqrt),
    }  # fmt: skip
