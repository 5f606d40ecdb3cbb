"""A plain Verilog testbench for a unit's AXI4-Stream pins, written for its ports and vectors."""

from collections.abc import Mapping

__all__ = ["WINDOW", "testbench"]

#: Activity is counted in the steady state if that takes so many units of time: 256 clocks.
WINDOW = 2560

_BENCH = """\
`timescale 1ns/1ns
module bench;
  reg clock = 1'b0, resetn = 1'b0, s_valid = 1'b0, m_ready = 1'b0;
  reg [{in_high}:0] given [0:{in_last}];
  reg [{out_high}:0] wanted [0:{out_last}];
  reg [{in_high}:0] beat = 0;
  reg [{out_high}:0] want, mask;
  wire [{out_high}:0] result;
  wire s_ready, m_valid;
  integer sent = 0, got = 0, clocks = 0, idle = 0, stall = 0, seed = 1, lane = 0;
  reg taken;
  {top} dut (
{ports}
  );
  always #5 clock = ~clock;
  initial begin
    $readmemh("input.hex", given);
    $readmemh("output.hex", wanted);
    if (!$value$plusargs("stall=%d", stall)) stall = 0;
    repeat (4) @(posedge clock);
    resetn <= 1'b1;
  end
  function stalled(input integer unused);
    stalled = stall != 0 && $unsigned($random(seed)) % 100 < stall;
  endfunction
  always @(posedge clock) if (resetn) begin
    clocks = clocks + 1;
    idle = idle + 1;
    taken = s_valid & s_ready;
    if ((s_ready ^ s_ready) !== 1'b0 || (m_valid ^ m_valid) !== 1'b0) begin
      $display("WRONG tready or tvalid is unknown in clock %0d", clocks);
      $finish;
    end
    if (taken) begin
      if (sent == 0) begin
        $display("TIME accepted %0d", $time);
        if ($test$plusargs("dump")) begin
          $dumpfile("gates.vcd");
          $dumpvars(1, bench.dut);
        end
      end
      sent = sent + 1;
      idle = 0;
      if (sent == {inputs}) $display("TIME sent %0d", $time);
    end
    if (taken || !s_valid) begin
      s_valid <= sent < {inputs} && !stalled(0);
      if (sent < {inputs}) beat <= given[sent];
    end
    if (m_valid && m_ready) begin
      if (got == 0) $display("TIME result %0d", $time);
      if (got == {outputs}) begin
        $display("WRONG it gives more than the {outputs} beats that it must");
        $finish;
      end
      want = wanted[got];
      mask = {{{out_bits}{{1'b1}}}};
{masking}
      if ((result & mask) !== (want & mask)) begin
        $display("WRONG beat %0d must be %h, not %h", got, want & mask, result & mask);
        $finish;
      end
      got = got + 1;
      idle = 0;
      if (got == {outputs}) $display("TIME done %0d", $time);
    end
    m_ready <= !stalled(0);
    if (got == {outputs} && sent == {inputs} && idle == {settle}) begin
      $display("RESULT equal sent %0d got %0d clocks %0d", sent, got, clocks);
      $finish;
    end
    if (idle == {patience}) begin
      $display("WRONG it stopped after %0d of {inputs} beats in, %0d of {outputs} out", sent, got);
      $finish;
    end
  end
endmodule
"""
#: Clocks after the last beat in which there must be no further one.
SETTLE = 100
#: Clocks without a beat after which the unit is taken to be stuck; the slowest unit is far below.
PATIENCE = 100_000


def testbench(
    ports: Mapping[str, tuple[str, int]], top: str, beats: tuple[int, int]
) -> str:  # fmt: skip
    """Return a testbench that reads ``input.hex`` and ``output.hex``.

    It drives the stream's pins, keeps other inputs (AXI4-Lite) at 0, and compares each beat that
    leaves: data of lanes with an element, ``tkeep``, ``tlast``. With ``+stall=P`` each side stalls
    in P of 100 clocks; with ``+dump`` it writes ``gates.vcd``. A line ``RESULT equal`` ends it if
    all was right, ``WRONG`` and what else; ``TIME`` lines tell when beats went.

    Parameters
    ----------
    ports : mapping
        Name of each port to direction and width.
    top : str
        The module.
    beats : tuple of int
        How many beats enter, and leave.
    """
    fields = {"s": ["tdata", "tkeep", "tuser", "tlast"], "m": ["tdata", "tkeep", "tlast"]}
    ends: dict[str, int] = {}
    slices: dict[str, str] = {}
    for side, order in fields.items():
        low = 0
        for field in order:
            name = f"{side}_axis_{field}"
            if name in ports:
                width = ports[name][1]
                vector = "beat" if side == "s" else "result"
                slices[name] = f"{vector}[{low + width - 1}:{low}]"
                low += width
        ends[side] = low
    fixed = {
        "aclk": "clock", "aresetn": "resetn", "s_axis_tvalid": "s_valid",
        "s_axis_tready": "s_ready", "m_axis_tvalid": "m_valid", "m_axis_tready": "m_ready",
    }  # fmt: skip
    pins = []
    for name, (direction, width) in ports.items():
        other = f"{width}'b0" if direction == "input" else ""
        pins.append(f"    .{name}({fixed.get(name, slices.get(name, other))})")
    masking = []
    if "m_axis_tkeep" in ports:
        data = ports["m_axis_tdata"][1]
        masking = [f"      for (lane = 0; lane < {data // 8}; lane = lane + 1)",
                   f"        if (!want[{data} + lane]) mask[8 * lane +: 8] = 8'b0;"]  # fmt: skip
    return _BENCH.format(
        top=top, ports=",\n".join(pins), masking="\n".join(masking),
        in_high=ends["s"] - 1, out_high=ends["m"] - 1, out_bits=ends["m"],
        in_last=beats[0] - 1, out_last=beats[1] - 1, inputs=beats[0], outputs=beats[1],
        settle=SETTLE, patience=PATIENCE,
    )  # fmt: skip
