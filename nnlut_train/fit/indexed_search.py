"""The smallest indexed table within a bound: all layouts, by an estimate of their gates."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import InfeasibleError
from ..indexed import IndexedTable, ShiftAddTable
from .indexed import Layout, Lines
from .indexed_bounds import Bounds

__all__ = ["search", "size"]

#: Longest segment that is searched, in bits of the argument.
LOW_MAX = 10


def _nodes(values: np.ndarray, bits: int) -> int:
    """Return the multiplexers of the decision diagrams of a table, equal parts counted once."""
    level = (values[None, :] >> np.arange(bits)[:, None]) & 1
    count = 0
    while level.shape[1] > 1:
        low, high = level[:, 0::2], level[:, 1::2]
        pairs = low.astype(np.int64) * (1 << 31) + high
        real = low != high
        keys, numbers = np.unique(pairs[real], return_inverse=True)
        following = low.copy()
        following[real] = count + 2 + numbers
        count, level = count + keys.size, following
    return count


def size(table: IndexedTable) -> float:
    """Return roughly how many gate equivalents a table and its arithmetic take.

    A multiplexer of a decision diagram counts 1.3, for what synthesis makes of it; an AND 1.33, a
    full adder 7. Good enough to rank the layouts of one function: what all have in common,
    registers and unfolding, is left out.
    """
    tables = _nodes(np.array(table.intercepts), table.intercept.bits)
    low = table.layout[0]
    width = max(v.bit_length() for v in table.core_range) + table.shift
    if isinstance(table, ShiftAddTable):
        rows = []
        for number in range(len(table.of_slopes[0])):
            terms = np.array([row[number] for row in table.of_slopes])
            used = np.unique(np.abs(terms[terms != 0]))
            chosen = (np.abs(terms)[:, None] == used).astype(np.int64) @ (1 << np.arange(used.size))
            tables += _nodes(chosen, used.size) + _nodes((terms < 0).astype(np.int64), 1)
            reach = low + int(used.max(initial=0) - used.min(initial=64)) if used.size else 0
            rows.append((used.size, int((terms < 0).any()), reach))
        made = sum(2.0 * copies * low + 2.0 * sign * reach for copies, sign, reach in rows)
        adders = sum(reach for _, _, reach in rows)
    else:
        tables += _nodes(np.array(table.slopes), table.slope.bits)
        made, adders = 1.33 * low * table.slope.bits, (low - 1) * table.slope.bits
    return 1.3 * tables + made + 7.0 * adders + 5.0 * width


def search(
    bounds: Bounds, meta: dict[str, Any], terms: int = 0,
    cost: Callable[[IndexedTable], float] = size,
) -> IndexedTable:  # fmt: skip
    """Return the cheapest table within the bounds, of all lengths of segments and groups.

    For each length, of the groups of the most segments with one slope and of up to four times
    fewer, the coarsest lattices of slopes and intercepts that serve, and slopes up to two bits
    finer where intercepts are coarser then.

    Parameters
    ----------
    bounds : Bounds
        What the cores may be.
    meta : dict
        Of the table.
    terms : int
        Signed powers of two in a slope at most; 0: any slope.
    cost : callable
        What is to be least.

    Raises
    ------
    InfeasibleError
        If no result is within the bound, or no table of this kind.
    """
    if not bounds.possible:
        raise InfeasibleError(
            "the largest error must be so large that every input has a result within it"
        )
    best: tuple[float, IndexedTable] | None = None
    worse = 0
    for low in range(min(LOW_MAX, bounds.bits), 0, -1):
        lines = Lines(bounds, low)
        groups = [group for group in range(low, bounds.bits + 1) if lines.fits(group)]
        least = np.inf
        for group in groups[-3:]:
            for layout in _lattices(lines, group, terms):
                table = lines.table(layout, meta, terms)
                assert table is not None
                least = min(least, now := cost(table))
                if best is None or now < best[0]:
                    best = now, table
        worse += best is not None and least > 1.3 * best[0]
        if worse > 1:  # ever shorter segments only have larger tables
            break
    if best is None:
        raise InfeasibleError("no table with segments of two codes or more is within this bound")
    return best[1]


def _lattices(lines: Lines, group: int, terms: int) -> Iterator[Layout]:
    """Yield the coarsest lattices that serve: those with no coarser one in both."""
    coarsest, found = 6, 0
    for slope_guard in range(-lines.bounds.bits, lines.bits + 8):
        for intercept_guard in range(coarsest):
            layout = Layout(group, slope_guard, intercept_guard)
            if lines.fit(layout, terms) is not None:
                yield layout
                coarsest = intercept_guard
                break
        found += coarsest < 6
        if found > 2 or not coarsest:
            return
