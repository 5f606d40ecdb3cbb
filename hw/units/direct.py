"""Direct table: a ROM with one output code for every input code."""

from amaranth.hdl import Value
from amaranth.lib.memory import Memory, MemoryData

from sim.golden import DirectSpec

from ..fixed import shape_of
from ..pipeline import Pipe
from .unary import Unary, stages

__all__ = ["Direct"]


class Direct(Unary):
    """A unary function as a ROM; latency 1, throughput 1 beat a clock.

    The read port is synchronous, so that FPGAs may take block RAM; without block RAM, and in an
    ASIC, synthesis minimises the table as logic. Parameters and members: `Unary`.
    """


@stages.register
def _(spec: DirectSpec, pipe: Pipe, code: Value) -> Value:
    """Add the ROM to `pipe` and return its output."""
    shape = shape_of(spec.output)
    values = spec.table.values
    # A signed address counts in two's complement: the negative half comes second.
    half = -spec.input.min
    content = MemoryData(shape=shape, depth=len(values), init=values[half:] + values[:half])
    rom = Memory(content)
    # Named by its stage: one pipeline may hold several tables.
    pipe.m.submodules[f"{pipe.name}rom{pipe.stage}"] = rom
    port = rom.read_port()
    pipe.m.d.comb += [port.addr.eq(code), port.en.eq(pipe.advance)]
    pipe.step()  # the port's own register
    return port.data
