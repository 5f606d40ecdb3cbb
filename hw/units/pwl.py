"""Piecewise-linear unit: comparator tree, multiply-add, round, saturate."""

from collections.abc import Sequence

from amaranth.hdl import Mux, Value
from amaranth.lib import data

from nnlut_train.tables import PwlTable
from sim.golden import PwlSpec

from ..fixed import round_shift, saturate, shape_of
from ..pipeline import Pipe
from .unary import Unary, stages

__all__ = ["Pwl"]


def _comparator_tree(code: Value, breakpoints: Sequence[int], leaves: Sequence[Value]) -> Value:
    """Return the leaf of the segment that holds `code`; ``code >= breakpoint`` goes right."""
    if not breakpoints:
        return leaves[0]
    middle = len(breakpoints) // 2
    return Mux(
        code >= breakpoints[middle],
        _comparator_tree(code, breakpoints[middle + 1 :], leaves[middle + 1 :]),
        _comparator_tree(code, breakpoints[:middle], leaves[: middle + 1]),
    )


class Pwl(Unary):
    """A unary function as straight lines; latency 3, throughput 1 beat a clock.

    The stages: comparator tree, which selects slope and intercept; multiplier; adder, rounding and
    saturation. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: PwlSpec, pipe: Pipe, code: Value) -> Value:
    """Add the three stages to `pipe` and return the result."""
    table: PwlTable = spec.table
    line = data.StructLayout(
        {"slope": shape_of(table.slope), "intercept": shape_of(table.intercept)}
    )
    leaves = [
        Value.cast(line.const({"slope": slope, "intercept": intercept}))
        for slope, intercept in zip(table.slopes, table.intercepts, strict=True)
    ]
    selected, code = pipe.cut(line=_comparator_tree(code, table.breakpoints, leaves), code=code)
    product, intercept = pipe.cut(
        product=line(selected).slope * code, intercept=line(selected).intercept
    )
    total = product + (intercept << table.align)
    (result,) = pipe.cut(result=saturate(round_shift(total, table.shift), table.output))
    return result
