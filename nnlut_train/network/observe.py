"""What a model's non-linear operations are asked for: histograms and samples of every site."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from hw.choices import ROW_OPS
from nnlut_train.errors import UsageError
from nnlut_train.histograms import Histogram
from nnlut_train.modules.softmax import MASKED

from .calls import Call
from .override import Override
from .training import evaluating

__all__ = ["Observation", "observe", "run_batch"]

#: A histogram's bins: steps of 2**-BIN_FRAC from -REACH to REACH; what is beyond is in the last.
BIN_FRAC, REACH = 8, 256
#: Bins of variances: octaves from 2**-VARIANCE to 2**VARIANCE, so many each.
VARIANCE, PER_OCTAVE = 32, 8
#: Rows that are kept of a site: a uniform sample.
ROWS = 1024


@dataclass(eq=False)
class Observation:
    """What one site saw.

    Attributes
    ----------
    site, op : str
        Where, and what.
    calls : int
        Runs of the site.
    longest : int
        Elements of the longest row; 0 of a unary function.
    low, high : float
        Smallest and largest finite argument; of a softmax without masked ones.
    counts : int64 array
        Of arguments by `BIN_FRAC` and `REACH`; of a softmax, of the distances ``x - max(x)``,
        without the maximum's own.
    variances : int64 array
        Of a norm: counts of the rows' variances, by octaves.
    rows : list of float32 array
        Of a row operation: a uniform sample of the rows, shape (n,) each, without masked elements.
    weight, bias : Tensor or None
        Of a norm.
    eps : float
        Of a norm.
    """

    site: str
    op: str
    calls: int = 0
    longest: int = 0
    low: float = np.inf
    high: float = -np.inf
    counts: np.ndarray = field(default_factory=lambda: np.zeros(2 * REACH << BIN_FRAC, np.int64))
    variances: np.ndarray = field(
        default_factory=lambda: np.zeros(2 * VARIANCE * PER_OCTAVE, np.int64)
    )
    rows: list[np.ndarray] = field(default_factory=list)
    weight: Tensor | None = None
    bias: Tensor | None = None
    eps: float = 0.0
    _keys: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def histogram(self) -> Histogram:
        """The arguments' histogram, as `nnlut_train fit --weights` reads it."""
        used = np.flatnonzero(self.counts)
        first, last = used[0], used[-1] + 1
        edges = np.arange(first, last + 1) / 2.0**BIN_FRAC - REACH
        return Histogram(edges, self.counts[first:last])

    @property
    def variance_histogram(self) -> Histogram:
        """Of a norm: the histogram of the rows' variances."""
        used = np.flatnonzero(self.variances)
        first, last = used[0], used[-1] + 1
        edges = 2.0 ** (np.arange(first, last + 1) / PER_OCTAVE - VARIANCE)
        return Histogram(edges, self.variances[first:last])

    def add(self, call: Call, rng: np.random.Generator) -> None:
        """Count one run."""
        self.calls += 1
        x = call.x.detach().float().cpu()
        if not x.numel():
            return
        if self.op not in ROW_OPS:
            self._count(x)
            return
        flat = x.reshape(-1, x.shape[-1])
        self.longest = max(self.longest, flat.shape[-1])
        masked = flat < MASKED if self.op == "softmax" else torch.zeros_like(flat, dtype=torch.bool)
        if self.op == "softmax":
            largest, at = flat.masked_fill(masked, -np.inf).max(-1, keepdim=True)
            others = ~masked.scatter(-1, at, True)
            self._range(flat[~masked])
            self._count((flat - largest)[others], ranged=False)
        else:
            self.weight, self.bias, self.eps = _kept(call.weight), _kept(call.bias), call.eps
            self._count(flat)
            octaves = flat.var(-1, correction=0).clamp_(min=2.0**-VARIANCE).log2_()
            bins = ((octaves + VARIANCE) * PER_OCTAVE).long().clamp_(0, self.variances.size - 1)
            self.variances += torch.bincount(bins, minlength=self.variances.size).numpy()
        keys = rng.random(len(flat))
        keys[masked.all(-1).numpy()] = np.inf
        # Most cannot be among the smallest of all so far.
        limit = self._keys[-1] if len(self._keys) == ROWS else np.inf
        kept = np.flatnonzero(keys < limit)
        kept = kept[np.argsort(keys[kept])[:ROWS]]
        values, present = flat[kept].numpy(), ~masked[kept].numpy()
        rows = [row[here] for row, here in zip(values, present, strict=True)]
        self._sample(rows, keys[kept])

    def _range(self, x: Tensor) -> None:
        if not x.numel():
            return
        low, high = (v.item() for v in torch.aminmax(x))
        if np.isnan(low):
            raise UsageError("what is observed must be numbers, not NaN")
        if np.isinf((low, high)).any():
            self._range(x[x.isfinite()])
        else:
            self.low, self.high = min(self.low, low), max(self.high, high)

    def _count(self, x: Tensor, ranged: bool = True) -> None:
        if ranged:
            self._range(x)
        bins = (x.flatten() * 2.0**BIN_FRAC).floor_().add_(REACH << BIN_FRAC)
        bins = bins.clamp_(0, self.counts.size - 1).int()
        self.counts += torch.bincount(bins, minlength=self.counts.size).numpy()

    def _sample(self, items: list[np.ndarray], keys: np.ndarray) -> None:
        """Keep those of the smallest random keys: of all so far, each as likely."""
        keys = np.append(self._keys, keys)
        kept = np.argsort(keys, kind="stable")[:ROWS]
        items = [*self.rows, *items]
        self.rows, self._keys = [items[i] for i in kept], keys[kept]


def _kept(values: Tensor | None) -> Tensor | None:
    """Return a copy: what a model has may change, and be on another device."""
    return None if values is None else values.detach().float().cpu().clone()


def run_batch(model: nn.Module, batch: Any, call: Callable[..., Any] | None = None) -> Any:
    """Run a model on a batch: keywords of a mapping, arguments of a tuple, or the batch itself."""
    if call is not None:
        return call(model, batch)
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, list | tuple) else model(batch)


def observe(
    model: nn.Module, batches: Iterable[Any], *, call: Callable[..., Any] | None = None,
    seed: int = 0, progress: bool = False,
) -> dict[str, Observation]:  # fmt: skip
    """Run unlabelled data through a model, and note what its operations are asked for.

    Parameters
    ----------
    model : nn.Module
        The model; it is run as for inference, and left as it was.
    batches : iterable
        See `run_batch`.
    call : callable, optional
        ``call(model, batch)`` runs a batch, where that is not enough.
    seed : int
        Of the samples.
    progress : bool
        Show progress on a terminal.

    Returns
    -------
    dict of str to Observation
        By site, in the order of their first run.

    Raises
    ------
    UsageError
        If there is no batch, an operation is asked of NaN, or the model is replaced.
    """
    seen: dict[str, Observation] = {}
    rng = np.random.default_rng(seed)

    def handle(site: str, call: Call) -> None:
        seen.setdefault(site, Observation(site, call.op)).add(call, rng)

    override = Override(model, handle, lambda *_: None)
    count = 0
    try:
        with evaluating(model):
            for batch in tqdm(batches, "observe", leave=False, disable=None if progress else True):
                run_batch(model, batch, call)
                count += 1
    finally:
        override.remove()
    if not count:
        raise UsageError("batches must have at least one batch, not none")
    return seen
