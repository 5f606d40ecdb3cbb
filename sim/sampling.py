"""Input codes that stand for all where these are too many."""

import numpy as np

from sim.golden import UnarySpec

__all__ = ["boundaries", "sample_codes"]


def boundaries(spec: UnarySpec) -> np.ndarray:
    """Return the input codes at which something else begins to serve; see `UnarySpec.segment`.

    Segments of a table, also as they recur with every shift of a reduced range, signs of a fold,
    quarters of a wave. Complete for up to `nnlut_train.formats.ENUMERATED_BITS` input bits, and for
    a plain table of any width; ascending, int64.
    """
    edges = spec.input.grid()
    low, high = edges[:-1], edges[1:]
    found = []
    # What differs between neighbours of the grid is halved until the neighbours are codes.
    while low.size:
        keep = spec.segment(low) != spec.segment(high)
        low, high = low[keep], high[keep]
        found.append(high[high - low == 1])
        low, high = low[high - low > 1], high[high - low > 1]
        middle = (low + high) >> 1
        low, high = np.append(low, middle), np.append(middle, high)
    return np.unique(np.concatenate(found)) if found else edges[:0]


def sample_codes(spec: UnarySpec, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the codes where a unit is most likely to be wrong, and random ones.

    Parameters
    ----------
    spec : UnarySpec
        The unit.
    count : int
        How many random codes there are, before equal ones are joined.
    rng : Generator
        Draws them.

    Returns
    -------
    int64 array
        Both ends and their neighbours, zero and its neighbours, every one of `boundaries` and its
        neighbours, random codes; ascending, each once.
    """
    form = spec.input
    corners = np.concatenate([[form.min, form.max, 0], boundaries(spec)])
    near = corners[:, None] + np.array([-1, 0, 1])
    near = near[(near >= form.min) & (near <= form.max)]
    return np.union1d(near, rng.integers(form.min, form.max, count, endpoint=True))
