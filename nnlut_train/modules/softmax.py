"""Softmaxes: a row's exponentials over their sum, by every method that `hw` has."""

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from sim.golden import (
    Base2Spec,
    IbertSoftmaxSpec,
    KulischSpec,
    LutSoftmaxSpec,
    SoftmaxSpec,
)

from .codes import OnDevice, Unary, round_shift
from .module import HardwareModule, straight_through

__all__ = ["MASKED", "Base2Softmax", "IbertSoftmax", "KulischSoftmax", "LutSoftmax", "Softmax",
           "SoftmaxModule"]  # fmt: skip

#: Logits below this are masked: models write -inf, the most negative float, or -10000 where an
#: element must not count, and add a score to it.
MASKED = -4096.0


class SoftmaxModule(HardwareModule):
    """A softmax over the last dimension of rows of up to ``spec.length`` elements.

    Backwards, quantising and tables are passed straight through: the derivative is
    ``p (g - sum(g p))`` of the hardware's own probabilities p.

    Parameters
    ----------
    spec : SoftmaxRowSpec
        The unit. If it has a mask, elements below `MASKED` are masked: they give 0, and so does
        every element of a row without any other. Without a mask they saturate to the lowest code.
    """

    @abstractmethod
    def _rows(self, codes: Tensor, mask: Tensor) -> Tensor:
        """Return the probabilities' codes of rows of codes; `mask` is true for masked ones."""

    def compute(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the codes of the probabilities; see `sim.golden.rows.RowSpec.compute`.

        Parameters
        ----------
        codes : int tensor, shape (..., n)
            Rows of logits' codes.
        mask : bool tensor, same shape, optional
            True for masked elements.

        Raises
        ------
        UsageError
            If `codes` are not rows of the input's format, n is beyond ``spec.length``, or `mask` is
            not as above.
        """
        self.check_codes(codes)
        if mask is None:
            mask = torch.zeros_like(codes, dtype=torch.bool)
        elif mask.shape != codes.shape or mask.dtype != torch.bool:
            raise UsageError(
                f"a mask must be bool with the codes' shape {tuple(codes.shape)}, "
                f"not {mask.dtype} with {tuple(mask.shape)}"
            )
        return self._compute(codes.to(torch.int64), mask)

    def _compute(self, codes: Tensor, mask: Tensor) -> Tensor:
        size = codes.shape[-1] if codes.dim() else 0
        if not 1 <= size <= self.bare.length:
            raise UsageError(f"a row must have 1 to {self.bare.length} elements, not {size}")
        return self._rows(codes, mask)

    def forward(self, x: Tensor) -> Tensor:
        """Return the probabilities of real logits `x`, shape (..., n), same dtype."""
        mask = x < MASKED if self.spec.mask else torch.zeros_like(x, dtype=torch.bool)
        p = self.dequantize(self._compute(self.quantize(x), mask), x.dtype)
        if torch.is_grad_enabled() and x.requires_grad:
            # Linear in x, with the softmax's derivative at p.
            return straight_through(p * (x - (p * x).sum(-1, keepdim=True)), p)
        return p

    def distances(self, codes: Tensor, mask: Tensor) -> Tensor:
        """Return how far logits are below their row's maximum; see `SoftmaxRowSpec.distances`."""
        largest = codes.masked_fill(mask, self.bare.input.min).amax(-1, keepdim=True)
        return (largest - codes).clamp_(min=0)


class Softmax(SoftmaxModule):
    """`sim.golden.SoftmaxSpec`: tables of exp and of the reciprocal."""

    def __init__(self, spec: SoftmaxSpec) -> None:
        super().__init__(spec)
        self._exp, self._reciprocal = Unary(self.bare.exp), Unary(self.bare.reciprocal)

    def distances(self, codes: Tensor, mask: Tensor) -> Tensor:
        """Return what exp sees of the distances; see `sim.golden.SoftmaxSpec.narrowed`."""
        exact = super().distances(codes, mask)
        # Most see all of it.
        if self.bare.exp.input == self.bare.distance:
            return exact
        return round_shift(exact, self.bare.distance_shift).clamp_(max=self.bare.exp.input.max)

    def _rows(self, codes: Tensor, mask: Tensor) -> Tensor:
        e = self._exp(self.distances(codes, mask)).masked_fill_(mask, 0)
        r = self._reciprocal(e.sum(-1, keepdim=True))
        return round_shift(e.mul_(r), self.bare.shift).clamp_(max=self.bare.output.max)


class LutSoftmax(SoftmaxModule):
    """`sim.golden.RexpSpec` and `Lut2dSpec` (Vasyltsov & Chang): tables alone."""

    def __init__(self, spec: LutSoftmaxSpec) -> None:
        super().__init__(spec)
        bare = self.bare
        distances = Format(False, bare.input.bits, 0).codes()
        entries = np.arange(bare.exp_entries)
        exponentials, sums = bare.exp.lookup(entries), np.arange(1, bare.sums + 1)
        self._index = OnDevice(bare.exp_index(distances))
        self._exponentials = OnDevice(exponentials)
        # All that can be asked for: an exponential in a row with a sum.
        self._shares = OnDevice(bare.share(exponentials[:, None], sums).ravel())

    def _rows(self, codes: Tensor, mask: Tensor) -> Tensor:
        bare, device = self.bare, codes.device
        distances = self.distances(codes, mask).flatten()
        index = self._index.on(device).index_select(0, distances)
        e = self._exponentials.on(device).index_select(0, index).view(codes.shape)
        total = e.masked_fill_(mask, 0).sum(-1, keepdim=True)
        total = ((total + bare.one // 2) // bare.one).clamp_(1, bare.sums)
        at = index.view(codes.shape) * bare.sums + (total - 1)
        share = self._shares.on(device).index_select(0, at.flatten())
        return share.view(codes.shape).masked_fill_(mask, 0)


class Base2Softmax(SoftmaxModule):
    """`sim.golden.Base2Spec`: to base 2, with an online maximum."""

    def __init__(self, spec: Base2Spec) -> None:
        super().__init__(spec)
        bare = self.bare
        mantissa, exponent = bare.split(bare.input.codes())
        self._tables = [
            OnDevice(values)
            for values in (mantissa, exponent, mantissa << (exponent & (bare.octaves - 1)))
        ]
        self._reciprocal = Unary(bare.reciprocal)

    def _rows(self, codes: Tensor, mask: Tensor) -> Tensor:
        bare = self.bare
        at = (codes - bare.input.min).flatten()
        u, k, weight = (
            table.on(codes.device).index_select(0, at).view(codes.shape) for table in self._tables
        )
        largest = k.masked_fill(mask, bare.exponent_min).amax(-1, keepdim=True)
        below = (largest >> bare.block) - (k >> bare.block)
        high, low = (
            weight.masked_fill(mask | (below != block), 0).sum(-1, keepdim=True) for block in (0, 1)
        )
        total = (high + (low >> bare.octaves)) >> (largest & (bare.octaves - 1))
        right = (largest - k).add_(bare.shift).clamp_(0, bare.right_max)
        p = round_shift(u * self._reciprocal(total), right)
        return p.clamp_(max=bare.output.max).masked_fill_(mask, 0)


class KulischSoftmax(SoftmaxModule):
    """`sim.golden.KulischSpec`: floating-point exponentials, added exactly."""

    def __init__(self, spec: KulischSpec) -> None:
        super().__init__(spec)
        bare = self.bare
        u, k = bare.split(bare.input.codes())
        inverse = bare.reciprocal.compute(bare.reciprocal.input.codes())
        self._tables = [OnDevice(values) for values in (u, k, u << k)]
        self._inverse = OnDevice(inverse)
        # A sum has the exponent of the last power of two that is not above it.
        self._powers = OnDevice(1 << np.arange(bare.sum_bits))

    def _rows(self, codes: Tensor, mask: Tensor) -> Tensor:
        bare, device = self.bare, codes.device
        at = (codes - bare.input.min).flatten()
        u, k, weight = (
            table.on(device).index_select(0, at).view(codes.shape) for table in self._tables
        )
        total = weight.masked_fill_(mask, 0).sum(-1, keepdim=True).clamp_(min=1)
        e = torch.bucketize(total, self._powers.on(device), right=True) - 1
        bits = bare.reciprocal.input.bits
        window = (total << (bits - e).clamp(min=0)) >> (e - bits).clamp(min=0)
        r = self._inverse.on(device).index_select(0, (window - (1 << bits)).flatten())
        below = (e - bare.fraction_bits - k).clamp_(0, bare.below_max).add_(bare.shift)
        p = round_shift(u * r.view(e.shape), below)
        return p.clamp_(max=bare.output.max).masked_fill_(mask, 0)


class IbertSoftmax(SoftmaxModule):
    """`sim.golden.IbertSoftmaxSpec`: I-BERT's polynomial, and one integer division a row."""

    def __init__(self, spec: IbertSoftmaxSpec) -> None:
        super().__init__(spec)
        self._exp = Unary(self.bare.exp)

    def _rows(self, codes: Tensor, mask: Tensor) -> Tensor:
        bare = self.bare
        e = self._exp(self.distances(codes, mask)).masked_fill_(mask, 0)
        total = e.sum(-1, keepdim=True).clamp_(min=bare.largest)
        factor = (1 << bare.precision) // total
        return (e * factor >> (bare.precision - bare.output.frac)).clamp_(max=bare.output.max)
