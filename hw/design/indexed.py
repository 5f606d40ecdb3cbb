"""Units of lines in segments that leading bits address; products by multiplier or by shifts."""

from collections.abc import Iterator

from nnlut_train.errors import InfeasibleError
from nnlut_train.fit.indexed_bounds import Bounds, bounds
from nnlut_train.fit.indexed_search import search, size
from nnlut_train.folding import Fold
from nnlut_train.formats import Format
from nnlut_train.indexed import IndexedTable
from nnlut_train.metrics import table_errors
from sim.golden import IndexedSpec, ShiftAddSpec

from .wanted import Fitting, Wanted

__all__ = ["make", "make_shiftadd"]

#: Signed powers of two in a slope that are tried. One less is an addition less, but the more
#: segments, the fewer serve.
TERMS = (1, 2, 3)


def _bounds(wanted: Wanted, fitting: Fitting) -> Iterator[Bounds]:
    """Yield what the cores may be: not folded, and with the narrowest magnitude that serves."""

    def of(fold: Fold | None) -> Bounds:
        return bounds(
            wanted.target, wanted.inputs, wanted.output, fitting.max_error, wanted.weights, fold
        )

    yield of(None)
    if wanted.fold is None:
        return
    narrowest = None
    for bits in range(wanted.inputs.bits, 0, -1):
        found = of(Fold(wanted.fold.kind, Format(False, bits, wanted.inputs.frac)))
        if not found.possible:
            break
        narrowest = found
    if narrowest is not None:
        yield narrowest


def _table(wanted: Wanted, fitting: Fitting, choices: tuple[int, ...]) -> IndexedTable:
    """Return the smallest table, by `size`, with any of `choices` for the terms of a slope."""
    meta = {
        "function": wanted.name, "method": "indexed", "max_error": fitting.max_error,
        "domain": wanted.inputs.real(wanted.inputs.codes()[[0, -1]]).tolist(),
    }  # fmt: skip
    found, refusal = [], None
    for allowed in _bounds(wanted, fitting):
        for terms in choices:
            try:
                found.append(search(allowed, meta, terms))
            except InfeasibleError as error:
                refusal = error
    if not found:
        assert refusal is not None
        raise refusal
    table = min(found, key=size)
    meta["errors"] = table_errors(table, wanted.target, wanted.weights)
    return table


def make(wanted: Wanted, fitting: Fitting) -> IndexedSpec:
    """Return lines with a multiplier of few bits, within `Fitting.max_error`.

    Raises
    ------
    InfeasibleError
        If no such table is near enough to the function.
    """
    return IndexedSpec(_table(wanted, fitting, (0,)))


def make_shiftadd(wanted: Wanted, fitting: Fitting) -> ShiftAddSpec:
    """Return lines whose slopes are sums of few signed powers of two, within the same bound.

    Raises
    ------
    InfeasibleError
        If no such table is near enough to the function.
    """
    return ShiftAddSpec(_table(wanted, fitting, TERMS))
