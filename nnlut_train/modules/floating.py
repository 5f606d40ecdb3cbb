"""Activations in floating point: the FP16 and FP32 baselines."""

import torch
from torch import Tensor

from nnlut_train.errors import UsageError
from nnlut_train.float_table import FloatTable
from sim.golden import UnarySpec

from .codes import OnDevice, Unary, by_golden
from .module import HardwareModule, straight_through

__all__ = ["FloatActivation"]


class FloatActivation(HardwareModule):
    """Lines in IEEE-754 arithmetic as the hardware computes them; codes are bit patterns.

    Arguments are rounded to the format, to nearest even; the results are numbers of it. Rounding
    and the golden model of binary32 run on the CPU, by NumPy: torch rounds float64 to float16
    twice. Backwards, the derivative is the slope of the segment; rounding counts as the identity.

    Parameters
    ----------
    spec : UnarySpec
        A `FloatPwlSpec`, or one behind lanes or write ports.
    """

    def __init__(self, spec: UnarySpec) -> None:
        super().__init__(spec)
        table = self.bare.table
        assert isinstance(table, FloatTable)
        self._table, self._form = table, table.float_format
        self._unary = Unary(self.bare)

    def quantize(self, x: Tensor) -> Tensor:
        """Return the codes (int64, same shape) of real `x`, rounded to nearest even.

        Raises
        ------
        UsageError
            If `x` has a NaN.
        """
        real = x.detach().double()
        if torch.isnan(real).any():
            raise UsageError("what is quantised must be numbers, not NaN")
        return by_golden(lambda values: [self._form.pattern(values)], real)[0]

    def dequantize(self, codes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the numbers of output codes."""
        return by_golden(lambda values: [self._form.numbers(values)], codes)[0].to(dtype)

    def compute(self, codes: Tensor) -> Tensor:
        """Return the output codes of `codes`; see `HardwareModule.compute`.

        Raises
        ------
        UsageError
            If `codes` are not bit patterns of the format.
        """
        self.check_codes(codes)
        return self._unary(codes.to(torch.int64))

    def extra_repr(self) -> str:
        """Return kind and format, for ``print(module)``."""
        return f"{self.bare.kind}, {self._form.name}"

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of real `x`, same shape and dtype."""
        codes = self.quantize(x)
        value = self.dequantize(self._unary(codes), x.dtype)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return value
        (segment,) = by_golden(lambda values: [self._table.segment(values)], codes)
        slopes = OnDevice(self._form.numbers(self._table.slopes)).on(x.device)
        return straight_through(x * slopes[segment].to(x.dtype), value)
