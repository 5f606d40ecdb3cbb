"""The search for multipartite tables: the cheapest whose every result is near enough."""

import heapq
from collections.abc import Iterator

import numpy as np

from .decomposition import Decomposition, Search
from .errors import InfeasibleError, UsageError
from .filling import Filling
from .folding import Fold
from .formats import Format
from .metrics import table_errors
from .multipartite import OFFSETS_MAX, MultipartiteTable, stored_bits
from .windows import windows

__all__ = ["multipartite_table", "multipartite_tables"]

#: Most guard bits.
GUARD_MAX = 5
#: What the bound of a decomposition's error may exceed that of the paper by, in ulp: a bound is
#: reached by few codes, and most of these have more room than the least.
BOUND_EXTRA = 0.3
#: Of arguments of more bits than `LUCKY_BITS_MAX` there are so many codes that some meet the bound
#: plus the rounding of all tables, and no better luck than this much is tried for.
LUCKY_BITS_MAX, LUCK = 14, 0.5
#: Changes of an offset that a repair may make, and how much may be lacking for it to be tried, in
#: steps a head.
REPAIRS = 400
LACK_MAX = 1.0
#: Decompositions that are filled before the search gives up, times the arguments of each.
ARGUMENTS_MAX = 1 << 27
#: Widest argument.
BITS_MAX = 18


def multipartite_table(
    name: str, target: np.ndarray, inputs: Format, output: Format, *,
    max_error: float = 1.0, weights: np.ndarray | None = None, fold: Fold | None = None,
    tables: int = 3,
) -> MultipartiteTable:  # fmt: skip
    """Return the cheapest table whose largest error is small enough; see `multipartite_tables`."""
    found = multipartite_tables(
        name, target, inputs, output, max_error=max_error, weights=weights, fold=fold, tables=tables
    )
    return next(found)


def multipartite_tables(
    name: str, target: np.ndarray, inputs: Format, output: Format, *,
    max_error: float = 1.0, weights: np.ndarray | None = None, fold: Fold | None = None,
    tables: int = 3,
) -> Iterator[MultipartiteTable]:  # fmt: skip
    """Yield tables whose errors are small enough at all codes, about in the order of their cost.

    Parameters
    ----------
    name : str
        The function's, for the tables' meta data.
    target : float64 array, shape (2**inputs.bits,)
        Its real value at every input code, ascending; those that the output cannot hold saturate.
    inputs, output : Format
        Formats of the argument and of the result.
    max_error : float
        Largest error in ulp of the output, 0.5 or more; 1 asks for faithful rounding: below 1.
    weights : float64 array, same shape, optional
        Codes of weight 0 may have any result, and do not count in the errors of the meta data.
    fold : Fold, optional
        How to fold the argument.
    tables : int
        Most tables of offsets, 1 to 4; 1 is the bipartite table.

    Raises
    ------
    UsageError
        An argument is out of range.
    InfeasibleError
        There is no such table.
    """
    if max_error < 0.5:
        raise UsageError(f"the error of a table must be allowed to be 0.5 ulp, not {max_error:g}")
    if not 1 <= tables <= OFFSETS_MAX:
        raise UsageError(f"tables of offsets must be 1 to {OFFSETS_MAX}, not {tables}")
    argument = inputs if fold is None else fold.magnitude
    if inputs.bits > BITS_MAX:
        raise InfeasibleError(
            f"a multipartite table must have an input of at most {BITS_MAX} bits, not {inputs}"
        )
    least = 0 if fold is None else fold.lacks(output.frac)
    guards = range(least, max(least, GUARD_MAX) + 1)
    wanted = {
        guard: windows(target, inputs, output, guard, max_error, weights=weights, fold=fold)
        for guard in guards
    }
    refusal = InfeasibleError(
        f"no multipartite table of {name} from {inputs} to {output} has an error of "
        f"{'below 1' if max_error == 1 else f'at most {max_error:g}'} ulp"
    )
    if (wanted[least].low > wanted[least].high).any():
        raise refusal
    # In ulp of the output, all but the half of the rounding.
    search = Search(wanted[least].ideal / 2.0**least, argument.bits)
    bound = max(max_error - 0.5, 0.0) + BOUND_EXTRA
    queue = [
        (search.cost(cut, guard), guard, number, cut)
        for number, cut in enumerate(search.decompositions(bound, tables))
        for guard in guards
        if argument.bits <= LUCKY_BITS_MAX
        or cut.error + (len(cut.pieces) + 1) / (2 << guard) <= max_error - 0.5 + LUCK
    ]
    heapq.heapify(queue)
    count = 0
    for _ in range(min(ARGUMENTS_MAX >> argument.bits, len(queue))):
        cost, guard, _, cut = heapq.heappop(queue)
        filling = Filling(search, cut, wanted[guard], guard)
        heads = 1 << (argument.bits - sum(cut.pieces))
        if filling.lack > LACK_MAX * heads or not filling.repair(REPAIRS):
            continue
        count += 1
        yield _table(name, target, inputs, output, guard, cut, cost, filling, weights, fold)
    if not count:
        raise refusal


def _table(
    name: str, target: np.ndarray, inputs: Format, output: Format, guard: int, cut: Decomposition,
    cost: int, filling: Filling, weights: np.ndarray | None, fold: Fold | None,
) -> MultipartiteTable:  # fmt: skip
    initial = filling.initial().tolist()
    offsets = [value for table in filling.offsets for value in table]
    meta = {
        "function": name, "method": "multipartite",
        "domain": inputs.real(inputs.codes()[[0, -1]]).tolist(),
        "bound": 0.5 + cut.error, "cost": cost,
    }  # fmt: skip
    table = MultipartiteTable(
        inputs, output, _format(initial, output.frac + guard), _format(offsets, 0), cut.pieces,
        cut.heads, tuple(initial), tuple(offsets), meta, fold=fold,
    )  # fmt: skip
    meta["errors"] = table_errors(table, target, weights)
    return table


def _format(values: list[int], frac: int) -> Format:
    return Format(min(values) < 0, stored_bits(values), frac)
