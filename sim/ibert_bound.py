"""The worst-case error of I-BERT's softmax and LayerNorm, proved for every row there is.

The units are those of Kim et al., I-BERT, ICML 2021, sections 3.5 and 3.6; see `sim.golden`.
"""

import math

import numpy as np

from sim.golden import IbertNormSpec, IbertSoftmaxSpec

from .bound import distance_bound
from .share_bound import Statistic

__all__ = ["ibert_norm_bound", "ibert_softmax_bound"]

#: Intervals of a row's sum to each octave of it.
SUMS = 1 << 13
#: Roots that are looked at alone, intervals to each octave of the others, and rows at once.
ROOTS, STEPS, ROWS = 1 << 6, 1 << 3, 256
#: isqrt is exact for less than 24 bits after so many steps: see `sim.golden.isqrt.isqrt`.
EXACT_ROOT, EXACT_ITERATIONS = 1 << 12, 4


def ibert_softmax_bound(spec: IbertSoftmaxSpec) -> float:
    """Return an upper bound of a probability's error over all rows, in ulp of the output.

    As in `sim.bound`: the statistic is ``floor(2**precision / sum)``, which falls with the sum, so
    that the ends of an interval have its extremes. Both floors are part of the result.
    """
    form = spec.exp.input
    codes = form.codes()
    low, high = spec.largest, int(spec.exp.compute(codes).max()) * spec.length
    octaves = np.log2(high / low) if high > low else 0.0
    first = low * np.exp2(np.arange(math.ceil(octaves * SUMS) + 1) / SUMS)
    first = np.unique(np.minimum(first.astype(np.int64), high))
    last = np.append(first[1:] - 1, high)
    factor = (1 << spec.precision) // np.stack([first, last])
    right = spec.precision - spec.output.frac
    return distance_bound(
        np.exp(-form.real(codes)), spec.exp.compute(codes), spec.length,
        Statistic(first, last, factor[1], factor[0]),
        lambda e, r: spec.output.saturate(e * r >> right), spec.one, spec.output.max,
    )  # fmt: skip


def ibert_norm_bound(spec: IbertNormSpec) -> float:
    """Return an upper bound of a result's error over all rows, in ulp of the output.

    Of a row of n elements, with g guard bits: the mean is off by ``|delta| <= 1/2``, so
    ``sum(y) = -n delta`` and ``D <= Q <= D + n/4``, Q the sum of y**2 and D that about the exact
    mean; a D that is not 0 is at least ``4**g (n - 1) / n``. The root R is of V, the sum of
    ``(y >> s)**2``: ``sqrt(V)`` is in [R - b, R + 1), b where the iteration may end too high, or V
    is 0. With ``y = 2**s (y >> s) + f`` and ``0 <= f <= 2 c = 2**s - 1``:

    * if ``s <= g``, f is the same for all elements, as these are multiples of ``2**s``, and
      ``4**s V = Q + n f (f + 2 delta)``; so Q is ``4**s V`` less 0 to ``n 2**s (2**s - 1)``;
    * otherwise, ``2**s (y >> s) = (y - c) - (f - c)`` with ``|f - c| <= c`` and
      ``|y - c|**2 = Q + n c**2 + 2 c n delta``; so by the triangle inequality
      ``|2**s sqrt(V) - sqrt(Q + n c**2 +- c n)| <= sqrt(n) c``.

    So R gives limits of D. The exact result z, at most ``sqrt(n - 1)``, is multiplied by
    ``kappa = sqrt(D) F w``, F the quotient of R and w the constants with the rounded ``sqrt(n)``.
    An error is at most ``|z| |kappa - 1|`` with z and ``kappa z`` limited as the output is; delta
    times a step of y; a step of z for its floor; half an ulp to round.

    Where the standard deviation is ``t < 1/2`` codes, the mean is within ``m (1 - m) <= t**2`` of a
    code, as every element is off by at least its distance to a code. So an element's ``|z|`` is at
    most ``m / t``, or at least ``(1 - m) / t``, which the output limits if t is at most
    ``limit / (1 + limit**2)``; and then kappa takes off what is left of ``kappa z`` only.

    ``sqrt(D) / R`` comes closer to ``2**s`` as R grows, and the floor of F costs up to
    ``R / 2**(precision - s)`` of it: for R from R1 to R2, the limits are those of R1 and R2.
    """
    counts = np.split(np.arange(2, spec.length + 1), range(ROWS, spec.length - 1, ROWS))
    bound = max((_norm_error(spec, n[:, None]) for n in counts if n.size), default=0.0)
    # A row of one element is 0, as it should be.
    return (bound / spec.output.scale + 0.5) * (1 + 1e-9)  # computed in float64


