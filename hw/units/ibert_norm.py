"""I-BERT's LayerNorm: integer square root, one integer division a row."""

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed
from amaranth.lib import data

from sim.golden import IbertNormSpec

from ..fixed import claims_sum, fits, round_shift, saturate, shape_of
from ..pipeline import Pipe
from .divide import divide
from .isqrt import newton_root
from .row_pass import Row, RowPass
from .row_unit import RowUnit
from .unary import emit

__all__ = ["IbertNorm"]


def _sums(row: Row, spec: IbertNormSpec, values: list[Value], bits: int) -> data.View:
    """Return ``total`` of the unsigned `values`, `bits` wide, and ``count`` of the elements."""
    layout = data.StructLayout({"total": bits, "count": spec.length.bit_length()})
    here = row.here()
    if spec.lanes > 1:
        values = [Mux(bit, value, 0) for bit, value in zip(here, values, strict=True)]
    total, count = row.totals(total=values, count=here)

    m, beats = row.pipe.m, spec.beats(spec.length)
    claims_sum(m, total, beats, bits, "total")
    claims_sum(m, count, beats, spec.length.bit_length(), "count")

    def step(at: Value) -> Value:
        before = layout(at)
        return Cat((before.total + total)[:bits], (before.count + count)[: len(before.count)])

    return layout(row.accumulate(Shape(layout.size), step, 0, "sums"))


class _Centred(RowPass):
    """From elements to their differences from the rounded mean; the first pass.

    Stages: of the statistic ``spec.mean_latency``, of apply none. Parameters and members:
    `RowPass`.
    """

    spec: IbertNormSpec

    def __init__(self, spec: IbertNormSpec) -> None:
        super().__init__(spec, shape_of(spec.input), signed(spec.bits + 1))

    def statistic(self, row: Row) -> Value:
        """Return the mean."""
        spec = self.spec
        lowest = spec.input.min
        # Counted from the lowest code, nothing is negative: the division knows no signs.
        lifted = [fits(row.pipe.m, code - lowest, spec.input.bits, f"lifted{lane}")
                  for lane, code in enumerate(row.elements)]  # fmt: skip
        sums = _sums(row, spec, lifted, spec.sum_bits)
        # floor(sum / count + 1/2) = floor((2 sum + count) / (2 count)).
        doubled = sums.total.shift_left(spec.guard + 1) + sums.count
        mean = divide(
            row.pipe, doubled, sums.count.shift_left(1), spec.bits, spec.per_stage, "mean"
        )
        mean = mean + (lowest << spec.guard)
        return fits(row.pipe.m, mean, spec.bits, "mean", signed=True).as_signed()

    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Return the differences."""
        return [code.shift_left(self.spec.guard) - statistic for code in row.elements]


class _Scaled(RowPass):
    """From differences to results; the second pass.

    Stages: of the statistic ``spec.factor_latency``, of apply ``spec.apply_latency``; the spec
    names them. Parameters and members: `RowPass`.
    """

    spec: IbertNormSpec

    def __init__(self, spec: IbertNormSpec) -> None:
        super().__init__(spec, signed(spec.bits + 1), shape_of(spec.output))

    def statistic(self, row: Row) -> Value:
        """Return ``floor(2**precision / std)``, and sqrt(n), which ends the last stage."""
        spec, pipe = self.spec, row.pipe

        def square(lane: Pipe, y: Value) -> Value:
            seen = y >> spec.shift
            (result,) = lane.cut(square=(seen * seen).as_unsigned())
            return result

        squares = pipe.each(square, row.elements)
        sums = _sums(row, spec, squares, spec.variance_bits)
        start = pipe.stage
        root = newton_root(pipe, sums.total, spec.iterations, spec.per_stage)
        dividend = Const(1 << (spec.precision - spec.shift), spec.precision - spec.shift + 1)
        factor = divide(
            pipe, dividend, Mux(root == 0, 1, root), spec.factor_bits, spec.per_stage, "factor"
        )
        divided = pipe.stage
        scale = emit(spec.roots, pipe, pipe.align(sums.count, start, "count"))
        return Cat(pipe.align(factor, divided, "factor"), scale)

    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Return the products, rounded."""
        spec, pipe = self.spec, row.pipe
        factor, root = statistic[: spec.factor_bits], statistic[spec.factor_bits :]

        def divided(lane: Pipe, y: Value, here: Value) -> Value:
            # What is no element of the row has no part in its deviation.
            z = fits(lane.m, (y * factor) >> 1, spec.z_bits, f"{lane.name}z", signed=True,
                     where=here)  # fmt: skip
            (result,) = lane.cut(z=z.as_signed())
            return result

        zs = pipe.each(divided, row.elements, row.present)
        root = pipe.align(root, 0, "root")

        def scale(lane: Pipe, z: Value) -> Value:
            (product,) = lane.cut(product=z * root)
            (result,) = lane.cut(result=saturate(round_shift(product, spec.right), spec.output))
            return result

        return pipe.each(scale, zs)


class IbertNorm(RowUnit):
    """LayerNorm of I-BERT in two passes over a row.

    1. Elements enter the first row buffer while they are summed; a divider makes the mean of the
       sum, and the elements leave as differences from it.
    2. These enter the second buffer while their squares are summed; Newton's iteration, with a
       divider for each step but the first, makes the root, another divider the factor.

    All dividers make one quotient a clock.

    Latency, throughput, parameters and members: `RowUnit`.
    """

    spec: IbertNormSpec

    def passes(self) -> dict[str, RowPass]:
        """Return both passes."""
        return {"centred": _Centred(self.spec), "scaled": _Scaled(self.spec)}
