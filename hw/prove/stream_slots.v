// Where beats are inside a unit of rows: what makes the order of `stream_order` inductive. Places
// are in a chain, from the output on: each is told how many beats are `before` it, and tells how
// many are before the next. The beat that is watched is where as many are before as are `ahead`;
// a place is `wrong` if it has that beat, and another tag. All this is asserted, not assumed.

// A register of a pipeline.
module stage_slot #(parameter WIDTH = 1, parameter BITS = 8) (
  input valid, input [WIDTH-1:0] held,
  input [BITS-1:0] before, input [BITS-1:0] ahead, input [WIDTH-1:0] tag,
  output [BITS-1:0] after, output wrong
);
  assign after = before + valid;
  assign wrong = valid && before == ahead && held != tag;
endmodule

// A queue of DEPTH words in a memory, and its pointers.
module queue_slots #(
  parameter DEPTH = 1, parameter SIZE = 1, parameter WIDTH = 1, parameter BITS = 8
) (
  input started, input [SIZE-1:0] level, input [SIZE-1:0] consume, input [SIZE-1:0] produce,
  input filled, input free, input [DEPTH*WIDTH-1:0] words,
  input [BITS-1:0] before, input [BITS-1:0] ahead, input [WIDTH-1:0] tag,
  output [BITS-1:0] after, output wrong
);
  wire [SIZE:0] next = consume + level;
  always @* if (started) begin
    in_range: assert(consume < DEPTH && produce < DEPTH && level <= DEPTH);
    flags: assert(filled == (level != 0) && free == (level != DEPTH));
    level_of_pointers: assert(produce == (next < DEPTH ? next : next - DEPTH));
  end
  // Where the watched beat is, if it is here.
  wire [BITS-1:0] behind = ahead - before;
  wire here = behind < level;
  wire [SIZE:0] place = consume + behind;
  wire [SIZE-1:0] at = place < DEPTH ? place : place - DEPTH;
  wire [DEPTH-1:0] differs;
  genvar word;
  generate
    for (word = 0; word < DEPTH; word = word + 1)
      assign differs[word] = here && at == word && words[word*WIDTH +: WIDTH] != tag;
  endgenerate
  assign after = before + level;
  assign wrong = differs != 0;
endmodule

// All COUNT places: as many are taken as beats are inside.
module stream_slots #(parameter COUNT = 1, parameter BITS = 8) (
  input started, input [BITS-1:0] held, input [BITS-1:0] counted,
  input watching, input [BITS-1:0] ahead, input [COUNT-1:0] wrong
);
  always @* if (started) begin
    all_counted: assert(held == counted);
    watched_inside: assert(!watching || ahead < held);
    watched_in_place: assert(!watching || wrong == 0);
  end
endmodule

// A counter of the unit is one of the bench.
module slots_agree #(parameter WIDTH = 1) (
  input started, input [WIDTH-1:0] a, input [WIDTH-1:0] b
);
  always @* if (started) same: assert(a == b);
endmodule

// In a pipeline that waits, the oldest beat is nearer to the output by a stage a clock. Bit 0 of
// `valid` is the last stage.
module stream_nears #(parameter COUNT = 1, parameter BITS = 8) (
  input [COUNT-1:0] valid, input [BITS-1:0] clocks
);
  wire [COUNT-1:0] near = {COUNT{1'b1}} >> clocks;
  always @* nearer: assert(clocks == 0 || (valid & near) != 0);
endmodule