def _roots(spec: IbertNormSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first and the last of intervals of R, and by how much R may be above sqrt(V)."""
    largest = math.isqrt(1 << spec.variance_bits) + 1
    octaves = max(math.ceil(math.log2(largest / ROOTS)), 0)
    edges = np.floor(ROOTS * np.exp2(np.arange(STEPS * octaves + 1) / STEPS))
    alone = np.arange(1.0, ROOTS + 1)
    r1, r2 = np.append(alone, edges[:-1] + 1), np.append(alone, edges[1:])
    error = 1.0  # of the start; then that of Newton's steps: see `sim.golden.isqrt.isqrt`
    for _ in range(spec.iterations):
        error = error**2 / (2 * (1 + error))
    exact = (r2 < EXACT_ROOT) & (r1 > 1) & (spec.iterations >= EXACT_ITERATIONS)
    return r1, r2, np.where(exact, 0.0, np.minimum(np.maximum(1.0, error * r2), r1))


def _norm_error(spec: IbertNormSpec, n: np.ndarray) -> float:
    """Return the largest error but for the last rounding of rows of `n` elements, shape (m, 1)."""
    s, step = spec.shift, 2.0**spec.shift
    r1, r2, slack = _roots(spec)
    top, bottom = step * (r1 + 1), step * (r1 - slack)
    if s <= spec.guard:
        most, least = top**2 + 0.0 * n, bottom**2 - n * step * (step - 1)
    else:
        c = (step - 1) / 2
        most = (top + np.sqrt(n) * c) ** 2 - n * c * c + c * n
        least = np.maximum(bottom - np.sqrt(n) * c, 0.0) ** 2 - n * c * c - c * n
    least = np.maximum(least - n / 4, 0.0)
    smallest = 4.0**spec.guard * (n - 1) / n
    root = spec.roots.output.real(spec.roots.compute(n))
    one = 2.0 ** (spec.precision - s)
    weight = root / np.sqrt(n) / 2.0**spec.precision
    first, last = np.floor(one / r1), np.floor(one / r2)
    limit = -spec.output.min * spec.output.scale
    z = np.minimum(np.sqrt(n - 1.0), limit)
    grown = np.sqrt(most) * np.where(r1 == r2, first, one / r1) * weight
    off = np.minimum(z, limit / np.maximum(grown, 1.0)) * np.maximum(grown - 1.0, 0.0)

    def loss(floor: np.ndarray) -> np.ndarray:
        """Return by how much results are too small, as D is also at least `floor`."""
        kept = np.sqrt(least) * np.maximum(one - r2, 0.0) / r1
        return np.maximum(1.0 - np.maximum(kept, np.sqrt(floor) * last) * weight, 0.0)

    # Standard deviations in codes, and the one below which the results are near 0, or limited.
    code = np.sqrt(n) * 2.0**spec.guard
    spread = np.sqrt(most) / code
    tight = limit / (1 + limit**2) if limit >= 1 else 0.0
    narrow = np.minimum(spread, tight)
    m = (1 - np.sqrt(1 - 4 * narrow**2)) / 2
    near = m / np.maximum(narrow, 1e-300) * loss(smallest)
    far = np.maximum(limit - last * weight * code * (1 - m), 0.0)
    wide = np.where(spread > tight, z * loss(np.maximum(smallest, (tight * code) ** 2)), 0.0)
    few = np.minimum(np.maximum(near, far), z * loss(smallest))
    off = np.maximum(off, np.maximum(few * (narrow > 0), wide))
    floor = root / 2.0 ** (spec.precision - 1)
    off += floor * first / 4 + floor
    return float(np.where(most < smallest, 0.0, off).max())
