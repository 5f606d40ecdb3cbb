"""The worst-case error of LayerNorm and RMSNorm, proved for every row there is.

docs/layernorm.md has the argument. All that enters it is finite and is checked in full: the table
at both ends of every one of its steps, and epsilon's rounding at every number of elements.
"""

import math

import numpy as np

from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable
from sim.golden import NormSpec, UnarySpec

__all__ = ["norm_bound", "root_error"]


def root_error(mantissa: UnarySpec) -> float:
    """Return the largest relative error of a table of 1/sqrt(m) over all real m in [1, 4).

    The table does not see all bits of m: its value is the same on a whole step, where 1/sqrt(m) is
    monotone, so the largest error is at an end.
    """
    form = mantissa.input
    codes = np.arange(1 << form.frac, 1 << form.bits, dtype=np.int64)
    value = mantissa.output.real(mantissa.compute(codes))
    ends = (form.real(codes), form.real(codes + 1))
    return float(max(np.abs(value * np.sqrt(end) - 1.0).max() for end in ends))


def _epsilon_error(spec: NormSpec) -> float:
    """Return the largest relative error of 1/sqrt(W) by half a step of epsilon."""
    if spec.eps == spec.eps_frac == 0:
        return 0.0  # there is none
    half, n = 2.0 ** -(spec.eps_frac + 1), np.arange(1.0, spec.length + 1)
    # Of rows with a numerator other than 0: their squares differ, or are not 0.
    least = np.maximum(n - spec.centred, 1.0)
    exact = least + n**2 * max(spec.eps / 2.0**spec.eps_frac - half, 0.0)
    share = float((n**2 * half / exact).max())
    return 1.0 / math.sqrt(1.0 - share) - 1.0 if share < 1.0 else math.inf


def _largest(table: DirectTable | None, default: float, written: bool) -> float:
    """Return the largest magnitude of a table: that its format holds, if it can be written."""
    if table is None:
        return default
    codes = table.output.min if written else table.values
    return float(np.abs(table.output.real(codes)).max())


def _holds(form: Format, reach: float) -> bool:
    return form.max * form.scale >= reach


def norm_bound(spec: NormSpec, *, written: bool = False) -> float:
    """Return an upper bound of a result's error over all rows, in ulp of the output.

    Gamma and beta count as the integers that they are, or, if they can be `written` at run time, as
    any that their formats hold; epsilon as any number that rounds to the unit's. The table of
    1/sqrt(m) is always that of the specification. With ``z`` exact:

    * rounding the scaled numerator costs half a step of it, times the mantissa, which is at most 1;
    * table and epsilon give ``z`` a relative error; ``gamma z`` is at most
      ``max|gamma| sqrt(length)``, and beyond what the output holds and beta can bring back, it is
      limited;
    * rounding z, if gamma or beta follows, costs half a step of it, times gamma;
    * rounding the result costs half an ulp; limiting it, as the reference is, nothing.

    Infinite if the formats inside are too narrow for every row.

    Parameters
    ----------
    spec : NormSpec
        The unit.
    written : bool
        Whether gamma and beta can be any that their formats hold.
    """
    reach = math.sqrt(max(spec.length - spec.centred, 0))
    gain, offset = _largest(spec.gamma, 1.0, written), _largest(spec.beta, 0.0, written)
    affine = spec.gamma is not None or spec.beta is not None
    limit = -spec.output.min * spec.output.scale
    # A numerator that saturates must belong to a result that does.
    saturates = not affine and (
        spec.scaled.min * spec.scaled.scale <= 2 * spec.output.min * spec.output.scale
        and spec.scaled.max * spec.scaled.scale >= 2 * spec.output.max * spec.output.scale
    )
    if not saturates and not _holds(spec.scaled, 2 * reach):
        return math.inf
    if affine and not _holds(spec.normal, reach):
        return math.inf
    mantissa = spec.mantissa
    codes = np.arange(1 << mantissa.input.frac, 1 << mantissa.input.bits, dtype=np.int64)
    largest = float(mantissa.output.real(mantissa.compute(codes)).max())
    rounding = spec.scaled.scale / 2 * largest + (spec.normal.scale / 2 if affine else 0.0)
    relative = (1.0 + root_error(mantissa)) * (1.0 + _epsilon_error(spec)) - 1.0
    error = gain * rounding + relative * min(gain * reach, limit + offset)
    bound = error / spec.output.scale + 0.5
    return bound * (1 + 1e-9)  # the bound itself is computed in float64
