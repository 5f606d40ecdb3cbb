"""Exponential by range reduction to base 2."""

from collections.abc import Sequence

from amaranth.hdl import Const, Mux, Shape, Signal, Value

from sim.golden import ExpSpec

from ..fixed import fits
from ..pipeline import Pipe
from .scale import scale
from .steps import Stepped
from .unary import Unary, emit, stages

__all__ = ["Exp"]


class Exp(Unary):
    """exp(x) as 2**i * 2**f; latency 2 more than the table's, throughput 1 beat a clock.

    The stages: multiply by the constant log2(e), whose integer part becomes a shift; the table of
    2**f; shift, rounding and saturation. ``spec.before`` and ``spec.after`` may make several of
    the first and of the last. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: ExpSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    live = _Power(spec, pipe, code).add()
    start = pipe.stage
    mantissa = emit(spec.fraction, pipe, live["fraction"])
    shift = pipe.align(live["shift"], start, "shift")
    over = pipe.align(live["over"], start, "over")
    return scale(
        pipe, spec.parts["after"], spec.after, mantissa << spec.left, shift,
        (over, spec.output.max), spec.output,
    )  # fmt: skip


class _Power(Stepped):
    """From the argument to f, and to how far i is below the largest exponent."""

    def __init__(self, spec: ExpSpec, pipe: Pipe, code: Value) -> None:
        stages = spec.before or 1
        super().__init__(pipe, spec.parts["before"], stages, stages > 1, {"code": code})
        self.spec = spec

    def _multiply(self, _: object, names: Sequence[tuple[str, int]]) -> None:
        code, factor = self.live["code"], self.spec.factor
        if ("join", 0) in names or ("join", 0) not in self.steps.names:
            self._power(code * Const(factor))
            return
        # A block for each half, and nothing behind it before the register.
        half = abs(factor).bit_length() // 2
        low, high = factor & (1 << half) - 1, factor >> half
        self.live = {"low": code * Const(low), "high": (code * Const(high)) << half}

    def _join(self, *_: object) -> None:
        if "low" in self.live:
            self._power(self.live["low"] + self.live["high"])

    def _power(self, product: Value) -> None:
        spec = self.spec
        # Wide enough for the fraction, where the argument is so fine that it never leaves it.
        width = max(product.shape().width, spec.drop + spec.fraction.input.bits + 1)
        power = Signal(Shape(width, product.shape().signed), name=f"{self.pipe.name}power")
        self.pipe.m.d.comb += power.eq(product)
        self.live = {"power": power}

    def _exponent(self, *_: object) -> None:
        spec, power, bits = self.spec, self.live["power"], self.spec.fraction.input.bits
        exponent = power >> (spec.drop + bits)
        self.live = {
            "fraction": power[spec.drop : spec.drop + bits],
            # How far below the largest exponent: the right shift of the mantissa.
            "shift": spec.right_of(exponent),
            "over": exponent >= spec.integer_bits,
        }

    def _limit(self, *_: object) -> None:
        right, most = self.live["shift"], self.spec.right_max
        limited = Mux(right > most, most, right)
        over = self.live["over"]
        self.live["shift"] = fits(self.pipe.m, limited, most.bit_length(), "shift", where=~over)
