"""Integer codes as torch tensors: the rules of `nnlut_train.formats`, on any device.

Codes are int64 tensors. What one element needs is computed here, on the tensor's device; what a
whole row has one of (the reciprocal of its sum, say) may go through the golden model itself, on the
CPU: see `Unary`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from sim.golden import UnarySpec

__all__ = ["GATHER_BITS", "OnDevice", "Unary", "by_golden", "dequantize", "quantize", "round_shift"]

#: Widest input of a function that is gathered from a table of all its results.
GATHER_BITS = 16
#: Bits of a code up to which float32 holds all that `quantize` computes.
FLOAT32_BITS = 22


def quantize(x: Tensor, form: Format) -> Tensor:
    """Return the codes nearest to real `x`: half up, then saturated, as `Format.quantize`.

    Parameters
    ----------
    x : float tensor
        Real values of any shape; infinities saturate.
    form : Format
        The codes' format.

    Returns
    -------
    int64 tensor, same shape

    Raises
    ------
    UsageError
        If `x` has a NaN.
    """
    if x.dtype in (torch.float16, torch.bfloat16) or not x.is_floating_point():
        x = x.float()
    if form.bits > FLOAT32_BITS:
        x = x.double()
    # In floats, whose in-place operations are much faster than those of integers; all are exact:
    # half up of s is floor((floor(2 s) + 1) / 2).
    twice = (x.detach() * 2.0 ** (form.frac + 1)).clamp_(2 * form.min, 2 * form.max).floor_()
    if torch.isnan(twice.sum()):
        raise UsageError("what is quantised must be numbers, not NaN")
    return twice.add_(1.0).mul_(0.5).floor_().to(torch.int64)


def dequantize(codes: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
    """Return the real values of `codes` with a step of `scale`."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    return codes.to(wide).mul_(scale).to(dtype)


def round_shift(values: Tensor, shift: Tensor | int) -> Tensor:
    """Drop `shift` low bits of int64 `values`, rounding half up; see `formats.round_shift`."""
    if isinstance(shift, int):
        return (values + (1 << shift >> 1)) >> shift
    return (values + (torch.ones_like(shift) << shift >> 1)) >> shift


def by_golden(compute: Callable[..., Sequence[np.ndarray]], *codes: Tensor) -> list[Tensor]:
    """Return what a golden model makes of `codes`: on the CPU, whatever their device.

    Parameters
    ----------
    compute : callable
        From int64 arrays to int64 arrays.
    *codes : int64 tensor
        Its arguments, all on one device, to which the results are brought.
    """
    results = compute(*(code.cpu().numpy() for code in codes))
    return [torch.from_numpy(np.ascontiguousarray(each)).to(codes[0].device) for each in results]


class OnDevice:
    """A constant tensor that follows those that it is used with from device to device.

    It is no buffer: the modules are not part of the user's model, whose ``to()`` does not reach
    them, and whose ``state_dict()`` must not change.

    Parameters
    ----------
    values : array or tensor
        The constant.
    """

    def __init__(self, values: np.ndarray | Tensor) -> None:
        tensor = torch.as_tensor(values)
        self._copies = {tensor.device: tensor}
        self._tensor = tensor

    def on(self, device: torch.device) -> Tensor:
        """Return the constant on `device`."""
        if device not in self._copies:
            self._copies[device] = self._tensor.to(device)
        return self._copies[device]


class Unary:
    """A unary unit inside a module, in integers: one gather, or the golden model of wide inputs.

    Parameters
    ----------
    spec : UnarySpec
        The unit.
    """

    def __init__(self, spec: UnarySpec) -> None:
        self.spec = spec
        self._results = None
        if spec.input.bits <= GATHER_BITS:
            self._results = OnDevice(spec.compute(spec.input.codes()))

    def __call__(self, codes: Tensor) -> Tensor:
        """Return the results (int64, same shape) of `codes`, which must be in range."""
        if self._results is None:
            return by_golden(lambda values: [self.spec.compute(values)], codes)[0]
        at = (codes - self.spec.input.min).flatten()
        return self._results.on(codes.device).index_select(0, at).view(codes.shape)
