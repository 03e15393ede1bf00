// Memory of one write port (one slice of a word at a time) and one synchronous, read-first read port.
// The only place where a grid stores words; replace it by SRAM macros of the same interface for an ASIC.
//
// Contents: INIT_FILE names a $readmemh file that is baked in. With INIT_FILE empty a simulation reads
// <images>/<hierarchical name>.hex, if there is one, when it is run with +images=<images>. All else starts from zero.
module srnn_memory #(
    parameter WIDTH = 8,         // bits of a word
    parameter DEPTH = 16,        // words
    parameter ADDRESS_BITS = 4,
    parameter SLICE = 8,         // bits of a slice; the last slice of a word may be narrower
    parameter SLICE_BITS = 1,    // bits of a slice number
    parameter INIT_FILE = ""
) (
    input  wire                    clk,
    input  wire                    write_enable,
    input  wire [ADDRESS_BITS-1:0] write_address,
    input  wire [SLICE_BITS-1:0]   write_slice,
    input  wire [SLICE-1:0]        write_data,
    input  wire                    read_enable,
    input  wire [ADDRESS_BITS-1:0] read_address,
    output reg  [WIDTH-1:0]        read_data
);
    localparam SLICES = (WIDTH + SLICE - 1) / SLICE;

    reg [WIDTH-1:0] words [0:DEPTH-1];

    genvar slice;
    generate
        for (slice = 0; slice < SLICES; slice = slice + 1) begin : slices
            localparam LOW = slice * SLICE;
            localparam BITS = (LOW + SLICE > WIDTH) ? WIDTH - LOW : SLICE;
            always @(posedge clk)
                if (write_enable && (SLICES == 1 || write_slice == slice))
                    words[write_address][LOW +: BITS] <= write_data[BITS-1:0];
        end
    endgenerate

    always @(posedge clk)
        if (read_enable)
            read_data <= words[read_address];

`ifdef SYNTHESIS
    generate
        if (INIT_FILE != "") begin : baked
            initial $readmemh(INIT_FILE, words);
        end
    endgenerate
`else
    integer index, file;
    reg [8*512-1:0] images;
    reg [8*1024-1:0] path;
    initial begin
        for (index = 0; index < DEPTH; index = index + 1)
            words[index] = {WIDTH{1'b0}};
        if (INIT_FILE != "")
            $readmemh(INIT_FILE, words);
        else if ($value$plusargs("images=%s", images)) begin
            $sformat(path, "%0s/%m.hex", images);
            file = $fopen(path, "r");
            if (file != 0) begin
                $fclose(file);
                $readmemh(path, words);
            end
        end
    end
`endif
endmodule
