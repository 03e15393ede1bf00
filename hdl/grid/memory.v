// srnn_memory: Memory of one write port (one slice of a word at a time) and one synchronous read port, with or without a
// register at its output.
//
// No grid uses a word that is read in the cycle in which it is written, so that what comes out then is up to the memory:
// no_rw_check tells Yosys so. In a simulation it is the complement of the old word, which no bench survives. With one
// port this holds for every word that is read in a cycle with a write.
//
// The only place where a grid stores words; replace it by SRAM macros of the same interface for an ASIC.
//
// Contents: INIT_FILE names a $readmemh file that is baked in. With INIT_FILE empty a simulation reads
// <images>/<hierarchical name>.hex, if there is one, when it is run with +images=<images>; other words start from zero
// in a simulation, and from anything in a synthesised memory: no grid depends on them. `initialised` is high if the
// memory has contents before its first write. +scramble fills the words of a simulation at random instead of by zeros.
//
// SPDX-License-Identifier: Apache-2.0
module srnn_memory #(
    parameter WIDTH = 8,         // bits of a word
    parameter DEPTH = 16,        // words
    parameter ADDRESS_BITS = 4,
    parameter SLICE = 8,         // bits of a slice; the last slice of a word may be narrower
    parameter SLICE_BITS = 1,    // bits of a slice number
    parameter OUTPUT_REGISTER = 0, // 1: a read takes two cycles
    parameter PORTS = 2,         // 1: a cycle reads or writes, so that both can have one address
    parameter INIT_FILE = ""
) (
    input  wire                    clk,
    input  wire                    write_enable,
    input  wire [ADDRESS_BITS-1:0] write_address,
    input  wire [SLICE_BITS-1:0]   write_slice,
    input  wire [SLICE-1:0]        write_data,
    input  wire                    read_enable,
    input  wire [ADDRESS_BITS-1:0] read_address,
    output wire [WIDTH-1:0]        read_data,
    output wire                    initialised
);
    localparam SLICES = (WIDTH + SLICE - 1) / SLICE;

    (* no_rw_check, ram_style = OUTPUT_REGISTER ? "block" : "auto" *)
    reg [WIDTH-1:0] words [0:DEPTH-1];

    wire [ADDRESS_BITS-1:0] read_at = (PORTS == 1 && write_enable) ? write_address : read_address;
    wire [ADDRESS_BITS-1:0] write_at = (PORTS == 1) ? read_at : write_address;

    genvar slice;
    generate
        for (slice = 0; slice < SLICES; slice = slice + 1) begin : slices
            localparam LOW = slice * SLICE;
            localparam BITS = (LOW + SLICE > WIDTH) ? WIDTH - LOW : SLICE;
            always @(posedge clk)
                if (write_enable && (SLICES == 1 || write_slice == slice))
                    words[write_at][LOW +: BITS] <= write_data[BITS-1:0];
        end
    endgenerate

    reg [WIDTH-1:0] fetched;
`ifdef SYNTHESIS
    always @(posedge clk)
        if (read_enable && (PORTS != 1 || !write_enable))
            fetched <= words[read_at];
`else
    wire collision = write_enable && (PORTS == 1 || write_address == read_address);
    always @(posedge clk)
        if (read_enable)
            fetched <= words[read_at] ^ {WIDTH{collision}};
`endif

    generate
        if (OUTPUT_REGISTER != 0) begin : registered
            reg enable;
            reg [WIDTH-1:0] data;
            always @(posedge clk) begin
                enable <= read_enable;
                if (enable)
                    data <= fetched;
            end
            assign read_data = data;
        end else begin : direct
            assign read_data = fetched;
        end
    endgenerate

`ifdef SYNTHESIS
    assign initialised = INIT_FILE != "";
    generate
        if (INIT_FILE != "") begin : baked
            initial $readmemh(INIT_FILE, words);
        end
    endgenerate
`else
    integer index, file, scramble;
    reg has_contents;
    reg [32*((WIDTH+31)/32)-1:0] noise;
    // SystemVerilog, which has these macros (IEEE 1800, 40.3.1), opens files by strings only; Verilog has no strings.
`ifdef SV_COV_START
    string images, path;
`else
    reg [8*4096-1:0] images;
    reg [8*4352-1:0] path;
`endif
    assign initialised = has_contents;
    initial begin
        scramble = $test$plusargs("scramble");
        for (index = 0; index < DEPTH; index = index + 1) begin
            noise = {((WIDTH + 31) / 32){$random}};
            words[index] = (scramble != 0) ? noise[WIDTH-1:0] : {WIDTH{1'b0}};
        end
        has_contents = INIT_FILE != "";
        if (INIT_FILE != "")
            $readmemh(INIT_FILE, words);
        else if ($value$plusargs("images=%s", images) != 0) begin
            $sformat(path, "%0s/%m.hex", images);
            file = $fopen(path, "r");
            if (file != 0) begin
                $fclose(file);
                $readmemh(path, words);
                has_contents = 1'b1;
            end
        end
    end
`endif
endmodule
