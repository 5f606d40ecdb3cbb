"""Activations: a function of one element."""

import numpy as np
import torch
from torch import Tensor

from nnlut_train.functions import Function
from sim.golden import UnarySpec

from .codes import GATHER_BITS, OnDevice, Unary, dequantize, quantize
from .module import HardwareModule, straight_through

__all__ = ["Activation"]


class Activation(HardwareModule):
    """A unary function as the hardware computes it: of up to 16 bits, one gather.

    Backwards, quantising and the table are passed straight through: the derivative is that of
    `function`, and 0 where the input saturates.

    Parameters
    ----------
    spec : UnarySpec
        The unit.
    function : Function, optional
        What it approximates. Without it, the derivative is that of the results themselves, smoothed
        over `SMOOTH` codes.
    """

    #: Codes over which the results' own differences are taken.
    SMOOTH = 8

    def __init__(self, spec: UnarySpec, function: Function | None = None) -> None:
        super().__init__(spec)
        self._unary = Unary(self.bare)
        self._values = self._slopes = None
        if self.bare.input.bits <= GATHER_BITS:
            codes = self.bare.input.codes()
            real = self.bare.compute(codes) * self.bare.output_scale
            self._values = OnDevice(torch.from_numpy(real).float())
            self._slopes = OnDevice(torch.from_numpy(self._slope(codes, real, function)).float())

    def _slope(self, codes: np.ndarray, real: np.ndarray, function: Function | None) -> np.ndarray:
        """Return the derivative at every code."""
        x, step = self.bare.input.real(codes), self.bare.input.scale
        if function is not None:
            edges = np.append(x - step / 2, x[-1] + step / 2)
            if not self.bare.input.signed:
                edges[0] = 0.0  # some have nothing below
            # Where a rise is infinite, as of 1/x at 0, there is none.
            values = function(edges)
            slope = np.diff(np.where(np.isfinite(values), values, np.nan)) / np.diff(edges)
            # Where the function ends (1/x at 0), the results themselves have a difference.
            return np.where(np.isfinite(slope), slope, np.gradient(real, step))
        window = min(self.SMOOTH, len(real) // 2) or 1
        at = np.arange(len(real))
        right, left = np.minimum(at + window, len(real) - 1), np.maximum(at - window, 0)
        return (real[right] - real[left]) / ((right - left) * step)

    def compute(self, codes: Tensor) -> Tensor:
        """Return the output codes of `codes`; see `HardwareModule.compute`.

        Raises
        ------
        UsageError
            If `codes` are not integers of the input's format.
        """
        self.check_codes(codes)
        return self._unary(codes.to(torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of real `x`, same shape and dtype."""
        form = self.bare.input
        codes = quantize(x, form)
        learns = torch.is_grad_enabled() and x.requires_grad
        if self._values is None:
            value = dequantize(self._unary(codes), self.bare.output_scale, x.dtype)
            slope = self._difference(codes).to(x.dtype) if learns else None
        else:
            at = codes.sub_(form.min).flatten()
            value, slope = (
                table.on(x.device).index_select(0, at).view(x.shape).to(x.dtype) if wanted else None
                for table, wanted in ((self._values, True), (self._slopes, learns))
            )
        if slope is None:
            return value
        inside = (x >= form.min * form.scale) & (x <= form.max * form.scale)
        return straight_through(x * (slope * inside), value)

    def _difference(self, codes: Tensor) -> Tensor:
        """Return the slope of a unit of wide inputs, over about a thousandth of its range."""
        form, reach = self.bare.input, 1 << (self.bare.input.bits - 12)
        left, right = (codes + step for step in (-reach, reach))
        left, right = left.clamp_(form.min), right.clamp_(max=form.max)
        rise = (self._unary(right) - self._unary(left)) * self.bare.output_scale
        return rise / ((right - left) * form.scale)
