"""I-BERT's square root: Newton's iteration in integers."""

from amaranth.hdl import Const, Mux, Signal, Value

from sim.golden import ISqrtSpec
from sim.golden.isqrt import quotient_bits

from ..fixed import fits, round_shift, saturate
from ..pipeline import Pipe
from .divide import divide
from .unary import Unary, stages

__all__ = ["ISqrt", "newton_root"]


def newton_root(pipe: Pipe, n: Value, iterations: int, per_stage: int) -> Value:
    """Add the stages of `sim.golden.isqrt.isqrt` to `pipe` and return the root.

    Latency ``stages_of(len(n), iterations, per_stage)`` clocks, throughput one root a clock: each
    step has a divider of its own.

    Parameters
    ----------
    pipe : Pipe
        Gets the stages.
    n : Value
        Unsigned.
    iterations, per_stage : int
        Newton's steps, and the quotient bits that one stage of a divider makes.
    """
    bits = len(n)
    half = (bits + 1) // 2
    # ceil(bit length / 2): the highest pair of bits that has a one decides; it is assigned last.
    exponent = Signal(range(half + 1), name=f"{pipe.name}exponent")
    for pair in range(half):
        with pipe.m.If(n[2 * pair : 2 * pair + 2].any()):
            pipe.m.d.comb += exponent.eq(pair + 1)
    n, exponent = pipe.cut(n=n, exponent=exponent)
    start = pipe.stage
    # The first division is by the power of two.
    power = fits(pipe.m, Const(1, 1) << exponent, half + 1, "power")
    first = (power + (n >> exponent)) >> 1
    (x,) = pipe.cut(x=fits(pipe.m, Mux(first < power, first, power), half + 1, "first"))
    for step in range(1, iterations):
        at = pipe.stage
        quotient = divide(
            pipe, pipe.align(n, start, "n"), x, quotient_bits(bits), per_stage, f"step{step}"
        )
        x = pipe.align(x, at, f"x{step}")
        # Of n = 0, x is 0 and the quotient whatever: x stays.
        new = (x + quotient) >> 1
        (x,) = pipe.cut(x=fits(pipe.m, Mux(new < x, new, x), half + 1, f"step{step}"))
    return x


class ISqrt(Unary):
    """The square root by i-sqrt of I-BERT; throughput 1 beat a clock.

    Latency: 3, and for each step but the first ``ceil(q / per_stage) + 1``, q the quotient's bits.
    Parameters and members: `Unary`.
    """


@stages.register
def _(spec: ISqrtSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    root = newton_root(pipe, code.shift_left(spec.left), spec.iterations, spec.per_stage)
    (result,) = pipe.cut(result=saturate(round_shift(root, spec.guard), spec.output))
    return result
