"""Delta table: the base is wiring, the residual a decision diagram, and one addition."""

from amaranth.hdl import Cat, Const, Mux, Value

from nnlut_train.delta import addressed
from sim.golden import DeltaSpec

from ..fixed import fits, shape_of
from ..pipeline import Pipe
from .indexed import decisions
from .unary import Unary, stages

__all__ = ["Delta"]


class Delta(Unary):
    """A unary function as a base and residuals; latency 1, throughput 1 beat a clock.

    Nothing saturates: every sum fits the output. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: DeltaSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stage to `pipe` and return the result."""
    table = spec.table
    bits, mirrored = table.window
    signed = table.input.signed
    negative = code[-1] if signed else Const(0, 1)
    index = code[:bits]
    if mirrored:
        index = Cat(negative, index ^ negative.replicate(bits))
    elif signed:
        index = Cat(index, negative)
    values = addressed(table.residuals, signed, mirrored).tolist()
    residual = decisions(pipe, values, shape_of(table.residual), index, "residual")
    above = code[bits : len(code) - signed]
    if len(above):
        inside = ~(above ^ negative.replicate(len(above))).any()
        residual = residual.as_unsigned() & inside.replicate(len(residual))
        residual = residual.as_signed() if table.residual.signed else residual
    below, level = table.levels
    total = residual + (Const(level) if below == level else Mux(negative, below, level))
    sort, shift = table.base
    if sort:
        base = code
        if table.sort == "positive":
            base = (code & (~negative).replicate(len(code)))[: len(code) - 1].as_unsigned()
        total += base << shift if shift >= 0 else base >> -shift
    # The sum fits the output, whatever width the addition is given.
    sign = total[-1] if total.shape().signed else Const(0, 1)
    total = fits(
        pipe.m, Cat(total, sign.replicate(table.output.bits)), table.output.bits, "sum",
        signed=table.output.signed, whole=total,
    )  # fmt: skip
    (result,) = pipe.cut(result=total.as_signed() if table.output.signed else total)
    return result
