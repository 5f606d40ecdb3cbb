"""Softmax by a table of two dimensions."""

from amaranth.hdl import Cat, Value

from sim.golden import DirectSpec, Lut2dSpec

from ..fixed import fits, round_divide, round_shift, times
from ..pipeline import Pipe
from .lut_softmax import ExpIndices, Shares
from .row_pass import Row, RowPass
from .row_unit import RowUnit
from .unary import emit

__all__ = ["Lut2d"]


class _Indices(ExpIndices):
    """Each distance in tenths; see `ExpIndices`, one stage of apply."""

    def index(self, pipe: Pipe, distance: Value) -> Value:
        """Return the rounded tenths, one stage later."""
        frac = self.spec.input.frac
        (distance,) = pipe.cut(distance=distance)
        tenths = times(distance, self.spec.STEPS)
        return round_shift(tenths, frac) if frac >= 0 else tenths << -frac


class _Lookups(Shares):
    """Exponentials and sum make the address of LUT_sigma.

    Stages: of the statistic four, with several lanes five; of apply one. See `Shares`.
    """

    spec: Lut2dSpec

    def statistic(self, row: Row) -> Value:
        """Return the row of LUT_sigma."""
        (address,) = row.pipe.cut(address=self.sum_address(row))
        return address

    def before(self, row: Row) -> list[Value]:
        """Return the columns of LUT_sigma."""
        bits = self.spec.COLUMN_BITS

        def column(pipe: Pipe, exponential: Value) -> Value:
            tenths = round_divide(times(exponential, self.spec.STEPS), self.spec.one)
            column = fits(pipe.m, tenths, bits, f"{pipe.name}column")
            (result,) = pipe.cut(column=column)
            return result

        return row.pipe.each(column, self.exponentials(row))

    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Return what LUT_sigma has, in one stage."""
        table, bits = DirectSpec(self.spec.sigma), self.spec.addresses["sigma"]
        return row.pipe.each(
            lambda pipe, column: emit(table, pipe, Cat(column, statistic)[:bits]), row.elements
        )


class Lut2d(RowUnit):
    """Softmax by a table of exponentials and one of quotients, in two passes over a row.

    1. Logits enter the first row buffer, while their maximum is found.
    2. The row moves to the second buffer as distances from its maximum in tenths, while their
       exponentials are summed; then exponentials and sum, both rounded, look up the probabilities.

    Latency, throughput, parameters and members: `RowUnit`.
    """

    spec: Lut2dSpec

    def passes(self) -> dict[str, RowPass]:
        """Return both passes."""
        return {"indices": _Indices(self.spec), "lookups": _Lookups(self.spec)}
