"""Least sum of the mean squared error and a multiple of the squared maximum error."""

import numpy as np
from tqdm import tqdm

from .constrained import Constrained
from .minimax import InfeasibleError

__all__ = ["TOLERANCE", "solve_mixed"]

#: What the search may miss, as a fraction of the optimum.
TOLERANCE = 1e-3


def solve_mixed(
    search: Constrained, target: np.ndarray, entries: int, mix: float, total: float, least: float,
    progress: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float, float]:  # fmt: skip
    """Find the least sum of mean squared error and `mix` times the squared maximum error.

    Branch and bound over the maximum error: the squared error can only grow as the maximum is
    limited further, so a table found at one limit bounds all tables between that limit and the
    next. It ends within `TOLERANCE` of the optimum.

    Parameters
    ----------
    search : Constrained
        The search; its costs are weighted sums, of weights that sum to `total`.
    target : float64 array, shape (n,)
        Wanted values at the samples.
    entries, mix, progress
        See `Problem`.
    total : float
        Sum of the weights.
    least : float
        Least maximum error of any table: from `Minimax`.

    Returns
    -------
    first, slopes, intercepts, cost
        As `Programme.run` returns them.
    most : float
        The table's maximum error.
    bound : float
        No table on the search's starts has a smaller sum.
    """
    x = search.samples[0]
    slope, intercept = search.formats
    lower, upper = search.tube

    def best_within(limit: float, cost: float) -> tuple[float, float, tuple]:
        tube = np.maximum(lower, target - limit), np.minimum(upper, target + limit)
        task = Constrained(search.samples, search.starts, *search.formats, tube, search.direction)
        table = task.run(entries, False, cost)
        i = np.searchsorted(search.starts[table[0]], np.arange(x.size), side="right") - 1
        value = slope.real(table[1])[i] * x + intercept.real(table[2])[i]
        return table[3] / total, float(np.abs(value - target).max()), table

    mse, most, table = best_within(np.inf, np.inf)
    best = mse + mix * most**2, table, most
    # Each: a limit that is not reached, the next one above, and the least squared error between.
    ranges, bound = [(least, most, mse)], np.inf
    with tqdm(desc="limits", disable=None if progress else True) as bar:
        while ranges:
            low, high, floor = ranges.pop()
            if (least_left := floor + mix * low**2) >= best[0] * (1 - TOLERANCE):
                bound = min(bound, least_left)
                continue
            middle = 0.5 * (low + high)
            bar.update()
            try:
                # What costs more cannot be part of a better table.
                mse, most, table = best_within(middle, (best[0] - mix * low**2) * total)
            except InfeasibleError:
                ranges.append((middle, high, floor))
                continue
            best = min(best, (mse + mix * most**2, table, most), key=lambda found: found[0])
            ranges += [(middle, high, floor), (low, most, mse)]
    return *best[1], best[2], min(bound, best[0])
