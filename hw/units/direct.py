"""Direct table: a ROM with one value for every input code, or for every magnitude."""

from amaranth.hdl import Value
from amaranth.lib.memory import Memory, MemoryData

from sim.golden import DirectSpec

from ..fixed import round_shift, saturate, shape_of
from ..pipeline import Pipe
from .fold import magnitude, rest, unfold
from .unary import Unary, stages

__all__ = ["Direct"]


class Direct(Unary):
    """A unary function as a ROM; latency 1, if folded 2, throughput 1 beat a clock.

    The read port is synchronous, so that FPGAs may take block RAM; without block RAM, and in an
    ASIC, synthesis minimises the table as logic. A folded table has the magnitude before the port,
    and a stage behind it: unfolding, rounding and saturation. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: DirectSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    table, fold = spec.table, spec.table.fold
    shape = shape_of(table.value)
    values = table.values
    # A signed address counts in two's complement: the negative half comes second.
    half = -table.argument.min
    content = MemoryData(shape=shape, depth=len(values), init=values[half:] + values[:half])
    rom = Memory(content)
    # Named by its stage: one pipeline may hold several tables.
    pipe.m.submodules[f"{pipe.name}rom{pipe.stage}"] = rom
    port = rom.read_port()
    pipe.m.d.comb += [port.addr.eq(magnitude(code, fold)), port.en.eq(pipe.advance)]
    left, start = rest(code, fold), pipe.stage
    pipe.step()  # the port's own register
    if fold is None:
        return port.data
    left, frac = pipe.align(left, start, "rest"), table.value.frac
    total = unfold(left, port.data, fold, frac, frac - table.input.frac)
    (result,) = pipe.cut(result=saturate(round_shift(total, table.shift), table.output))
    return result
