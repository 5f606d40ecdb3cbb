"""The worst-case error of a softmax without a maximum, proved for every row there is.

docs/softmax.md has the argument. All that enters it is finite and is checked in full: the
exponential of every logit, and the reciprocal at the ends of every interval of sums on which it is
constant.
"""

import numpy as np

from sim.golden import KulischSpec

__all__ = ["kulisch_bound"]


def _intervals(spec: KulischSpec) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last of the sums that have one exponent and one reciprocal."""
    bits = spec.reciprocal.input.bits
    leading = np.arange(1 << bits, 2 << bits)
    exponents = np.arange(spec.fraction_bits, spec.sum_bits)[:, None]
    # With fewer bits below the leading one than the table sees, some of these are empty.
    first = -(-(leading << exponents) >> bits)
    last = -(-(leading + 1 << exponents) >> bits) - 1
    some = first <= last
    return first[some], last[some]


def kulisch_bound(spec: KulischSpec) -> float:
    """Return an upper bound of a probability's error over all rows, in ulp of the output.

    With t the exact ``e**x`` of a logit, ``rho t`` the unit's, q its share ``rho t / sum(rho t)``,
    which the exact sum makes exact, and p the exact share:

    * ``|q - p| <= q (1 - q) (max(rho) / min(rho) - 1)``, the extremes over all codes;
    * the product is ``q r S``, r S the reciprocal times the sum: where the reciprocal is constant,
      it is furthest from 1 at an end;
    * rounding the product adds half an ulp; limiting it to the output's range, as the reference is,
      adds nothing; the limit of the shift comes only where both are below half an ulp.

    The sum of the first two is largest at a q that has a closed form.
    """
    codes = spec.input.codes()
    u, k = spec.split(codes)
    log = np.log2(u) + k - spec.input.real(codes) * np.log2(np.e)
    spread = float(np.exp2(log.max() - log.min()) - 1)
    first, last = _intervals(spec)
    r, exponent = spec.normalised(np.stack([first, last]))
    scaled = spec.reciprocal.output.real(r) * np.stack([first, last]) / np.exp2(exponent)
    off = float(np.abs(scaled - 1).max())
    # The maximum of q (1 - q) spread + q off.
    q = min(1.0, 0.5 + off / (2 * spread)) if spread > 0 else 1.0
    bound = (q * (1 - q) * spread + q * off) / spec.output.scale + 0.5
    return bound * (1 + 1e-9)  # the bound itself is computed in float64
