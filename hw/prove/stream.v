// The stream contract as properties, for any unit with AXI4-Stream ports: bind each to the wires of
// a stream. They are written by hand, and know nothing of how a unit is made. All are synchronous
// to `clk`; `resetn` is the synchronous reset, active low. `hw.prove.stream_bench` connects them.

// Valid and payload stay as they are while the receiver is not ready. With ASSUMED, it is what a
// sender promises, and else what is to be proved of one.
module stream_held #(parameter WIDTH = 1, parameter ASSUMED = 0) (
  input clk, input resetn, input valid, input ready, input [WIDTH-1:0] payload
);
  reg stalled = 0;
  reg [WIDTH-1:0] before;
  always @(posedge clk) begin
    stalled <= resetn && valid && !ready;
    before <= payload;
  end
  generate
    if (ASSUMED) begin
      always @* if (stalled) assume(valid && payload == before);
    end else begin
      always @* if (stalled) begin
        valid_held: assert(valid);
        payload_held: assert(payload == before);
      end
    end
  endgenerate
endmodule

// What enters leaves once, in its order: of any one beat, which the solver picks, the tag is that
// of the beat which leaves in its place. Nothing leaves that did not enter, and no more than
// CAPACITY beats are inside.
module stream_order #(parameter WIDTH = 1, parameter BITS = 8, parameter CAPACITY = 1) (
  input clk, input resetn,
  input i_valid, input i_ready, input [WIDTH-1:0] i_tag,
  input o_valid, input o_ready, input [WIDTH-1:0] o_tag,
  output reg [BITS-1:0] held
);
  wire enters = i_valid && i_ready, leaves = o_valid && o_ready;
  (* anyseq *) reg pick;
  reg started = 0, watching = 0;
  reg [BITS-1:0] ahead;
  reg [WIDTH-1:0] tag;
  initial held = 0;
  always @(posedge clk) begin
    if (!resetn) begin
      started <= 1;
      watching <= 0;
      held <= 0;
    end else begin
      held <= held + enters - leaves;
      if (!watching) begin
        watching <= enters && pick;
        ahead <= held - leaves;
        tag <= i_tag;
      end else if (leaves) begin
        watching <= ahead != 0;
        ahead <= ahead - 1;
      end
    end
  end
  always @* if (started) begin
    none_invented: assert(!o_valid || held != 0);
    within_capacity: assert(held <= CAPACITY);
    in_order: assert(!(watching && ahead == 0 && o_valid) || o_tag == tag);
  end
endmodule

// How many rows have entered with their last beat, and not left with it.
module stream_rows #(parameter BITS = 8) (
  input clk, input resetn, input enters, input i_last, input leaves, input o_last,
  output reg [BITS-1:0] held
);
  initial held = 0;
  always @(posedge clk)
    if (!resetn) held <= 0;
    else held <= held + (enters && i_last) - (leaves && o_last);
endmodule

// Rows are cut at BEATS beats: `last` ends a row by its sender's will, or by that.
module stream_cut #(parameter BITS = 8, parameter BEATS = 1) (
  input clk, input resetn, input enters, input tlast, output last
);
  reg [BITS-1:0] position = 0;
  assign last = tlast || position == BEATS - 1;
  always @(posedge clk)
    if (!resetn) position <= 0;
    else if (enters) position <= last ? 0 : position + 1;
endmodule

// What waits does so for less than BOUND clocks in a row: `waits` is then low at least once.
module stream_progress #(parameter BITS = 8, parameter BOUND = 1) (
  input clk, input resetn, input waits
);
  reg [BITS-1:0] clocks = 0;
  always @(posedge clk)
    if (!resetn || !waits) clocks <= 0;
    else clocks <= clocks + 1;
  always @* in_time: assert(clocks < BOUND);
endmodule

// AXI4-Lite: each request has one response, offered within BOUND clocks; at most one write and one
// read are at work at a time. What is held while it is not taken is `stream_held`.
module lite_responses #(parameter BOUND = 1) (
  input clk, input resetn,
  input aw, input w, input b_valid, input b_ready, input ar, input r_valid, input r_ready
);
  // Inputs `aw`, `w`, `ar`: the channel's beat is accepted in this clock.
  reg started = 0;
  reg [1:0] addressed = 0, written = 0, reading = 0;
  wire b = b_valid && b_ready, r = r_valid && r_ready;
  always @(posedge clk)
    if (!resetn) begin
      started <= 1;
      addressed <= 0;
      written <= 0;
      reading <= 0;
    end else begin
      addressed <= addressed + aw - b;
      written <= written + w - b;
      reading <= reading + ar - r;
    end
  stream_progress #(.BITS(4), .BOUND(BOUND)) write_answered (
    .clk(clk), .resetn(resetn), .waits(addressed != 0 && written != 0 && !b_valid));
  stream_progress #(.BITS(4), .BOUND(BOUND)) read_answered (
    .clk(clk), .resetn(resetn), .waits(reading != 0 && !r_valid));
  always @* if (started) begin
    write_requested: assert(!b_valid || (addressed != 0 && written != 0));
    read_requested: assert(!r_valid || reading != 0);
    one_write: assert(addressed <= 1 && written <= 1);
    one_read: assert(reading <= 1);
  end
endmodule
