"""What the two softmaxes of Vasyltsov & Chang have in common: the passes over a row."""

from abc import abstractmethod

from amaranth.hdl import Mux, Shape, Value

from sim.golden import DirectSpec, Lut2dSpec, RexpSpec

from ..fixed import claims_sum, fits, round_divide, shape_of
from ..pipeline import Pipe
from .row_pass import Row, RowPass
from .softmax import Distances
from .unary import emit

__all__ = ["ExpIndices", "Shares"]


class ExpIndices(Distances):
    """From logits to the index of each one's exponential; the first pass.

    The row buffer behind it holds indices: in REXP these are 2 to 4 bits. Stages: of the statistic
    as `Distances`; of apply those of `index`. Parameters and members: `RowPass`.
    """

    spec: RexpSpec | Lut2dSpec

    def __init__(self, spec: RexpSpec | Lut2dSpec) -> None:
        super().__init__(spec, Shape(spec.addresses["exp"]))

    @abstractmethod
    def index(self, pipe: Pipe, distance: Value) -> Value:
        """Return the index before its limit; may add stages."""

    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Return the indices, limited to the table's last entry."""

        def limited(pipe: Pipe, distance: Value) -> Value:
            index, last = self.index(pipe, distance), self.spec.exp_entries - 1
            bits = self.spec.addresses["exp"]
            return fits(pipe.m, Mux(index > last, last, index), bits, f"{pipe.name}index")

        return row.pipe.each(limited, super().apply(row, statistic))


class Shares(RowPass):
    """From the indices of exponentials to probabilities; the second pass.

    Stages of the statistic: three for the address of the sum (table, accumulator, division), with
    several lanes four, and one more that a subclass ends; its apply has one or two. Parameters and
    members: `RowPass`.
    """

    spec: RexpSpec | Lut2dSpec

    def __init__(self, spec: RexpSpec | Lut2dSpec) -> None:
        super().__init__(spec, Shape(spec.addresses["exp"]), shape_of(spec.output))

    def exponentials(self, row: Row) -> list[Value]:
        """Return the exponentials, in one stage; 0 for elements that are not there."""
        table = DirectSpec(self.spec.exp)
        found = row.pipe.each(lambda pipe, index: emit(table, pipe, index), row.elements)
        return [Mux(here, self.magnitude(e), 0)
                for here, e in zip(row.here(), found, strict=True)]  # fmt: skip

    def magnitude(self, value: Value) -> Value:
        """Return a table's value without the sign that its format may have: none is negative."""
        return value[: self.spec.one.bit_length()]

    def sum_address(self, row: Row) -> Value:
        """Return the row's sum in units of 1.0, less 1: 0 to ``spec.sums - 1``.

        The last stage that it needs is not ended.
        """
        spec = self.spec
        added = row.total(self.exponentials(row), "added")
        shape = Shape((spec.one * spec.length).bit_length())
        claims_sum(row.pipe.m, added, spec.beats(spec.length), shape.width, "total")
        total = row.accumulate(shape, lambda at: at + added, 0, "total")
        (quotient,) = row.pipe.cut(quotient=round_divide(total, spec.one))
        limited = Mux(quotient > spec.sums, spec.sums, quotient)
        # At least one bit: there are no memories of none.
        bits = max(1, (spec.sums - 1).bit_length())
        address = Mux(limited == 0, 0, limited - 1)
        return fits(row.pipe.m, address, bits, "address")
