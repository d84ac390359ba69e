// Runs an exported engine as an AXI system would: loads the image, sends inputs, waits for the
// interrupt, takes outputs, and compares them with the golden model's. Plain Verilog, for any
// simulator; run it in the package's folder `vectors`. See docs/integration.md.

`timescale 1ns / 1ps
`include "eieio_registers.vh"

module axi_system_tb;
  `include "parameters.vh"

  localparam TIMEOUT = 10000000;  // Cycles in which no beat moves.

  reg clk = 0, rst = 1;
  always #5 clk = !clk;

  reg [11:0] awaddr = 0, araddr = 0;
  reg [31:0] wdata = 0;
  reg awvalid = 0, wvalid = 0, bready = 0, arvalid = 0, rready = 0;
  wire awready, wready, bvalid, arready, rvalid;
  wire [1:0] bresp, rresp;
  wire [31:0] rdata;

  reg [31:0] image_tdata = 0;
  reg [INPUT_BITS-1:0] input_tdata = 0;
  wire [OUTPUT_BITS-1:0] output_tdata;
  reg image_tvalid = 0, image_tlast = 0, input_tvalid = 0, input_tlast = 0, output_tready = 0;
  wire image_tready, input_tready, output_tvalid, output_tlast;
  wire irq;

  accelerator dut (
    .clk(clk), .rst(rst), .irq(irq),
    .s_axil_awaddr(awaddr), .s_axil_awprot(3'b000), .s_axil_awvalid(awvalid),
    .s_axil_awready(awready),
    .s_axil_wdata(wdata), .s_axil_wstrb(4'b1111), .s_axil_wvalid(wvalid), .s_axil_wready(wready),
    .s_axil_bresp(bresp), .s_axil_bvalid(bvalid), .s_axil_bready(bready),
    .s_axil_araddr(araddr), .s_axil_arprot(3'b000), .s_axil_arvalid(arvalid),
    .s_axil_arready(arready),
    .s_axil_rdata(rdata), .s_axil_rresp(rresp), .s_axil_rvalid(rvalid), .s_axil_rready(rready),
    .s_axis_image_tdata(image_tdata), .s_axis_image_tvalid(image_tvalid),
    .s_axis_image_tready(image_tready), .s_axis_image_tlast(image_tlast),
    .s_axis_input_tdata(input_tdata), .s_axis_input_tvalid(input_tvalid),
    .s_axis_input_tready(input_tready), .s_axis_input_tlast(input_tlast),
    .m_axis_output_tdata(output_tdata), .m_axis_output_tvalid(output_tvalid),
    .m_axis_output_tready(output_tready), .m_axis_output_tlast(output_tlast)
  );

  reg [31:0] frame [0:FRAME_WORDS-1];
  reg [INPUT_BITS-1:0] inputs [0:SAMPLES*INPUT_BEATS-1];
  reg [OUTPUT_BITS-1:0] outputs [0:SAMPLES*OUTPUT_BEATS-1];

  task fail(input [8*40-1:0] what, input [31:0] value);
    begin
      $display("FAILED: %0s (%h)", what, value);
      $fatal;
    end
  endtask

  // A signal that a rising edge samples changes by a nonblocking assignment after that edge.
  task axi_write(input [11:0] address, input [31:0] value);
    begin
      awaddr <= address; awvalid <= 1; wdata <= value; wvalid <= 1;
      @(posedge clk);
      while (awvalid || wvalid) begin
        if (awready) awvalid <= 0;
        if (wready) wvalid <= 0;
        @(posedge clk);
      end
      bready <= 1;
      @(posedge clk);
      while (!bvalid) @(posedge clk);
      bready <= 0;
      if (bresp != 0) fail("write refused", address);
      @(posedge clk);
    end
  endtask

  reg [31:0] value;
  task axi_read(input [11:0] address);
    begin
      araddr <= address; arvalid <= 1; rready <= 1;
      @(posedge clk);
      while (!arready) @(posedge clk);
      arvalid <= 0;
      @(posedge clk);
      while (!rvalid) @(posedge clk);
      value = rdata;
      rready <= 0;
      if (rresp != 0) fail("read refused", address);
      @(posedge clk);
    end
  endtask

  task wait_for_interrupt(input [31:0] flag);
    begin
      while (!irq) @(posedge clk);
      axi_read(`EIEIO_INTERRUPT_STATUS_ADDRESS);
      if (value & `EIEIO_INTERRUPT_STATUS_ERROR) begin
        axi_read(`EIEIO_ERROR_ADDRESS);
        fail("ERROR", value);
      end
      if (!(value & flag)) fail("other interrupt", value);
      axi_write(`EIEIO_INTERRUPT_STATUS_ADDRESS, value);
    end
  endtask

  integer word, sample, beat;
  reg [OUTPUT_BITS-1:0] expected;
  initial begin
    $readmemh("frame.hex", frame);
    $readmemh("input.hex", inputs);
    $readmemh("output.hex", outputs);
    repeat (4) @(posedge clk);
    rst <= 0;
    repeat (4) @(posedge clk);

    axi_read(`EIEIO_ID_ADDRESS);
    if (value != `EIEIO_ID_VALUE) fail("ID", value);
    axi_read(`EIEIO_CONFIG_ADDRESS);
    if (value != frame[1]) fail("image is for another engine", value);
    axi_write(`EIEIO_INTERRUPT_ENABLE_ADDRESS,
              `EIEIO_INTERRUPT_ENABLE_INFERENCE_DONE | `EIEIO_INTERRUPT_ENABLE_ERROR
              | `EIEIO_INTERRUPT_ENABLE_IMAGE_LOADED);

    for (word = 0; word < FRAME_WORDS; word = word + 1) begin
      image_tdata <= frame[word]; image_tlast <= word == FRAME_WORDS - 1; image_tvalid <= 1;
      @(posedge clk);
      while (!image_tready) @(posedge clk);
    end
    image_tvalid <= 0;
    wait_for_interrupt(`EIEIO_INTERRUPT_STATUS_IMAGE_LOADED);

    for (sample = 0; sample < SAMPLES; sample = sample + 1) begin
      for (beat = 0; beat < INPUT_BEATS; beat = beat + 1) begin
        input_tdata <= inputs[sample*INPUT_BEATS + beat];
        input_tlast <= beat == INPUT_BEATS - 1; input_tvalid <= 1;
        @(posedge clk);
        while (!input_tready) @(posedge clk);
      end
      input_tvalid <= 0;
      wait_for_interrupt(`EIEIO_INTERRUPT_STATUS_INFERENCE_DONE);
      for (beat = 0; beat < OUTPUT_BEATS; beat = beat + 1) begin
        output_tready <= 1;
        @(posedge clk);
        while (!output_tvalid) @(posedge clk);
        output_tready <= 0;
        expected = outputs[sample*OUTPUT_BEATS + beat];
        if (output_tdata !== expected) fail("output", beat);
        if (output_tlast != (beat == OUTPUT_BEATS - 1)) fail("TLAST", beat);
        @(posedge clk);
      end
      axi_read(`EIEIO_CYCLES_ADDRESS);
      $display("sample %0d: output equal, %0d cycles", sample, value);
    end
    $display("PASSED");
    $finish;
  end

  integer idle = 0;
  always @(posedge clk) begin
    idle <= idle + 1;
    if ((image_tvalid && image_tready) || (input_tvalid && input_tready)
        || (output_tvalid && output_tready))
      idle <= 0;
    if (idle == TIMEOUT) fail("nothing moves", 0);
  end
endmodule
