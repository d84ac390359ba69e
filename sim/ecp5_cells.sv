// Models of the ECP5's flip-flop, multiplier and block RAM, for simulations of Verilog that instantiates them.
// Written after Lattice's FPGA-TN-02205 (sysDSP) and FPGA-TN-02204 (memory). What eieio and Yosys
// do not use is left out: cascades, the operand C, asynchronous resets, chip selects, and inverted
// clocks. A parameter that asks for it stops the simulation.

module TRELLIS_FF #(
  parameter GSR = "ENABLED", CEMUX = "1", CLKMUX = "CLK", LSRMUX = "LSR", REGSET = "RESET",
  parameter SRMODE = "LSR_OVER_CE"
) (input CLK, LSR, CE, DI, M, output reg Q);
  initial
    if (CEMUX != "1" || CLKMUX != "CLK" || LSRMUX != "LSR" || SRMODE != "LSR_OVER_CE") begin
      $display("TRELLIS_FF: a parameter has a value without a model");
      $finish;
    end
  initial Q = REGSET == "SET";
  always @(posedge CLK) Q <= LSR ? REGSET == "SET" : DI;
endmodule

module ecp5_dsp_register #(parameter WIDTH = 18, CLK = "NONE", CE = "CE0", RST = "RST0") (
  input [3:0] clks, input [3:0] ces, input [3:0] rsts, input [WIDTH-1:0] d, output [WIDTH-1:0] q
);
  generate
    if (CLK == "NONE") begin : transparent
      assign q = d;
    end else begin : registered
      localparam CLOCK = CLK == "CLK0" ? 0 : CLK == "CLK1" ? 1 : CLK == "CLK2" ? 2 : 3;
      localparam ENABLE = CE == "CE0" ? 0 : CE == "CE1" ? 1 : CE == "CE2" ? 2 : 3;
      localparam RESET = RST == "RST0" ? 0 : RST == "RST1" ? 1 : RST == "RST2" ? 2 : 3;
      reg [WIDTH-1:0] state = 0;
      always @(posedge clks[CLOCK])
        if (rsts[RESET]) state <= 0;
        else if (ces[ENABLE]) state <= d;
      assign q = state;
    end
  endgenerate
endmodule

module MULT18X18D #(
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTA_CE = "CE0", REG_INPUTA_RST = "RST0",
  parameter REG_INPUTB_CLK = "NONE", REG_INPUTB_CE = "CE0", REG_INPUTB_RST = "RST0",
  parameter REG_INPUTC_CLK = "NONE", REG_INPUTC_CE = "CE0", REG_INPUTC_RST = "RST0",
  parameter REG_PIPELINE_CLK = "NONE", REG_PIPELINE_CE = "CE0", REG_PIPELINE_RST = "RST0",
  parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0",
  parameter CLK0_DIV = "ENABLED", CLK1_DIV = "ENABLED", CLK2_DIV = "ENABLED", CLK3_DIV = "ENABLED",
  parameter HIGHSPEED_CLK = "NONE", GSR = "ENABLED", CAS_MATCH_REG = "FALSE",
  parameter SOURCEB_MODE = "B_SHIFT", MULT_BYPASS = "DISABLED", RESETMODE = "SYNC"
) (
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
  input CLK3, CLK2, CLK1, CLK0, CE3, CE2, CE1, CE0, RST3, RST2, RST1, RST0,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  wire [3:0] clks = {CLK3, CLK2, CLK1, CLK0};
  wire [3:0] ces = {CE3, CE2, CE1, CE0};
  wire [3:0] rsts = {RST3, RST2, RST1, RST0};
  wire [17:0] a, b;
  wire [35:0] product, late, p;

  initial
    if (MULT_BYPASS != "DISABLED" || RESETMODE != "SYNC") begin
      $display("MULT18X18D: a parameter has a value without a model");
      $finish;
    end

  ecp5_dsp_register #(18, REG_INPUTA_CLK, REG_INPUTA_CE, REG_INPUTA_RST) register_a (
    clks, ces, rsts,
    {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0}, a);
  ecp5_dsp_register #(18, REG_INPUTB_CLK, REG_INPUTB_CE, REG_INPUTB_RST) register_b (
    clks, ces, rsts,
    {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0}, b);
  wire signed [35:0] extended_a = {{18{SIGNEDA & a[17]}}, a};
  wire signed [35:0] extended_b = {{18{SIGNEDB & b[17]}}, b};
  assign product = extended_a * extended_b;
  ecp5_dsp_register #(36, REG_PIPELINE_CLK, REG_PIPELINE_CE, REG_PIPELINE_RST) register_pipeline (
    clks, ces, rsts, product, late);
  ecp5_dsp_register #(36, REG_OUTPUT_CLK, REG_OUTPUT_CE, REG_OUTPUT_RST) register_output (
    clks, ces, rsts, late, p);
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = p;
endmodule

