"""The worst-case error of the softmaxes of Vasyltsov & Chang, proved for every row there is.

As in `sim.bound`: the statistic of a row is the index of its sum in the second table, which is
constant on intervals of the sum; see `sim.golden.lut_softmax` for the paper.
"""

import numpy as np

from sim.golden import LutSoftmaxSpec

from .bound import distance_bound
from .share_bound import Statistic

__all__ = ["lut_softmax_bound"]


def lut_softmax_bound(spec: LutSoftmaxSpec) -> float:
    """Return an upper bound of a probability's error over all rows, in ulp of the output.

    The index of a sum Ŝ is ``round(Ŝ / one)`` within 1 to ``spec.sums``: j for Ŝ from
    ``j one - floor(one / 2)`` on, as `nnlut_train.formats.round_divide` rounds half up. The largest
    index has all larger sums, too, which is where most of the error of a short table comes from.
    """
    codes = np.arange(1 << spec.input.bits)
    table = spec.exp.lookup(spec.exp_index(codes))
    exact = np.exp(-spec.input.real(codes))
    index = np.arange(1, spec.sums + 1)
    first = index * spec.one - spec.one // 2
    first[0] = 0
    last = np.append(first[1:] - 1, max(int(first[-1]), spec.one * spec.length))
    return distance_bound(
        exact, table, spec.length, Statistic(first, last, index, index), spec.share, spec.one,
        spec.one, constant=True,
    )  # fmt: skip
