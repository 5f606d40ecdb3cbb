"""I-BERT's softmax: polynomial exponential, one integer division a row."""

from amaranth.hdl import Const, Shape, Value

from sim.golden import IbertSoftmaxSpec

from ..fixed import claims_sum, saturate
from ..pipeline import Pipe
from .divide import divide
from .row_pass import Row, RowPass
from .row_unit import RowUnit
from .softmax import Distances, Probabilities

__all__ = ["IbertSoftmax"]


class _IbertProbabilities(Probabilities):
    """From distances to probabilities, by a division and without rounding; the second pass.

    Stages: as `Probabilities`, with those of the divider, ``spec.factor_latency``, in place of the
    reciprocal's. Parameters and members: `RowPass`.
    """

    spec: IbertSoftmaxSpec

    def statistic(self, row: Row) -> Value:
        """Return ``floor(2**precision / sum)``."""
        spec = self.spec
        added = row.total(self.exponentials(row), "added")
        claims_sum(row.pipe.m, added, spec.beats(spec.length), spec.sum_bits, "total")
        total = row.accumulate(Shape(spec.sum_bits), lambda at: at + added, 0, "total")
        dividend = Const(1 << spec.precision, spec.precision + 1)
        return divide(row.pipe, dividend, total, spec.factor_bits, spec.per_stage, "factor")

    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Return the products, cut off."""
        spec = self.spec

        def scale(pipe: Pipe, exponential: Value) -> Value:
            (product,) = pipe.cut(product=exponential * statistic)
            share = product >> (spec.precision - spec.output.frac)
            (result,) = pipe.cut(result=saturate(share, spec.output))
            return result

        return row.pipe.each(scale, row.elements)


class IbertSoftmax(RowUnit):
    """i-softmax of I-BERT, in two passes over a row as `hw.units.softmax.Softmax`.

    Its divider makes one quotient a clock, so rows of length 1 follow each other without a gap.

    Latency, throughput, parameters and members: `RowUnit`.
    """

    spec: IbertSoftmaxSpec

    def passes(self) -> dict[str, RowPass]:
        """Return both passes."""
        return {"distances": Distances(self.spec), "probabilities": _IbertProbabilities(self.spec)}
