"""Piecewise-linear unit: magnitude, comparator tree, multiply-add, unfold, round, saturate."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Mux, Value
from amaranth.lib import data

from nnlut_train.tables import PwlTable
from sim.golden import PwlSpec

from ..fixed import round_shift, saturate, shape_of
from ..pipeline import Pipe
from .fold import magnitude, rest, unfold
from .unary import Unary, stages

__all__ = ["Pwl", "comparator_tree"]


def comparator_tree(code: Value, breakpoints: Sequence[Value], leaves: Sequence[Value]) -> Value:
    """Return the leaf of the segment that holds `code`; ``code >= breakpoint`` goes right."""
    if not breakpoints:
        return leaves[0]
    middle = len(breakpoints) // 2
    return Mux(
        code >= breakpoints[middle],
        comparator_tree(code, breakpoints[middle + 1 :], leaves[middle + 1 :]),
        comparator_tree(code, breakpoints[:middle], leaves[: middle + 1]),
    )


class Pwl(Unary):
    """A unary function as straight lines; latency 3, throughput 1 beat a clock.

    The stages: magnitude and comparator tree, which selects slope and intercept; multiplier; adder,
    unfolding, rounding and saturation. Folding adds no stage: mapped to gates, the longest path has
    at most one gate more than without, at 8 and at 12 bits. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: PwlSpec, pipe: Pipe, code: Value) -> Value:
    """Add the three stages to `pipe` and return the result."""
    table: PwlTable = spec.table
    line = data.StructLayout(
        {"slope": shape_of(table.slope), "intercept": shape_of(table.intercept)}
    )
    breakpoints, slopes, intercepts = pipe.store.lines(table)
    leaves = [Cat(slope, intercept) for slope, intercept in zip(slopes, intercepts, strict=True)]
    fold, start = table.fold, pipe.stage
    argument, left = magnitude(code, fold), rest(code, fold)
    selected, argument = pipe.cut(
        line=comparator_tree(argument, breakpoints, leaves), code=argument
    )
    product, intercept = pipe.cut(
        product=line(selected).slope * argument, intercept=line(selected).intercept
    )
    total = unfold(
        pipe.align(left, start, "rest"), product + (intercept << table.align), fold,
        table.slope.frac + table.input.frac, table.slope.frac,
    )  # fmt: skip
    (result,) = pipe.cut(result=saturate(round_shift(total, table.shift), table.output))
    return result
