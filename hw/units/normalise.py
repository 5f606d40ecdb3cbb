"""Normalisation by the number of leading zeros."""

from amaranth.hdl import Signal, Value

from ..pipeline import Pipe

__all__ = ["normalise"]


def normalise(
    pipe: Pipe, code: Value, width: int, step: int, shifts: int
) -> tuple[Value, Value, Value]:
    """Count the leading zeros of `code`, which ends a stage, and shift it left by them.

    Parameters
    ----------
    pipe : Pipe
        Gets one stage; the results belong to the next.
    code : Value
        Unsigned, at most `width` bits.
    width, step, shifts : int
        As in `sim.golden.normalise`.

    Returns
    -------
    normal, steps, zero : Value
        The shifted code (`width` bits), by how many steps it was shifted (at most `shifts`), and
        whether it is 0.
    """
    wide = Signal(width, name=f"{pipe.name}wide")
    steps = Signal(range(shifts + 1), init=shifts, name=f"{pipe.name}steps")
    pipe.m.d.comb += wide.eq(code)
    # The group of `step` bits nearest to the top that has a one decides: it is assigned last.
    for count in reversed(range(shifts)):
        top = width - count * step
        with pipe.m.If(wide[top - step : top].any()):
            pipe.m.d.comb += steps.eq(count)
    kept, steps, zero = pipe.cut(code=wide, steps=steps, zero=~wide.any())
    return (kept << (steps * step))[:width], steps, zero
