"""Softmax of rows of any length, one beat a clock."""

from amaranth.hdl import Mux, Shape, Value

from sim.golden import RowSpec, SoftmaxSpec

from ..fixed import claims_sum, fits, round_shift, saturate, shape_of
from ..pipeline import Pipe
from .row_pass import Row, RowPass
from .row_unit import RowUnit
from .unary import emit

__all__ = ["Distances", "NarrowDistances", "Probabilities", "Softmax"]


class Distances(RowPass):
    """From logits to their distances from the row's maximum; the first pass of most softmaxes.

    Stages: of the statistic one, with several lanes two; of apply none. Parameters and members:
    `RowPass`, but `result`, by default the shape of a distance, is that of what a subclass makes of
    the distances.
    """

    def __init__(self, spec: RowSpec, result: Shape | None = None) -> None:
        super().__init__(spec, shape_of(spec.input), result or Shape(spec.input.bits))

    def statistic(self, row: Row) -> Value:
        """Return the maximum of the logits that are present; without any, the lowest logit."""
        form = shape_of(self.spec.input)
        lowest = self.spec.input.min
        logits = [Mux(here, logit, lowest) if self.spec.user_bits or self.spec.lanes > 1 else logit
                  for here, logit in zip(row.present, row.elements, strict=True)]  # fmt: skip
        largest = row.reduce(lambda a, b: Mux(a > b, a, b), logits, "largest")
        return row.accumulate(form, lambda at: Mux(largest > at, largest, at), lowest, "maximum")

    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Return ``maximum - logit``; of a masked logit, which may be larger, its low bits."""
        bits = self.spec.input.bits
        maximum = statistic.as_signed() if self.spec.input.signed else statistic
        return [fits(row.pipe.m, maximum - logit, bits, f"distance{lane}", where=here)
                for lane, (logit, here) in enumerate(zip(row.elements, row.here(), strict=True))
                ]  # fmt: skip


class NarrowDistances(Distances):
    """From logits to what exp sees of their distances; the first pass.

    Rounding and saturation follow the subtraction without a register: measured in two-input gates,
    they add a level to its carry chain. Stages: as `Distances`. Parameters and members: `RowPass`.
    """

    spec: SoftmaxSpec

    def __init__(self, spec: SoftmaxSpec) -> None:
        super().__init__(spec, shape_of(spec.exp.input))

    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Return the distances, rounded half up and saturated; of a masked logit, any."""
        shift, seen = self.spec.distance_shift, self.spec.exp.input
        return [saturate(round_shift(d, shift), seen) for d in super().apply(row, statistic)]


class Probabilities(RowPass):
    """From distances to probabilities; the second pass.

    Stages: of the statistic those of exp, accumulator and reciprocal, and with several lanes that
    of the sum of a beat; of apply two. Parameters and members: `RowPass`.
    """

    spec: SoftmaxSpec

    def __init__(self, spec: SoftmaxSpec) -> None:
        super().__init__(spec, shape_of(spec.exp.input), shape_of(spec.output))

    def exponentials(self, row: Row) -> list[Value]:
        """Return the exponentials, 0 for elements that are not there."""
        exponentials = row.pipe.each(lambda pipe, d: emit(self.spec.exp, pipe, d), row.elements)
        return [
            Mux(here, e, 0) if self.spec.user_bits or self.spec.lanes > 1 else e
            for here, e in zip(row.here(), exponentials, strict=True)
        ]

    def statistic(self, row: Row) -> Value:
        """Return the reciprocal of the sum of exponentials."""
        spec = self.spec
        added = row.total(self.exponentials(row), "added")
        form = spec.reciprocal.input
        claims_sum(row.pipe.m, added, spec.beats(spec.length), form.bits, "total")
        total = row.accumulate(shape_of(form), lambda at: at + added, 0, "total")
        return emit(spec.reciprocal, row.pipe, total)

    def before(self, row: Row) -> list[Value]:
        """Return the exponentials again: storing distances takes less than storing them."""
        return self.exponentials(row)

    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Return the rounded products."""
        spec = self.spec

        def scale(pipe: Pipe, exponential: Value) -> Value:
            (product,) = pipe.cut(product=exponential * statistic)
            (result,) = pipe.cut(result=saturate(round_shift(product, spec.shift), spec.output))
            return result

        return row.pipe.each(scale, row.elements)


class Softmax(RowUnit):
    """Softmax in two passes over a row, each at work on another row.

    1. Logits enter the first row buffer, while their maximum is found.
    2. The row moves to the second buffer as distances from its maximum, while their exponentials
       are summed and the reciprocal of the sum is taken; then the distances leave, and their
       exponentials are multiplied by the reciprocal.

    Where exp sees less of the distances than there is, the second buffer holds that.

    The two buffers are a ping-pong pair in a chain: row n + 1 loads and row n is summed while row
    n - 1 leaves. They hold logits and distances, which are narrow, and not exponentials; that
    costs a second exp table and saves more than half of the storage. As both are queues, short
    rows follow each other without a gap, too.

    Latency, throughput, parameters and members: `RowUnit`.
    """

    spec: SoftmaxSpec

    def passes(self) -> dict[str, RowPass]:
        """Return both passes."""
        spec = self.spec
        exact = spec.exp.input == spec.distance
        passes = {
            "distances": Distances(spec) if exact else NarrowDistances(spec),
            "probabilities": Probabilities(spec),
        }
        for each in passes.values():
            each.plain = spec.plain
        return passes
