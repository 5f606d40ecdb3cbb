"""REXP: softmax with the reciprocal exponential."""

from amaranth.hdl import Value

from sim.golden import DirectSpec, RexpSpec

from ..fixed import round_divide
from ..pipeline import Pipe
from .lut_softmax import ExpIndices, Shares
from .row_pass import Row, RowPass
from .row_unit import RowUnit
from .unary import emit

__all__ = ["Rexp"]


class _Indices(ExpIndices):
    """The integer part of each distance; see `ExpIndices`, no stage of apply."""

    def index(self, pipe: Pipe, distance: Value) -> Value:
        """Return the integer part: a shift."""
        frac = self.spec.input.frac
        return distance >> frac if frac >= 0 else distance << -frac


class _Products(Shares):
    """Exponentials, and their products with the row's entry of LUT_alpha.

    Stages: of the statistic four, with several lanes five; of apply two. See `Shares`.
    """

    spec: RexpSpec

    def statistic(self, row: Row) -> Value:
        """Return LUT_alpha of the sum."""
        return self.magnitude(emit(DirectSpec(self.spec.alpha), row.pipe, self.sum_address(row)))

    def before(self, row: Row) -> list[Value]:
        """Return the exponentials again."""
        return self.exponentials(row)

    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Return the products in units of 1.0, in two stages."""

        def scale(pipe: Pipe, exponential: Value) -> Value:
            (product,) = pipe.cut(product=exponential * statistic)
            quotient = round_divide(product, self.spec.one)
            (result,) = pipe.cut(result=self.magnitude(quotient))
            return result

        return row.pipe.each(scale, row.elements)


class Rexp(RowUnit):
    """Softmax by two small tables and one multiplication, in two passes over a row.

    1. Logits enter the first row buffer, while their maximum is found.
    2. The row moves to the second buffer as integer parts of the distances from its maximum, while
       their exponentials are summed and the sum's entry of LUT_alpha is looked up; then the
       exponentials leave, multiplied by it.

    Latency, throughput, parameters and members: `RowUnit`.
    """

    spec: RexpSpec

    def passes(self) -> dict[str, RowPass]:
        """Return both passes."""
        return {"indices": _Indices(self.spec), "products": _Products(self.spec)}
