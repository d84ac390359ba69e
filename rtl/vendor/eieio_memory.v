// Memory with one write port, and one read port whose output is a register: the behaviour that a
// foundry's macro must have. Replace the body by macros of the library, chosen by the parameters.
//
// A design of eieio's family "asic" has all its memories in instances of this module, but for those
// that are read without a clock, which are arrays of registers in the modules that have them.
module eieio_memory #(
    parameter WIDTH = 8,    // bits of a word
    parameter DEPTH = 16,   // words
    parameter ADDRESS = 4,  // bits of an address
    parameter PARTS = 1,    // equal parts of a word, each with a write enable of its own
    parameter OLD = 0       // 1: reading a word while it is written gives what it was; 0: anything
) (
    input wire clk,                     // clock of both ports
    input wire [PARTS-1:0] write_en,    // write these parts
    input wire [ADDRESS-1:0] write_addr,
    input wire [WIDTH-1:0] write_data,
    input wire read_en,                 // read; 0: read_data stays what it is
    input wire [ADDRESS-1:0] read_addr,
    output reg [WIDTH-1:0] read_data    // the word, from the cycle after read_en on
);
  localparam PART = WIDTH / PARTS;
  reg [WIDTH-1:0] words [0:DEPTH-1];
  integer part;

  always @(posedge clk) begin
    for (part = 0; part < PARTS; part = part + 1)
      if (write_en[part])
        words[write_addr][part*PART +: PART] <= write_data[part*PART +: PART];
    if (read_en)
      read_data <= (OLD == 0 && |write_en && write_addr == read_addr) ? {WIDTH{1'bx}}
                                                                      : words[read_addr];
  end
endmodule
