"""The worst-case error of a base-2 softmax, proved from its tables for every row there is.

docs/softmax_methods.md has the argument. All that enters it is finite and is checked in full:
``2**f`` at every logit, and the reciprocal of every sum.
"""

import numpy as np

from sim.golden import Base2Spec

__all__ = ["base2_bound"]

#: Sums that are looked at at the same time.
_CHUNK = 1 << 20


def base2_bound(spec: Base2Spec) -> float:
    """Return an upper bound of a probability's error over all rows, in ulp of the output.

    With t the exact ``e**x`` of a logit, ``rho t`` the unit's, q its share ``rho t / sum(rho t)``,
    p the exact share:

    * ``|q - p| <= q (1 - q) (max(rho) / min(rho) - 1)``, the extremes over all codes;
    * the unit's sum is ``(1 - theta)`` of ``sum(rho t)``: theta is at most what blocks drop, and
      less than 1 in S + 1 by the floor;
    * the reciprocal's relative error is that of the one S;
    * rounding the product adds half an ulp; limiting it to the output's range, as the reference is,
      adds nothing.

    For each S, the sum of these is largest at a q that has a closed form.

    Of a `factor` other than log2(e) it is the distance from the softmax to base e, too.
    """
    codes, one = spec.input.codes(), 2.0**spec.fraction.output.frac
    u, k = spec.split(codes)
    rho = u / one * np.exp2(k - spec.input.real(codes) * np.log2(np.e))
    spread = float(rho.max() / rho.min() - 1)
    blocks = (spec.exponent_max >> spec.block) - (spec.exponent_min >> spec.block) + 1
    dropped = (spec.length - 1) * 2.0**-spec.octaves if blocks > 2 else 0.0
    mantissas = spec.fraction.compute(spec.fraction.input.codes())
    low, high = int(mantissas.min() * (1 - dropped)), int(mantissas.max())
    if low < 1:
        return np.inf  # a sum may be 0: nothing holds
    worst = 0.0
    for start in range(low, spec.length * high + 1, _CHUNK):
        total = np.arange(start, min(start + _CHUNK, spec.length * high + 1))
        theta = dropped + 1 / (total + 1)
        product = spec.reciprocal.output.real(spec.reciprocal.compute(total)) * (total / one)
        cost = theta / (1 - theta) + np.abs(product - 1) / (1 - theta)
        # The maximum of q (1 - q) spread + q cost over the shares that this sum allows.
        q = np.minimum(np.minimum(1, high / total), 0.5 + cost / (2 * spread))
        worst = max(worst, float((q * (1 - q) * spread + q * cost).max()))
    bound = worst / spec.output.scale + 0.5
    return bound * (1 + 1e-9)  # the bound itself is computed in float64
