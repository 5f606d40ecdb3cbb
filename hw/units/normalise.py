"""Normalisation by the number of leading zeros."""

from amaranth.hdl import Cat, Const, Signal, Value

from ..fixed import fits, select
from ..pipeline import Pipe

__all__ = ["leading", "normalise"]


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
    fits(pipe.m, code, width, "code")
    pipe.m.d.comb += wide.eq(code)
    # The group of `step` bits nearest to the top that has a one decides: it is assigned last.
    for count in reversed(range(shifts)):
        top = width - count * step
        with pipe.m.If(wide[top - step : top].any()):
            pipe.m.d.comb += steps.eq(count)
    kept, steps, zero = pipe.cut(code=wide, steps=steps, zero=~wide.any())
    normal = fits(pipe.m, kept << (steps * step), width, "normal")
    return normal, steps, zero


def leading(
    pipe: Pipe, code: Value, low: int, bits: int, step: int, exponent_max: int
) -> tuple[Value, Value]:
    """Return the highest bits of `code` from its leading one on, and where they are.

    They are looked for by groups of 8 bits, and then within the group: each ends a stage, and both
    are short, where one shift by any number of places is a long path.

    Parameters
    ----------
    pipe : Pipe
        Gets two stages; the results belong to the next.
    code : Value
        Unsigned; it has no bit above the highest window.
    low : int
        Where the lowest window begins: a bit of `code`, or below 0. What is outside it is 0.
    bits, step : int
        Width of a window, and how far one is above the other; 1, 2, 4 or 8.
    exponent_max : int
        Windows are number 0, which is taken if no higher one has a one in its highest `step` bits,
        to this.

    Returns
    -------
    window, exponent : Value
        The highest window with such a one, and its number.
    """
    size = 8 // step
    groups = -(-(exponent_max + 1) // size)
    span = step * (size - 1) + bits
    wide = Signal(max(-low, 0) + 8 * groups + bits + max(low, 0), name=f"{pipe.name}wide")
    pipe.m.d.comb += wide.eq(Cat(Const(0, max(-low, 0)), code))
    wide = wide[max(low, 0) :]
    top = bits - step
    group = Signal(range(groups), name=f"{pipe.name}group")
    for at in range(1, groups):
        with pipe.m.If(wide[8 * at + top : 8 * (at + 1) + top].any()):
            pipe.m.d.comb += group.eq(at)
    part, group = pipe.cut(
        part=select(group, [wide[8 * at :][:span] for at in range(groups)]), group=group
    )
    place = Signal(range(size), name=f"{pipe.name}place")
    for at in range(1, size):
        with pipe.m.If(part[step * at + top : step * (at + 1) + top].any()):
            pipe.m.d.comb += place.eq(at)
    window = select(place, [part[step * at :][:bits] for at in range(size)])
    window, exponent = pipe.cut(window=window, exponent=Cat(place, group))
    return window, exponent[: max(exponent_max.bit_length(), 1)]
