"""LayerNorm and RMSNorm."""

from abc import abstractmethod
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from nnlut_train.errors import UsageError
from nnlut_train.tables import Table
from sim.golden import IbertNormSpec, NormSpec
from sim.golden.isqrt import isqrt

from .codes import OnDevice, Unary, by_golden, quantize, round_shift
from .module import HardwareModule, straight_through

__all__ = ["IbertNorm", "Norm", "NormModule"]

#: Smallest epsilon of a derivative.
EPS_MIN = 1e-12


class NormModule(HardwareModule):
    """A LayerNorm or an RMSNorm over the last dimension, of up to ``spec.length`` elements.

    Backwards, quantising and the table are passed straight through: the derivatives by input, gain
    and offset are those of the exact norm.

    Parameters
    ----------
    spec : sim.golden.NormRowSpec
        The unit.
    """

    def eps(self, input_frac: int | None = None) -> float:
        """Return what the unit adds to the variance, for input codes of so many fraction bits."""
        frac = self.bare.input.frac if input_frac is None else input_frac
        return self.bare.eps * 2.0 ** -(self.bare.eps_frac + 2 * frac)

    @abstractmethod
    def _rows(self, codes: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
        """Return the results' codes; gamma and beta are codes of shape (n,)."""

    def compute(
        self, codes: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None
    ) -> Tensor:
        """Return the codes of normalised rows; see `sim.golden.rows.RowSpec.compute`.

        Parameters
        ----------
        codes : int tensor, shape (..., n)
            Rows of the input's codes.
        gamma, beta : int tensor, shape (n,), optional
            Gain and offset as codes, where the unit has them; by default those of its own tables.

        Raises
        ------
        UsageError
            If the codes are not what they must be, n is beyond ``spec.length``, or the unit has no
            place for gamma or beta.
        """
        self.check_codes(codes)
        self._check_size(codes)
        for name, given in (("gamma", gamma), ("beta", beta)):
            if given is not None:
                self._check_affine(name, given, codes.shape[-1])
        return self._rows(codes.to(torch.int64), gamma, beta)

    def _check_affine(self, name: str, codes: Tensor, size: int) -> None:
        table = self._table(name)
        if codes.shape != (size,):
            raise UsageError(
                f"{name} must have a code for each of the {size} elements, "
                f"not the shape {tuple(codes.shape)}"
            )
        try:
            table.output.check(codes.cpu().numpy())
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from error

    def _table(self, name: str) -> Table:
        table = getattr(self.bare, name)
        if table is None:
            raise UsageError(f"the unit must have {name}: the layer has it")
        return table

    def _check_size(self, x: Tensor) -> None:
        size = x.shape[-1] if x.dim() else 0
        if not 1 <= size <= self.bare.length:
            raise UsageError(f"a row must have 1 to {self.bare.length} elements, not {size}")

    def affine_codes(self, name: str, values: Tensor | None) -> Tensor | None:
        """Return gain or offset as codes; None where the unit has its own, or none."""
        if values is None:
            return None
        return quantize(values, self._table(name).output)

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, *,
        input_frac: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Return the norm of real `x`, shape (..., n), same dtype.

        Parameters
        ----------
        x : float tensor, shape (..., n)
            Rows.
        weight, bias : float tensor, shape (n,), optional
            Gain and offset, which are quantised to the unit's formats of gamma and beta; by default
            the unit's own.
        input_frac : int, optional
            Fraction bits that the input's codes have here; by default the format's. The unit sees
            integers, and a norm does not change with their scale, but for epsilon, which is the
            unit's in squares of an ulp.

        Raises
        ------
        UsageError
            If a gain or an offset is given that the unit has no place for.
        """
        self._check_size(x)
        gamma, beta = self.affine_codes("gamma", weight), self.affine_codes("beta", bias)
        form = self.bare.input
        if input_frac is not None:
            form = replace(form, frac=input_frac)
        codes = self._rows(quantize(x, form), gamma, beta)
        y = self.dequantize(codes, x.dtype)
        learns = any(v is not None and v.requires_grad for v in (x, weight, bias))
        if torch.is_grad_enabled() and learns:
            # Without an epsilon, the derivative at a constant row is infinite.
            eps = max(self.eps(input_frac), EPS_MIN)
            return straight_through(self.exact(x, weight, bias, eps), y)
        return y

    def exact(
        self, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float | None = None
    ) -> Tensor:
        """Return what the unit approximates, by torch; `eps` is the unit's own by default."""
        eps = self.eps() if eps is None else eps
        if self.bare.centred:
            return functional.layer_norm(x, x.shape[-1:], weight, bias, eps)
        y = functional.rms_norm(x, x.shape[-1:], weight, eps)
        return y if bias is None else y + bias


class Norm(NormModule):
    """`sim.golden.NormSpec`: exact sums, one table of 1/sqrt(m)."""

    def __init__(self, spec: NormSpec) -> None:
        super().__init__(spec)
        self._own = {
            name: OnDevice(table.values)
            for name in ("gamma", "beta")
            if (table := getattr(self.bare, name)) is not None
        }

    def _affine(self, name: str, given: Tensor | None, codes: Tensor) -> Tensor | None:
        own = self._own.get(name)
        if given is None and own is not None:
            return own.on(codes.device)[: codes.shape[-1]]
        return given

    def _rows(self, codes: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
        bare, count = self.bare, codes.shape[-1]
        total = codes.sum(-1, keepdim=True)
        squares = (codes * codes).sum(-1, keepdim=True)
        counts = torch.full_like(total, count)
        # One number a row of each: the golden model's own.
        _, _, exponent, mantissa = by_golden(bare.scalars_of, counts, total, squares)
        numerator = codes * (count << bare.left)
        if bare.centred:
            numerator -= total << bare.left
        scaled = round_shift(numerator, exponent + bare.right)
        product = scaled.clamp_(bare.scaled.min, bare.scaled.max).mul_(mantissa)
        result = round_shift(product, bare.shift).clamp_(bare.normal.min, bare.normal.max)
        if (gamma := self._affine("gamma", gamma, codes)) is not None:
            result *= gamma
        if (beta := self._affine("beta", beta, codes)) is not None:
            result += beta << bare.beta_left
        return round_shift(result, bare.output_shift).clamp_(bare.output.min, bare.output.max)


class IbertNorm(NormModule):
    """`sim.golden.IbertNormSpec`: I-BERT's LayerNorm, which leaves gain and offset to the next.

    They are applied here in real arithmetic, as I-BERT folds them into the scale of each channel.
    """

    def __init__(self, spec: IbertNormSpec) -> None:
        super().__init__(spec)
        self._roots = Unary(self.bare.roots)

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, *,
        input_frac: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Return the norm of real `x`; see `NormModule.forward`."""
        y = super().forward(x, input_frac=input_frac)
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    def _rows(self, codes: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
        bare = self.bare
        codes = codes << bare.guard
        total = codes.sum(-1, keepdim=True)
        count = torch.full_like(total, codes.shape[-1])
        y = codes - bare.mean(total, count)
        squares = ((y >> bare.shift) ** 2).sum(-1, keepdim=True)
        (root,) = by_golden(lambda sums: [isqrt(sums, bare.iterations)], squares)
        root = root.clamp_(min=1)
        factor = (1 << (bare.precision - bare.shift)) // root
        result = round_shift((y * factor >> 1) * self._roots(count), bare.right)
        return result.clamp_(bare.output.min, bare.output.max)
