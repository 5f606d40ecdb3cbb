"""Piecewise-linear unit in floating-point arithmetic."""

from amaranth.hdl import Cat, Value

from sim.golden import FloatPwlSpec

from ..floats import add, multiply, order_key
from ..pipeline import Pipe
from .pwl import comparator_tree
from .unary import Unary, stages

__all__ = ["FloatPwl"]


class FloatPwl(Unary):
    """A unary function as straight lines in IEEE 754; latency 9, throughput 1 beat a clock.

    The stages: comparator tree, which selects slope and intercept by the order of the numbers;
    three for the significands' product and one for its rounding; alignment, sum, normalisation and
    rounding. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: FloatPwlSpec, pipe: Pipe, code: Value) -> Value:
    """Add the nine stages to `pipe` and return the result."""
    form = spec.table.float_format
    breakpoints, slopes, intercepts = pipe.store.lines(spec.table)
    leaves = [Cat(slope, intercept) for slope, intercept in zip(slopes, intercepts, strict=True)]
    line, argument = pipe.cut(
        line=comparator_tree(order_key(code, form), breakpoints, leaves), code=code
    )
    intercept, at = line[form.bits :], pipe.stage
    product = multiply(pipe, line[: form.bits], argument, form)
    return add(pipe, product, pipe.align(intercept, at, "intercept"), form)
