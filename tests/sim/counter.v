// What the tests of the runner simulate: a counter, and a memory without initial contents.
module counter #(parameter STEP = 1) (
    input clk,
    input rst,
    output reg [7:0] count,
    output [31:0] word
);
  reg [31:0] entries [0:255];
  assign word = entries[count];
  always @(posedge clk)
    if (rst) count <= 0;
    else count <= count + STEP;
endmodule
