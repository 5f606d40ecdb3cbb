"""Units of multipartite tables."""

from nnlut_train.errors import InfeasibleError
from nnlut_train.multipartite_search import multipartite_table
from sim.golden import MultipartiteSpec

from .wanted import Fitting, Wanted

__all__ = ["make"]


def make(wanted: Wanted, fitting: Fitting) -> MultipartiteSpec:
    """Tables that are added; the cheapest within `Fitting.max_error`, folded if that is cheaper.

    Raises
    ------
    InfeasibleError
        If no such table is near enough to the function.
    """
    found = []
    for fold in dict.fromkeys((wanted.fold, None)):
        try:
            table = multipartite_table(
                wanted.name, wanted.target, wanted.inputs, wanted.output,
                max_error=fitting.max_error, weights=wanted.weights, fold=fold,
            )  # fmt: skip
        except InfeasibleError as error:
            refusal = error
        else:
            found.append(table)
    if not found:
        raise refusal
    return MultipartiteSpec(min(found, key=lambda table: table.meta["cost"]))
