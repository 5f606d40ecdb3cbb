"""Softmax to base 2 with an online maximum: one pass over a row."""

from amaranth.hdl import Cat, Const, Mux, Shape, Signal, Value
from amaranth.lib import data

from sim.golden import Base2Spec

from ..fixed import fits, round_shift, saturate, shape_of
from ..pipeline import Pipe
from .row_pass import Row, RowPass
from .row_unit import RowUnit
from .unary import emit

__all__ = ["Base2"]


class _Base2Pass(RowPass):
    """From logits to probabilities.

    Stages: ``spec.statistic_latency`` and ``spec.apply_latency``, which name them. Parameters and
    members: `RowPass`.
    """

    spec: Base2Spec

    def __init__(self, spec: Base2Spec) -> None:
        super().__init__(spec, shape_of(spec.input), shape_of(spec.output))
        low, high = spec.exponent_min, spec.exponent_max
        self._exponent = Shape.cast(range(low, high + 1))
        self._blocks = Shape.cast(range(low >> spec.block, (high >> spec.block) + 1))
        self._sums = data.StructLayout({"high": spec.sum_bits, "low": spec.sum_bits})
        self._state = data.StructLayout({"k": self._exponent, "sums": self._sums})
        self._element = data.StructLayout(
            {"u": shape_of(spec.fraction.output), "k": self._exponent}
        )

    @property
    def _optional(self) -> bool:
        """Whether a beat can lack elements."""
        return self.spec.lanes > 1 or self.spec.mask

    def _power(self, pipe: Pipe, logit: Value) -> Value:
        """Return ``x * factor >> drop`` after one stage: k, and the bits of the fraction."""
        spec = self.spec
        bits = spec.fraction.input.bits
        # Wide enough for the fraction, where the logit is so fine that it never leaves it.
        product = Signal(
            Shape(max(spec.drop + bits + self._exponent.width,
                      len(logit) + spec.factor.bit_length()) + 1, True),
            name=f"{pipe.name}product",
        )  # fmt: skip
        pipe.m.d.comb += product.eq(logit * Const(spec.factor))
        kept = product[spec.drop : spec.drop + bits + self._exponent.width]
        (power,) = pipe.cut(power=kept)
        return power

    def _k(self, power: Value) -> Value:
        """Return the exponent of a power."""
        k = power[self.spec.fraction.input.bits :]
        return k.as_signed() if self._exponent.signed else k

    def _u(self, pipe: Pipe, power: Value) -> Value:
        """Return ``2**f`` of a power, by the table."""
        return emit(self.spec.fraction, pipe, power[: self.spec.fraction.input.bits])

    def statistic(self, row: Row) -> Value:
        """Return the reciprocal of the row's sum, and its integer maximum."""
        spec, pipe, block = self.spec, row.pipe, self.spec.block
        powers = pipe.each(self._power, row.elements)
        split = pipe.stage
        # Of the beat: the largest k, and the sums of its block and of the one below.
        ks = [Mux(here, self._k(power), spec.exponent_min) if self._optional else self._k(power)
              for here, power in zip(row.here(), powers, strict=True)]  # fmt: skip
        largest = row.reduce(lambda a, b: Mux(a > b, a, b), ks, "largest")
        found = pipe.stage
        powers = [pipe.align(power, split, f"power{lane}") for lane, power in enumerate(powers)]
        us = pipe.each(self._u, powers)
        largest_then = pipe.align(largest, found, "beat_k")

        def weigh(lane: Pipe, u: Value, power: Value, here: Value) -> Value:
            k = self._k(lane.align(power, found, "power"))
            weight = u << k[:block].as_unsigned()
            weight = fits(lane.m, weight, spec.sum_bits, f"{lane.name}weight")
            if spec.lanes == 1:
                high, low = Mux(here, weight, 0) if self._optional else weight, Const(0, 1)
            else:
                # What is two blocks below the beat's largest, or more, is too small.
                below = (largest_then >> block) - (k >> block)
                high = Mux(here & (below == 0), weight, 0)
                low = Mux(here & (below == 1), weight, 0)
            layout = Signal(self._sums, name=f"{lane.name}weights")
            lane.m.d.comb += [layout.high.eq(high), layout.low.eq(low)]
            (kept,) = lane.cut(weights=Value.cast(layout))
            return kept

        weights = [self._sums(w) for w in pipe.each(weigh, us, powers, row.here())]
        sums = row.totals(high=[w.high for w in weights], low=[w.low for w in weights])
        beat_k = pipe.align(largest, found, "beat_k")
        state = row.accumulate(
            Shape(self._state.size), lambda at: self._step(at, beat_k, *sums),
            Const(spec.exponent_min & ((1 << self._exponent.width) - 1), self._state.size),
            "state",
        )  # fmt: skip
        state = self._state(state)
        whole = state.sums.high + (state.sums.low >> spec.octaves)
        shifted = whole >> Value.cast(state.k)[:block].as_unsigned()
        total = fits(pipe.m, shifted, spec.reciprocal.input.bits, "total")
        total, k = pipe.cut(total=total, k=Value.cast(state.k))
        start = pipe.stage
        reciprocal = emit(spec.reciprocal, pipe, total)
        return Cat(reciprocal, pipe.align(k, start, "k"))

    def _step(self, at: Value, k: Value, beat_high: Value, beat_low: Value) -> Value:
        """Return the running state with a beat: see `Base2Spec`."""
        state, block, bits = self._state(at), self.spec.block, self.spec.sum_bits
        growth = (k >> block) - (state.k >> block)
        high = Mux(growth > 0, 0, state.sums.high) + Mux(growth < 0, 0, beat_high)
        kept = Mux(growth == 1, state.sums.high, Mux(growth > 1, 0, state.sums.low))
        low = kept + Mux(growth == -1, beat_high, Mux(growth < -1, 0, beat_low))
        largest = Mux(k > state.k, k, state.k)
        return Cat(largest[: self._exponent.width], high[:bits], low[:bits])

    def before(self, row: Row) -> list[Value]:
        """Return u and k of the elements: storing logits takes less."""

        def split(pipe: Pipe, logit: Value) -> Value:
            power = self._power(pipe, logit)
            at = pipe.stage
            u = self._u(pipe, power)
            return Cat(u, self._k(pipe.align(power, at, "power")))

        return row.pipe.each(split, row.elements)

    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Return the products with the reciprocal, shifted by the distance, and rounded."""
        spec = self.spec
        bits = spec.reciprocal.output.bits
        largest = statistic[bits:]
        largest = largest.as_signed() if self._exponent.signed else largest

        def scale(pipe: Pipe, element: Value, here: Value) -> Value:
            part = self._element(element)
            right = spec.shift + (largest - part.k)
            # A masked element may be above the maximum: its shift is of no interest.
            limited = Mux(right > spec.right_max, spec.right_max, right)
            (product, right, here) = pipe.cut(
                product=part.u * statistic[:bits],
                right=fits(pipe.m, limited, spec.right_max.bit_length(), f"{pipe.name}right",
                           where=here).as_unsigned(),
                here=here,
            )  # fmt: skip
            probability = saturate(round_shift(product, right), spec.output)
            (result,) = pipe.cut(result=Mux(here, probability, 0))
            return result

        return row.pipe.each(scale, row.elements, row.present)


class Base2(RowUnit):
    """Softmax in one pass over a row: maximum and sum are known when its last logit has come.

    1. *Enter*: logits enter the row buffer; meanwhile the running state of `Base2Spec` takes them
       in, one beat a clock.
    2. *Leave*: the reciprocal of the sum is taken, the logits leave the buffer, and each
       probability is a product and a shift.

    One buffer of a row where `hw.units.softmax.Softmax` has two, and half of its latency.

    Latency, throughput, parameters and members: `RowUnit`.
    """

    spec: Base2Spec

    def passes(self) -> dict[str, RowPass]:
        """Return the one pass."""
        return {"base2": _Base2Pass(self.spec)}
