"""Piecewise-linear unit in floating-point arithmetic: the papers' FP16 and FP32 baselines."""

from dataclasses import dataclass

from nnlut_train.float_table import FloatTable

from .spec import TableSpec

__all__ = ["FloatPwlSpec"]


@dataclass(frozen=True)
class FloatPwlSpec(TableSpec):
    """A unary function as straight lines in IEEE-754 binary16 or binary32.

    NN-LUT's hardware (Yu et al., DAC 2022, Eq. 4) in the precisions it is compared in. The model is
    NumPy's arithmetic (`FloatTable.lookup`): a multiplication and an addition, each rounded to
    nearest, ties to even. Codes are bit patterns. Subnormal numbers, infinities and signed zeros
    are those of IEEE 754; a result that is no number has one code, `FloatFormat.nan`.

    Latency is 9 clocks: segment select; significands; partial products; product; round; align;
    add; normalise; round.

    Parameters
    ----------
    table : FloatTable
        Breakpoints, slopes, intercepts; it also has the arithmetic.
    """

    kind = "float_pwl"

    table: FloatTable

    @property
    def latency(self) -> int:
        """Nine clocks."""
        return 9
