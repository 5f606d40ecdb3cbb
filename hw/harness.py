"""What a unit stands in while it is placed and routed.

A unit has more ports than some packages have pads, and nextpnr's clock counts no path that begins
or ends at a pad. So every input of the unit comes from a register, and every output goes to one:
all paths into, through and out of the unit are paths between registers, as they are inside a
larger design. The input registers are one shift register with one pad; those of the outputs are
copied to another, which leaves through one pad. With n inputs and m outputs the harness is
n + 2 m flip-flops and m LUTs, which are told beside what is used.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from nnlut_train.errors import UsageError

__all__ = ["CLOCKS", "TOP", "Harness", "harness"]

#: Names that a unit's clock may have.
CLOCKS = ("aclk", "clk")
#: The harness' module.
TOP = "nnlut_harness"


class Harness(NamedTuple):
    """The harness of one unit.

    Parameters
    ----------
    verilog : str
        Its module, `TOP`, without the unit's.
    luts, flip_flops : int
        What it is made of.
    """

    verilog: str
    luts: int
    flip_flops: int


def harness(top: str, ports: Mapping[str, Mapping[str, Any]]) -> Harness:
    """Make the harness of a unit.

    Parameters
    ----------
    top : str
        The unit's module.
    ports : mapping
        From the name of a port to its ``direction`` and ``bits``, as Yosys' JSON has them.

    Raises
    ------
    UsageError
        The unit has not one clock of `CLOCKS`, or no output, or a port of both directions.
    """
    width = {name: len(port["bits"]) for name, port in ports.items()}
    inputs = [name for name, port in ports.items() if port["direction"] == "input"]
    outputs = [name for name, port in ports.items() if port["direction"] == "output"]
    clocks = [name for name in inputs if name in CLOCKS]
    if len(clocks) != 1 or not outputs or len(inputs) + len(outputs) < len(ports):
        raise UsageError(
            f"a design to place must have one clock, a port {' or '.join(CLOCKS)}, inputs and "
            f"outputs, not the ports {', '.join(ports)}"
        )
    (clock,) = clocks
    inputs.remove(clock)
    count = sum(width[name] for name in outputs)
    reg = "".join(f"  reg [{width[name] - 1}:0] {name};\n" for name in inputs)
    reg += "".join(
        f"  wire [{width[name] - 1}:0] {name};\n  reg [{width[name] - 1}:0] {name}_q;\n"
        for name in outputs
    )
    ins, outs = ", ".join(inputs), ", ".join(outputs)
    captured = ", ".join(f"{name}_q" for name in outputs)
    shifted = f"    {{{ins}}} <= {{{ins}, harness_in}};\n" if inputs else ""
    ties = ", ".join(f".{name}({name})" for name in (*inputs, *outputs))
    verilog = f"""\
module {TOP}(input {clock}, input harness_in, input harness_load, output harness_out);
{reg}  reg [{count - 1}:0] harness_shift;
  assign harness_out = harness_shift[{count - 1}];
  always @(posedge {clock}) begin
{shifted}    {{{captured}}} <= {{{outs}}};
    harness_shift <= harness_load ? {{{captured}}} : {{harness_shift, 1'b0}};
  end
  {top} unit(.{clock}({clock}), {ties});
endmodule
"""
    return Harness(verilog, count, sum(width[name] for name in inputs) + 2 * count)
