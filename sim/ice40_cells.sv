// Model of the multiplier of an iCE40 UltraPlus, for simulations of Verilog that instantiates it.
// Written after Lattice's FPGA-TN-02007 (DSP). What eieio does not use is left out: the adders, the
// operands C and D, products of 8 bits, and holding a register. A parameter or an input that asks
// for it stops the simulation.

module SB_MAC16 #(
  parameter [0:0] NEG_TRIGGER = 0, A_REG = 0, B_REG = 0, C_REG = 0, D_REG = 0,
  parameter [0:0] TOP_8x8_MULT_REG = 0, BOT_8x8_MULT_REG = 0,
  parameter [0:0] PIPELINE_16x16_MULT_REG1 = 0, PIPELINE_16x16_MULT_REG2 = 0,
  parameter [1:0] TOPOUTPUT_SELECT = 0, BOTOUTPUT_SELECT = 0,
  parameter [0:0] MODE_8x8 = 0, A_SIGNED = 0, B_SIGNED = 0
) (
  input CLK, CE, input [15:0] A, B, C, D,
  input AHOLD, BHOLD, CHOLD, DHOLD, IRSTTOP, IRSTBOT, ORSTTOP, ORSTBOT, OLOADTOP, OLOADBOT,
  input ADDSUBTOP, ADDSUBBOT, OHOLDTOP, OHOLDBOT, CI, ACCUMCI, SIGNEXTIN,
  output [31:0] O
);
  initial
    if (!A_REG || !B_REG || !TOP_8x8_MULT_REG || !BOT_8x8_MULT_REG || !PIPELINE_16x16_MULT_REG1
        || !PIPELINE_16x16_MULT_REG2 || TOPOUTPUT_SELECT != 3 || BOTOUTPUT_SELECT != 3
        || NEG_TRIGGER || C_REG || D_REG || MODE_8x8) begin
      $display("SB_MAC16: a parameter has a value without a model");
      $finish;
    end

  reg [15:0] a = 0, b = 0;
  reg [31:0] partial = 0, product = 0;
  wire signed [31:0] extended_a = {{16{A_SIGNED & a[15]}}, a};
  wire signed [31:0] extended_b = {{16{B_SIGNED & b[15]}}, b};
  assign O = product;

  always @(posedge CLK, posedge IRSTTOP)
    if (IRSTTOP) begin
      a <= 0;
      b <= 0;
      partial <= 0;
      product <= 0;
    end else if (CE) begin
      a <= A;
      b <= B;
      partial <= extended_a * extended_b;
      product <= partial;
      if (C != 0 || D != 0 || IRSTTOP != IRSTBOT || {AHOLD, BHOLD, CHOLD, DHOLD, ORSTTOP, ORSTBOT,
          OLOADTOP, OLOADBOT, ADDSUBTOP, ADDSUBBOT, OHOLDTOP, OHOLDBOT, CI, ACCUMCI, SIGNEXTIN} != 0)
      begin
        $display("SB_MAC16: an input has a value without a model");
        $finish;
      end
    end
endmodule
