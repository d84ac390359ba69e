// What an accelerator of NNgen needs around it in a simulation: an ideal memory of 32-bit words
// behind its AXI master, which gives and takes a word in every cycle of a burst, and a processor
// that starts it and polls its registers. Contents come from memory.hex and go to result.hex.

module nngen_memory #(parameter WORDS = 1 << 16) (
    input clk,
    input reset_n,
    output reg done,
    output reg [31:0] cycles,       // From the start to the last word written.
    output reg [31:0] words_read,
    output reg [31:0] words_written
);
    localparam START = 16, BUSY = 20;

    reg [31:0] memory [0:WORDS-1];
    initial $readmemh("memory.hex", memory);

    wire [31:0] awaddr, wdata, araddr, saxi_rdata;
    wire [7:0] awlen, arlen;
    wire [3:0] wstrb;
    wire awvalid, wvalid, wlast, bready, arvalid, rready;
    wire saxi_awready, saxi_wready, saxi_bvalid, saxi_arready, saxi_rvalid;

    // Reads: a burst at a time.
    reg reading;
    reg [29:0] read_place;
    reg [7:0] read_left;
    wire rvalid = reading;
    wire rlast = read_left == 0;

    // Writes.
    reg writing, answering;
    reg [29:0] write_place;

    // The processor.
    reg [2:0] state;
    reg [31:0] clock;
    reg started;

    always @(posedge clk) begin
        if (!reset_n) begin
            reading <= 0;
            writing <= 0;
            answering <= 0;
            state <= 0;
            clock <= 0;
            started <= 0;
            done <= 0;
            cycles <= 0;
            words_read <= 0;
            words_written <= 0;
        end else begin
            if (!reading) begin
                if (arvalid) begin
                    reading <= 1;
                    read_place <= araddr[31:2];
                    read_left <= arlen;
                end
            end else if (rready) begin
                words_read <= words_read + 1;
                read_place <= read_place + 1;
                read_left <= read_left - 1;
                if (rlast) reading <= 0;
            end

            if (!writing && !answering) begin
                if (awvalid) begin
                    writing <= 1;
                    write_place <= awaddr[31:2];
                end
            end else if (writing && wvalid) begin
                for (int i = 0; i < 4; i++)
                    if (wstrb[i]) memory[write_place[15:0]][8*i +: 8] <= wdata[8*i +: 8];
                words_written <= words_written + 1;
                write_place <= write_place + 1;
                cycles <= clock;
                if (wlast) begin
                    writing <= 0;
                    answering <= 1;
                end
            end
            if (answering && bready) answering <= 0;

            if (started) clock <= clock + 1;
            case (state)
                0: if (saxi_awready) begin
                    state <= 1;
                end
                1: if (saxi_wready) begin
                    started <= 1;
                    state <= 2;
                end
                2: if (saxi_bvalid) state <= 3;
                // The start register, and then the busy register, must be 0.
                3, 5: if (saxi_arready) state <= state + 1;
                4: if (saxi_rvalid) state <= saxi_rdata == 0 ? 5 : 3;
                6: if (saxi_rvalid) state <= saxi_rdata == 0 ? 7 : 5;
                7: if (!done) begin
                    done <= 1;
                    $writememh("result.hex", memory);
                end
            endcase
        end
    end

    layer layer (
        .CLK(clk), .RESETN(reset_n), .irq(),
        .maxi_awaddr(awaddr), .maxi_awlen(awlen), .maxi_awsize(), .maxi_awburst(),
        .maxi_awlock(), .maxi_awcache(), .maxi_awprot(), .maxi_awqos(), .maxi_awuser(),
        .maxi_awvalid(awvalid), .maxi_awready(!writing && !answering),
        .maxi_wdata(wdata), .maxi_wstrb(wstrb), .maxi_wlast(wlast), .maxi_wvalid(wvalid),
        .maxi_wready(writing), .maxi_bresp(2'b0), .maxi_bvalid(answering), .maxi_bready(bready),
        .maxi_araddr(araddr), .maxi_arlen(arlen), .maxi_arsize(), .maxi_arburst(),
        .maxi_arlock(), .maxi_arcache(), .maxi_arprot(), .maxi_arqos(), .maxi_aruser(),
        .maxi_arvalid(arvalid), .maxi_arready(!reading),
        .maxi_rdata(memory[read_place[15:0]]), .maxi_rresp(2'b0), .maxi_rlast(rlast),
        .maxi_rvalid(rvalid), .maxi_rready(rready),
        .saxi_awaddr(START), .saxi_awcache(4'b0), .saxi_awprot(3'b0), .saxi_awvalid(state == 0),
        .saxi_awready(saxi_awready), .saxi_wdata(32'd1), .saxi_wstrb(4'hf),
        .saxi_wvalid(state == 1), .saxi_wready(saxi_wready), .saxi_bresp(),
        .saxi_bvalid(saxi_bvalid), .saxi_bready(1'b1),
        .saxi_araddr(state < 5 ? START : BUSY), .saxi_arcache(4'b0), .saxi_arprot(3'b0),
        .saxi_arvalid(state == 3 || state == 5), .saxi_arready(saxi_arready),
        .saxi_rdata(saxi_rdata), .saxi_rresp(), .saxi_rvalid(saxi_rvalid), .saxi_rready(1'b1)
    );
endmodule
