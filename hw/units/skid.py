"""A skid buffer: it ends the path of a stall at a register."""

from amaranth.hdl import Module, Mux, Signal, Value

__all__ = ["skid"]


def skid(m: Module, name: str, value: Value, there: Value, taken: Value) -> tuple[Value, ...]:
    """Put aside what the last stage of a pipeline holds when nobody takes it.

    The stage then moves as long as nothing is aside, which a register tells: whether something is
    taken decides about no more than that register. No latency; one more place.

    Parameters
    ----------
    m : Module
        Where the registers go.
    name : str
        Prefix of their names.
    value, there : Value
        What the stage holds, and whether it holds something.
    taken : Value
        What is offered is taken; without effect where nothing is.

    Returns
    -------
    value, there, moves : Value
        What is offered; whether something is; whether the stage moves.
    """
    moves = Signal(init=1, name=f"{name}_moves")
    aside = Signal(len(value), name=f"{name}_aside", reset_less=True)
    offered = Signal(name=f"{name}_offered")
    m.d.comb += offered.eq(there | ~moves)
    m.d.sync += moves.eq(~offered | taken)
    with m.If(moves):
        m.d.sync += aside.eq(value)
    return Mux(moves, value, aside), offered, moves
