"""Planted faults of streams: each must be refuted, or the proofs of `hw.prove.stream` say nothing.

A fault is a shell of the unit's own name around it, which breaks one rule of the contract; so it
can be planted into every kind of unit.
"""

import dataclasses
import re
from typing import NamedTuple

from ..axi import ports
from .results import Task

__all__ = ["FAULTS", "faulty"]


class _Fault(NamedTuple):
    """What a shell does, in Verilog, and the assertion or the path that shows it.

    In the text, ``i_`` and ``o_`` are the unit's own valid and ready, ``o_data`` and ``o_last`` its
    results; what is not driven goes through.
    """

    text: str
    shown_by: str


#: What can be planted, by name.
FAULTS: dict[str, _Fault] = {
    "valid is dropped in a stall": _Fault(
        """assign m_axis_tvalid = o_valid && !stalled;
  assign o_ready = m_axis_tready && !stalled;""", r"valid_held"),
    "payload changes in a stall": _Fault(
        "assign m_axis_tdata = o_data ^ stalled;", r"payload_held"),
    "valid is gated by ready": _Fault(
        "assign m_axis_tvalid = o_valid && m_axis_tready;",
        r"m_axis_tvalid depends on m_axis_tready"),
    "valid comes after ready": _Fault(
        """reg seen = 0;
  always @(posedge aclk) seen <= aresetn && !(m_axis_tvalid && m_axis_tready)
    && (seen || (m_axis_tready && o_valid));
  assign m_axis_tvalid = o_valid && seen;
  assign o_ready = m_axis_tready && seen;""", r"answer\.in_time|nears\.nearer"),
    "a beat is doubled": _Fault(
        """reg again = 0;
  always @(posedge aclk) again <= aresetn && (again ^ (m_axis_tvalid && m_axis_tready));
  assign o_ready = m_axis_tready && again;""", r"order\.|slots\."),
    "a beat is lost": _Fault(
        """assign s_axis_tready = i_ready || count == 2;
  assign i_valid = s_axis_tvalid && count != 2;""", r"order\.|slots\.|counts\."),
    "tlast is lost": _Fault(
        """reg [1:0] left = 0;
  always @(posedge aclk) left <= aresetn ? left + (m_axis_tvalid && m_axis_tready) : 0;
  assign m_axis_tlast = o_last && left != 2;""", r"order\.|slots\."),
    "beats change places": _Fault(
        """reg full = 0, first;
  always @(posedge aclk) begin
    if (!aresetn) full <= 0;
    else if (o_valid && o_ready) full <= 1;
    if (o_valid && o_ready) first <= o_last;
  end
  assign o_ready = m_axis_tready || !full;
  assign m_axis_tvalid = full && o_valid;
  reg swapped = 0;
  always @(posedge aclk) swapped <= aresetn && (swapped ^ (m_axis_tvalid && m_axis_tready));
  assign m_axis_tlast = swapped ? first : o_last;""", r"order\.|slots\."),
}  # fmt: skip
#: What a shell may drive, and what it is otherwise.
_THROUGH = {
    "i_valid": "s_axis_tvalid", "s_axis_tready": "i_ready", "m_axis_tvalid": "o_valid",
    "o_ready": "m_axis_tready", "m_axis_tdata": "o_data", "m_axis_tlast": "o_last",
}  # fmt: skip
_INNER = {
    "s_axis_tvalid": "i_valid", "s_axis_tready": "i_ready", "m_axis_tvalid": "o_valid",
    "m_axis_tready": "o_ready", "m_axis_tdata": "o_data", "m_axis_tlast": "o_last",
}  # fmt: skip


def faulty(task: Task, name: str) -> Task:
    """Return the unit with one of `FAULTS`."""
    fault, found = FAULTS[name].text, ports(task.spec)
    widths = {port.name: port.width for port in found}
    declared = ", ".join(f"{port.direction} [{port.width - 1}:0] {port.name}" for port in found)
    pins = ", ".join(f".{port.name}({_INNER.get(port.name, port.name)})" for port in found)
    driven = set(re.findall(r"assign (\w+) =", fault))
    through = "".join(f"  assign {target} = {source};\n" for target, source in _THROUGH.items()
                      if target not in driven)  # fmt: skip
    shell = f"""
module {task.top}({declared});
  wire i_valid, i_ready, o_valid, o_ready, o_last;
  wire [{widths["m_axis_tdata"] - 1}:0] o_data;
  reg stalled = 0;
  reg [1:0] count = 0;
  always @(posedge aclk) begin
    stalled <= aresetn && m_axis_tvalid && !m_axis_tready;
    count <= aresetn ? count + (s_axis_tvalid && s_axis_tready) : 0;
  end
{through}  {fault}
  {task.top}_inner inner ({pins});
endmodule
"""
    inner = re.sub(rf"\bmodule {task.top}(?=\()", f"module {task.top}_inner", task.verilog)
    return dataclasses.replace(task, verilog=inner + shell)
