"""Restoring division, as stages of a pipeline."""

from amaranth.hdl import Cat, Const, Mux, Value

from ..fixed import fits
from ..pipeline import Pipe

__all__ = ["divide"]


def divide(
    pipe: Pipe, dividend: Value, divisor: Value, bits: int, per_stage: int, name: str
) -> Value:
    """Add the stages of ``floor(dividend / divisor)`` to `pipe` and return the quotient.

    Latency ``ceil(bits / per_stage)`` clocks, throughput one division a clock. A stage makes
    `per_stage` bits of the quotient, from the highest: it brings one bit of the dividend down to
    the remainder, compares, and subtracts.

    Parameters
    ----------
    pipe : Pipe
        Gets the stages.
    dividend, divisor : Value
        Unsigned. The bits of a constant dividend take no registers.
    bits : int
        Bits of the quotient. It must fit them; what the hardware gives for a divisor for which it
        does not, or for 0, is not specified, but for 0 / 0: all ones.
    per_stage : int
        Bits of the quotient that one stage makes, at least 1.
    name : str
        Prefix of the registers' names.

    Returns
    -------
    Value
        Unsigned, `bits` bits.
    """
    width = len(divisor)
    fixed = dividend.value if isinstance(dividend, Const) else None
    low = min(bits, len(dividend))
    # What is above the quotient's bits is less than the divisor, or the quotient would not fit.
    remainder = fits(pipe.m, dividend >> bits, width, f"{name}_above", where=divisor != 0)
    rest = dividend[:low]
    quotient: Value = Const(0, 0)
    for top in range(bits, 0, -per_stage):
        for at in reversed(range(max(top - per_stage, 0), top)):
            if fixed is not None:
                bit: Value = Const(fixed >> at & 1, 1)
            else:
                bit = rest[at] if at < low else Const(0, 1)
            longer = Cat(bit, remainder)
            reached = longer >= divisor
            remainder = fits(
                pipe.m, Mux(reached, longer - divisor, longer), width, f"{name}_rest{at}",
                where=divisor != 0,
            )  # fmt: skip
            quotient = Cat(reached, quotient)
        left = max(top - per_stage, 0)
        values = {f"{name}_remainder": remainder, f"{name}_quotient": quotient}
        if left:
            values[f"{name}_divisor"] = divisor
            if fixed is None:
                values[f"{name}_rest"] = rest[: min(left, low)]
        kept = pipe.cut(**values)
        remainder, quotient = kept[0], kept[1]
        if left:
            divisor = kept[2]
            rest = kept[3] if fixed is None else rest
            low = min(left, low)
    return quotient
