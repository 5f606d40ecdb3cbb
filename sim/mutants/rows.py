"""All rows that a small unit can be given: no result is another one where none of them shows it."""

import itertools

import numpy as np

from sim.golden import RowSpec, Spec
from sim.scenes import Scene, scene_of
from sim.stimuli import Row, Stimulus

__all__ = ["ROWS_MAX", "every_row"]

#: So many rows are all simulated.
ROWS_MAX = 1 << 17
#: Share of clocks in which both sides stall, of the second pass.
STALL = 0.25


def every_row(spec: Spec, seed: int = 0) -> list[Scene] | None:
    """Return scenes with all rows of a unit, twice: at full rate, and in another order with stalls.

    Parameters
    ----------
    spec : Spec
        The unit.
    seed : int
        Of the orders: a row stands behind another one in each.

    Returns
    -------
    list of Scene, or None
        None where there are more than `ROWS_MAX`, several lanes, tables that can be written, or no
        rows.
    """
    if not isinstance(spec, RowSpec) or spec.lanes > 1:
        return None
    words = len(spec.input.grid()) << spec.user_bits
    lengths = range(1, spec.longest + 1)
    if sum(words**length for length in lengths) > ROWS_MAX:
        return None
    rows = [np.array(row) for n in lengths for row in itertools.product(range(words), repeat=n)]
    order = np.random.default_rng(seed)
    return [
        _scene(spec, [rows[at] for at in order.permutation(len(rows))], name, stall)
        for name, stall in (("every row", 0.0), ("every row, with stalls", STALL))
    ]


def _scene(spec: Spec, rows: list[Row], name: str, stall: float) -> Scene:
    codes = [spec.input.min + (row >> spec.user_bits) for row in rows]
    users = [row & (1 << spec.user_bits) - 1 for row in rows] if spec.user_bits else None
    return scene_of(
        spec, Stimulus(name, codes, source_stall=stall, sink_stall=stall, users=users)
    )  # fmt: skip