module ecp5_ram #(
  parameter WIDTH_A = 18, WIDTH_B = 18, OLD_A = 0, OLD_B = 0, parameter [20479:0] INITVAL = 0
) (
  input clka, input ena, input wea, input [13:0] ada, input [35:0] dia, output reg [35:0] doa,
  input clkb, input enb, input web, input [13:0] adb, input [35:0] dib, output reg [35:0] dob
);
  // Words of 18 bits. A wider one is two of them; a narrower one is in the lower bits of a half, of
  // which it leaves the ninth spare. Only with OLD_A or OLD_B does a port read, what was there
  // before, while it writes. What port B reads while port A writes there is undefined: it is wrong.
  reg [17:0] words [0:1023];
  integer word;
  initial begin
    for (word = 0; word < 1024; word = word + 1) words[word] = INITVAL[word * 20 +: 18];
    doa = 0;
    dob = 0;
  end

  function [4:0] first(input integer width, input [13:0] address);
    begin
      first = address[3] ? 5'd9 : 5'd0;
      if (width == 4) first = first + {2'b0, address[2], 2'b0};
      if (width == 2) first = first + {2'b0, address[2:1], 1'b0};
      if (width == 1) first = first + {2'b0, address[2:0]};
    end
  endfunction

  localparam WIDTH = WIDTH_A > WIDTH_B ? WIDTH_A : WIDTH_B;
  localparam SHIFT = WIDTH == 36 ? 5 : WIDTH == 18 ? 4 : WIDTH == 9 ? 3 : WIDTH == 4 ? 2
    : WIDTH == 2 ? 1 : 0;
  wire collision = ena && wea && (ada >> SHIFT) == (adb >> SHIFT);
  wire [35:0] wrong = {36{collision}};
  wire read_a = ena && (!wea || OLD_A);
  wire read_b = enb && (!web || OLD_B);

  generate
    if (WIDTH_A == 36) begin : wide_a
      always @(posedge clka) begin
        if (read_a) doa <= {words[{ada[13:5], 1'b1}], words[{ada[13:5], 1'b0}]};
        if (ena && wea && ada[0]) words[{ada[13:5], 1'b0}][8:0] <= dia[8:0];
        if (ena && wea && ada[1]) words[{ada[13:5], 1'b0}][17:9] <= dia[17:9];
        if (ena && wea && ada[2]) words[{ada[13:5], 1'b1}][8:0] <= dia[26:18];
        if (ena && wea && ada[3]) words[{ada[13:5], 1'b1}][17:9] <= dia[35:27];
      end
    end else if (WIDTH_A == 18) begin : whole_a
      always @(posedge clka) begin
        if (read_a) doa <= {18'b0, words[ada[13:4]]};
        if (ena && wea && ada[0]) words[ada[13:4]][8:0] <= dia[8:0];
        if (ena && wea && ada[1]) words[ada[13:4]][17:9] <= dia[17:9];
      end
    end else begin : narrow_a
      always @(posedge clka) begin
        if (read_a) doa <= {{36 - WIDTH_A{1'b0}}, words[ada[13:4]][first(WIDTH_A, ada) +: WIDTH_A]};
        if (ena && wea) words[ada[13:4]][first(WIDTH_A, ada) +: WIDTH_A] <= dia[WIDTH_A-1:0];
      end
    end

    if (WIDTH_B == 36) begin : wide_b
      always @(posedge clkb)
        if (read_b) dob <= {words[{adb[13:5], 1'b1}], words[{adb[13:5], 1'b0}]} ^ wrong;
    end else if (WIDTH_B == 18) begin : whole_b
      always @(posedge clkb) begin
        if (read_b) dob <= {18'b0, words[adb[13:4]]} ^ wrong;
        if (enb && web && adb[0]) words[adb[13:4]][8:0] <= dib[8:0];
        if (enb && web && adb[1]) words[adb[13:4]][17:9] <= dib[17:9];
      end
    end else begin : narrow_b
      always @(posedge clkb) begin
        if (read_b)
          dob <= {{36 - WIDTH_B{1'b0}}, words[adb[13:4]][first(WIDTH_B, adb) +: WIDTH_B]} ^ wrong;
        if (enb && web) words[adb[13:4]][first(WIDTH_B, adb) +: WIDTH_B] <= dib[WIDTH_B-1:0];
      end
    end
  endgenerate
endmodule

module DP16KD #(
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG",
  parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC",
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000",
  parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL",
  parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB", GSR = "ENABLED", INIT_DATA = "STATIC",
  parameter [319:0]
  INITVAL_00 = 320'b0, INITVAL_01 = 320'b0, INITVAL_02 = 320'b0, INITVAL_03 = 320'b0,
  INITVAL_04 = 320'b0, INITVAL_05 = 320'b0, INITVAL_06 = 320'b0, INITVAL_07 = 320'b0,
  INITVAL_08 = 320'b0, INITVAL_09 = 320'b0, INITVAL_0A = 320'b0, INITVAL_0B = 320'b0,
  INITVAL_0C = 320'b0, INITVAL_0D = 320'b0, INITVAL_0E = 320'b0, INITVAL_0F = 320'b0,
  INITVAL_10 = 320'b0, INITVAL_11 = 320'b0, INITVAL_12 = 320'b0, INITVAL_13 = 320'b0,
  INITVAL_14 = 320'b0, INITVAL_15 = 320'b0, INITVAL_16 = 320'b0, INITVAL_17 = 320'b0,
  INITVAL_18 = 320'b0, INITVAL_19 = 320'b0, INITVAL_1A = 320'b0, INITVAL_1B = 320'b0,
  INITVAL_1C = 320'b0, INITVAL_1D = 320'b0, INITVAL_1E = 320'b0, INITVAL_1F = 320'b0,
  INITVAL_20 = 320'b0, INITVAL_21 = 320'b0, INITVAL_22 = 320'b0, INITVAL_23 = 320'b0,
  INITVAL_24 = 320'b0, INITVAL_25 = 320'b0, INITVAL_26 = 320'b0, INITVAL_27 = 320'b0,
  INITVAL_28 = 320'b0, INITVAL_29 = 320'b0, INITVAL_2A = 320'b0, INITVAL_2B = 320'b0,
  INITVAL_2C = 320'b0, INITVAL_2D = 320'b0, INITVAL_2E = 320'b0, INITVAL_2F = 320'b0,
  INITVAL_30 = 320'b0, INITVAL_31 = 320'b0, INITVAL_32 = 320'b0, INITVAL_33 = 320'b0,
  INITVAL_34 = 320'b0, INITVAL_35 = 320'b0, INITVAL_36 = 320'b0, INITVAL_37 = 320'b0,
  INITVAL_38 = 320'b0, INITVAL_39 = 320'b0, INITVAL_3A = 320'b0, INITVAL_3B = 320'b0,
  INITVAL_3C = 320'b0, INITVAL_3D = 320'b0, INITVAL_3E = 320'b0, INITVAL_3F = 320'b0
) (
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
    DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
    DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
    DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
    DOB3, DOB2, DOB1, DOB0
);
  localparam [20479:0] INITVAL = {
    INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
    INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
    INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
    INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
    INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
    INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
    INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
    INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
    INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
    INITVAL_00};
  wire [35:0] dia = {
    DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
    DIB3, DIB2, DIB1, DIB0,
    DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
    DIA3, DIA2, DIA1, DIA0};
  wire [17:0] dib = {
    DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
    DIB3, DIB2, DIB1, DIB0};
  wire [13:0] ada = {
    ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  wire [13:0] adb = {
    ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
  wire [35:0] doa, dob;
  reg [35:0] doa_late = 0, dob_late = 0;

  initial
    if (WRITEMODE_A == "WRITETHROUGH" || WRITEMODE_B == "WRITETHROUGH"
        || CSDECODE_A != "0b000" || CSDECODE_B != "0b000"
        || CLKAMUX != "CLKA" || CLKBMUX != "CLKB") begin
      $display("DP16KD: a parameter has a value without a model");
      $finish;
    end

  ecp5_ram #(
    DATA_WIDTH_A, DATA_WIDTH_B, WRITEMODE_A == "READBEFOREWRITE", WRITEMODE_B == "READBEFOREWRITE",
    INITVAL
  ) ram (
    .clka(CLKA), .ena(CEA), .wea(WEA), .ada(ada), .dia(dia), .doa(doa),
    .clkb(CLKB), .enb(CEB), .web(WEB), .adb(adb), .dib({18'b0, dib}), .dob(dob));
  always @(posedge CLKA) if (RSTA) doa_late <= 0; else if (OCEA) doa_late <= doa;
  always @(posedge CLKB) if (RSTB) dob_late <= 0; else if (OCEB) dob_late <= dob;
  wire [35:0] read_a = REGMODE_A == "OUTREG" ? doa_late : doa;
  wire [35:0] read_b = REGMODE_B == "OUTREG" ? dob_late : dob;
  // In words of 36 bits port A only writes, and port B reads through the outputs of both.
  assign {
    DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
    DOA3, DOA2, DOA1, DOA0} = DATA_WIDTH_B == 36 ? read_b[17:0] : read_a[17:0];
  assign {
    DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
    DOB3, DOB2, DOB1, DOB0} = DATA_WIDTH_B == 36 ? read_b[35:18] : read_b[17:0];
endmodule

module PDPW16KD #(
  parameter DATA_WIDTH_W = 36, DATA_WIDTH_R = 36, REGMODE = "NOREG",
  parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC",
  parameter CSDECODE_W = "0b000", CSDECODE_R = "0b000",
  parameter CLKWMUX = "CLKW", CLKRMUX = "CLKR", GSR = "ENABLED", INIT_DATA = "STATIC"
) (
  input DI35, DI34, DI33, DI32, DI31, DI30, DI29, DI28, DI27, DI26, DI25, DI24, DI23, DI22, DI21,
    DI20, DI19, DI18, DI17, DI16, DI15, DI14, DI13, DI12, DI11, DI10, DI9, DI8, DI7, DI6, DI5,
    DI4, DI3, DI2, DI1, DI0,
  input ADW8, ADW7, ADW6, ADW5, ADW4, ADW3, ADW2, ADW1, ADW0,
  input BE3, BE2, BE1, BE0, CEW, CLKW, CSW2, CSW1, CSW0,
  input ADR13, ADR12, ADR11, ADR10, ADR9, ADR8, ADR7, ADR6, ADR5, ADR4, ADR3, ADR2, ADR1, ADR0,
  input CER, OCER, CLKR, CSR2, CSR1, CSR0, RST,
  output DO35, DO34, DO33, DO32, DO31, DO30, DO29, DO28, DO27, DO26, DO25, DO24, DO23, DO22, DO21,
    DO20, DO19, DO18, DO17, DO16, DO15, DO14, DO13, DO12, DO11, DO10, DO9, DO8, DO7, DO6, DO5,
    DO4, DO3, DO2, DO1, DO0
);
  wire [35:0] di = {
    DI35, DI34, DI33, DI32, DI31, DI30, DI29, DI28, DI27, DI26, DI25, DI24, DI23, DI22, DI21,
    DI20, DI19, DI18, DI17, DI16, DI15, DI14, DI13, DI12, DI11, DI10, DI9, DI8, DI7, DI6, DI5,
    DI4, DI3, DI2, DI1, DI0};
  wire [13:0] adr = {
    ADR13, ADR12, ADR11, ADR10, ADR9, ADR8, ADR7, ADR6, ADR5, ADR4, ADR3, ADR2, ADR1, ADR0};
  wire [13:0] adw = {
    ADW8, ADW7, ADW6, ADW5, ADW4, ADW3, ADW2, ADW1, ADW0, 1'b0, BE3, BE2, BE1, BE0};
  wire [35:0] read;
  reg [35:0] late = 0;

  initial
    if (DATA_WIDTH_W != 36 || DATA_WIDTH_R != 36 || CSDECODE_W != "0b000"
        || CSDECODE_R != "0b000") begin
      $display("PDPW16KD: a parameter has a value without a model");
      $finish;
    end

  ecp5_ram #(36, 36) ram (
    .clka(CLKW), .ena(CEW), .wea(1'b1), .ada(adw), .dia(di), .doa(),
    .clkb(CLKR), .enb(CER), .web(1'b0), .adb(adr), .dib(36'b0), .dob(read));
  always @(posedge CLKR) if (RST) late <= 0; else if (OCER) late <= read;
  assign {DO35, DO34, DO33, DO32, DO31, DO30, DO29, DO28, DO27, DO26, DO25, DO24, DO23, DO22, DO21,
    DO20, DO19, DO18, DO17, DO16, DO15, DO14, DO13, DO12, DO11, DO10, DO9, DO8, DO7, DO6, DO5,
    DO4, DO3, DO2, DO1, DO0} = REGMODE == "OUTREG" ? late : read;
endmodule
