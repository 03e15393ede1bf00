// spatial_rnn_tb: an example of a host. It loads a model over the buses of the grid, runs one sequence, and compares
// every output beat and the number of cycles.
//
// The files of example/ hold what it sends and expects: a beat a line, with tlast (and tkeep) above tdata. They are read
// from the folder of the simulation. It prints PASS, or ends with $fatal.
//
// SPDX-License-Identifier: Apache-2.0
`timescale 1ns / 1ps
`include "spatial_rnn.vh"
`include "example.vh"

module spatial_rnn_tb;
  localparam IN_BITS = 8 * `SRNN_INPUT_BEAT_BYTES;
  localparam OUT_BYTES = `SRNN_OUTPUT_BEAT_BYTES;
  localparam OUT_BITS = 8 * OUT_BYTES;

  reg clock = 0;
  reg reset = 0;
  always #5 clock = !clock;

  reg [6:0] awaddr = 0;
  reg [6:0] araddr = 0;
  reg [31:0] wdata = 0;
  reg awvalid = 0, wvalid = 0, bready = 0, arvalid = 0, rready = 0;
  wire awready, wready, bvalid, arready, rvalid;
  wire [1:0] bresp, rresp;
  wire [31:0] rdata;
  wire interrupt;

  reg [IN_BITS-1:0] s_tdata = 0;
  reg s_tvalid = 0, s_tlast = 0, s_tdest = 0;
  wire s_tready;

  wire [OUT_BITS-1:0] m_tdata;
  wire [OUT_BYTES-1:0] m_tkeep;
  wire m_tvalid, m_tlast;

  spatial_rnn grid (
    .@CLOCK@(clock), .@RESET@(@ACTIVE@), .interrupt(interrupt),
    .s_axil_awaddr(awaddr), .s_axil_awprot(3'b000), .s_axil_awvalid(awvalid), .s_axil_awready(awready),
    .s_axil_wdata(wdata), .s_axil_wstrb(4'b1111), .s_axil_wvalid(wvalid), .s_axil_wready(wready),
    .s_axil_bresp(bresp), .s_axil_bvalid(bvalid), .s_axil_bready(bready),
    .s_axil_araddr(araddr), .s_axil_arprot(3'b000), .s_axil_arvalid(arvalid), .s_axil_arready(arready),
    .s_axil_rdata(rdata), .s_axil_rresp(rresp), .s_axil_rvalid(rvalid), .s_axil_rready(rready),
    .s_axis_tdata(s_tdata), .s_axis_tvalid(s_tvalid), .s_axis_tready(s_tready), .s_axis_tlast(s_tlast),
    .s_axis_tdest(s_tdest),
    .m_axis_tdata(m_tdata), .m_axis_tkeep(m_tkeep), .m_axis_tvalid(m_tvalid), .m_axis_tready(1'b1),
    .m_axis_tlast(m_tlast)
  );

  // What is sent and expected.
  reg [IN_BITS:0] load[0:`EXAMPLE_LOAD_BEATS-1];
  reg [IN_BITS:0] inputs[0:`EXAMPLE_INPUT_BEATS-1];
  reg [OUT_BITS+OUT_BYTES:0] outputs[0:`EXAMPLE_OUTPUT_BEATS-1];

  integer failures = 0;

  // A handshake takes place at a rising edge with valid and ready; signals change after the edge.
  task write(input [6:0] address, input [31:0] value);
    begin
      awaddr <= address; awvalid <= 1; wdata <= value; wvalid <= 1; bready <= 1;
      @(posedge clock);
      while (awvalid || wvalid) begin
        if (awready) awvalid <= 0;
        if (wready) wvalid <= 0;
        @(posedge clock);
      end
      while (!bvalid) @(posedge clock);
      bready <= 0;
    end
  endtask

  task read(input [6:0] address, output [31:0] value);
    begin
      araddr <= address; arvalid <= 1; rready <= 1;
      @(posedge clock);
      while (!arready) @(posedge clock);
      arvalid <= 0;
      while (!rvalid) @(posedge clock);
      value = rdata;
      rready <= 0;
      @(posedge clock);
    end
  endtask

  task send(input [IN_BITS:0] beat, input destination);
    begin
      {s_tlast, s_tdata} <= beat; s_tdest <= destination; s_tvalid <= 1;
      @(posedge clock);
      while (!s_tready) @(posedge clock);
      s_tvalid <= 0;
    end
  endtask

  // Outputs are taken in every cycle and compared with what is expected.
  integer received = 0, lane;
  reg [OUT_BITS-1:0] mask;
  always @(posedge clock) begin
    if (m_tvalid) begin
      for (lane = 0; lane < OUT_BYTES; lane = lane + 1) mask[8*lane+:8] = {8{m_tkeep[lane]}};
      if (received >= `EXAMPLE_OUTPUT_BEATS) begin
        $display("beat %0d: more outputs than expected", received);
        failures = failures + 1;
      end else if ({m_tlast, m_tkeep, m_tdata & mask} !== outputs[received]) begin
        $display("beat %0d: {tlast, tkeep, tdata} is %h, expected %h", received, {m_tlast, m_tkeep, m_tdata & mask},
                 outputs[received]);
        failures = failures + 1;
      end
      received = received + 1;
    end
  end

  integer index, waiting;
  reg [31:0] value, cycles;
  reg start_inputs = 0;

  // The inputs are offered from before the start, as a DMA would.
  initial begin
    wait (start_inputs);
    for (index = 0; index < `EXAMPLE_INPUT_BEATS; index = index + 1) send(inputs[index], 1'b0);
  end

  initial begin
    $readmemh("load.hex", load);
    $readmemh("inputs.hex", inputs);
    $readmemh("outputs.hex", outputs);
    // A rising edge of the reset takes simulators out of the unknown state.
    @(posedge clock) reset <= 1;
    repeat (3) @(posedge clock);
    reset <= 0;
    @(posedge clock);

    read(`SRNN_REG_ID, value);
    if (value !== `SRNN_ID_VALUE) $fatal(1, "FAIL: ID is %h, expected %h", value, `SRNN_ID_VALUE);

    for (waiting = 0; waiting < `EXAMPLE_LOAD_BEATS; waiting = waiting + 1) send(load[waiting], 1'b1);
    start_inputs = 1;
    write(`SRNN_REG_MODEL, 0);
    write(`SRNN_REG_MODE, 0);
    write(`SRNN_REG_STEPS, `EXAMPLE_STEPS);
    write(`SRNN_REG_CONTROL, 1 << `SRNN_CONTROL_START_BIT);

    value = 0;
    waiting = 0;
    while (!value[`SRNN_STATUS_DONE_BIT]) begin
      read(`SRNN_REG_STATUS, value);
      waiting = waiting + 1;
      if (waiting > `EXAMPLE_CYCLES + 1000)
        $fatal(1, "FAIL: the sequence does not end; STATUS is %h, %0d of %0d output beats", value, received,
               `EXAMPLE_OUTPUT_BEATS);
    end

    read(`SRNN_REG_ERRORS, value);
    if (value !== 0) begin
      $display("ERRORS is %h", value);
      failures = failures + 1;
    end
    read(`SRNN_REG_CYCLES_LOW, cycles);
    if (cycles !== `EXAMPLE_CYCLES) begin
      $display("%0d cycles, expected %0d", cycles, `EXAMPLE_CYCLES);
      failures = failures + 1;
    end
    if (received != `EXAMPLE_OUTPUT_BEATS) begin
      $display("%0d output beats, expected %0d", received, `EXAMPLE_OUTPUT_BEATS);
      failures = failures + 1;
    end
    if (failures != 0) $fatal(1, "FAIL: %0d differences", failures);
    $display("PASS: %0d output beats of %0d steps in %0d cycles, as expected", received, `EXAMPLE_STEPS, cycles);
    $finish;
  end
endmodule
