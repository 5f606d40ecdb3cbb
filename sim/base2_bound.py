"""The worst-case error of a base-2 softmax, proved from its tables for every row there is.

docs/softmax_methods.md has the argument. All that enters it is finite and is checked in full:
``2**f`` at every logit, and the reciprocal of every interval of sums on which it is constant.
"""

import numpy as np

from sim.golden import Base2Spec

from .bound import reciprocal_intervals

__all__ = ["base2_bound", "dropped_share"]


def dropped_share(spec: Base2Spec) -> float:
    """Return the most of a row's sum that is dropped with the blocks below.

    The maximum, ``u 2**k`` with k at least the first octave of its block, is kept. An element that
    is dropped is in an octave below the block before: ``octaves + 1`` lower at least.
    """
    if (spec.exponent_max >> spec.block) - (spec.exponent_min >> spec.block) < 2:
        return 0.0
    mantissas = spec.fraction.compute(spec.fraction.input.codes())
    ratio = float(mantissas.max()) / (2.0 * float(mantissas.min()))
    return (spec.length - 1) * 2.0**-spec.octaves * ratio


def base2_bound(spec: Base2Spec) -> float:
    """Return an upper bound of a probability's error over all rows, in ulp of the output.

    With t the exact ``e**x`` of a logit, ``rho t`` the unit's, q its share ``rho t / sum(rho t)``,
    p the exact share:

    * ``|q - p| <= q (1 - q) (max(rho) / min(rho) - 1)``, the extremes over all codes;
    * the unit's sum is ``(1 - theta)`` of ``sum(rho t)``: theta is at most what blocks drop, and
      less than 1 in S + 1 by the floor;
    * the reciprocal's relative error is, where it is constant, largest at an end;
    * rounding the product adds half an ulp; limiting it to the output's range, as the reference is,
      adds nothing.

    For each interval of S, the sum of these is largest at a q that has a closed form.

    Of a `factor` other than log2(e) it is the distance from the softmax to base e, too. Infinite if
    a sum may be 0, or all of it may be dropped.
    """
    codes, one = spec.input.codes(), 2.0**spec.fraction.output.frac
    mantissas = spec.fraction.compute(spec.fraction.input.codes())
    if mantissas.min() < 1:
        return np.inf  # a sum may be 0: nothing holds
    u, k = spec.split(codes)
    rho = u / one * np.exp2(k - spec.input.real(codes) * np.log2(np.e))
    spread = float(rho.max() / rho.min() - 1)
    low, high = int(mantissas.min()), int(mantissas.max())
    first, last = reciprocal_intervals(spec.reciprocal, low, spec.length * high)
    theta = dropped_share(spec) + 1 / (first + 1)
    if theta.max() >= 1:
        return np.inf
    r = spec.reciprocal.output.real(spec.reciprocal.compute(first))
    off = np.maximum(np.abs(r * first / one - 1), np.abs(r * last / one - 1))
    cost = (theta + off) / (1 - theta)
    # The maximum of q (1 - q) spread + q cost over the shares that these sums allow.
    best = 0.5 + cost / (2 * spread) if spread > 0 else 1.0
    q = np.minimum(np.minimum(1, high / first), best)
    bound = float((q * (1 - q) * spread + q * cost).max()) / spec.output.scale + 0.5
    return bound * (1 + 1e-9)  # the bound itself is computed in float64
