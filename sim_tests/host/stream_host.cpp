// Host of a Verilated grid without Python: sends load packets, runs sequences, saves outputs and counters.
//
//   stream_host JOB RESULT [+images=DIR]
//
// JOB, little endian: u32 sequences; for each: u32 steps, u32 keep_state, u32 model, u32 packets, u32 gap, u32 bytes of an
// input and u32 bytes of an output; for each load packet u64 bytes and the bytes; u64 input bytes and the bytes (none for a
// model without input). Packets and inputs fill whole beats. With a gap, the first beat of each input is offered that many
// cycles after that of the one before, the first so long after START; else all beats are there before START.
// RESULT: for each sequence the u64 counters CYCLES, STALL_INPUT, STALL_OUTPUT, STALL_RESULT, u64 output bytes and the bytes
// that tkeep marks, u64 steps and for each of them (none without a gap) the u64 cycles from the last beat of its input to
// the last beat of its output. The pins and the order of events are the same as in bus_driver.py; nothing is compared here.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vtop.h"
#include "spatial_rnn.h"
#include "verilated.h"

namespace {

using Bytes = std::vector<uint8_t>;

// A grid that moves no beat for this many cycles hangs.
constexpr uint64_t PATIENCE = 1'000'000;
constexpr double PROGRESS_SECONDS = 10;

// Reads the values of a job one after the other.
class Reader {
public:
    explicit Reader(const char* name) {
        std::ifstream file(name, std::ios::binary);
        if (!file) throw std::runtime_error(std::string("cannot read ") + name);
        bytes_.assign(std::istreambuf_iterator<char>(file), {});
    }

    template <typename Number> Number number() {
        Number value;
        take(&value, sizeof value);
        return value;
    }

    Bytes block() {
        const auto size = number<uint64_t>();
        if (size > bytes_.size() - at_) throw std::runtime_error("the job ends early");
        Bytes block(size);
        take(block.data(), size);
        return block;
    }

private:
    void take(void* target, size_t size) {
        if (size > bytes_.size() - at_) throw std::runtime_error("the job ends early");
        std::memcpy(target, bytes_.data() + at_, size);
        at_ += size;
    }

    Bytes bytes_;
    size_t at_ = 0;
};

// The three buses of a grid, one clock cycle at a time. Outputs are taken whenever they are offered.
class Host {
public:
    // Without a name of its own the model's hierarchy begins at the top module, as the names of images do.
    explicit Host(VerilatedContext& context) : grid_(&context, "") {
        grid_.s_axil_bready = grid_.s_axil_rready = grid_.m_axis_tready = 1;
        grid_.s_axil_wstrb = 0xF;
        for (const int reset : {0, 1, 1, 1, 0}) {
            grid_.rst = reset;
            cycle();
        }
    }
    ~Host() { grid_.final(); }

    // Offers a packet from the next cycle on. The packet before it must have been sent.
    void send(Bytes packet, bool load) {
        if (packet.empty() || packet.size() % SRNN_INPUT_BEAT_BYTES) throw std::runtime_error("a packet is not of whole beats");
        if (sending()) throw std::runtime_error("a packet is under way");
        packet_ = std::move(packet);
        sent_ = 0;
        load_ = load;
        resume_ = gap_ = 0;
    }
    // The same for inputs of so many bytes, which come every `gap` cycles; an output has `output` bytes.
    void send_with_gaps(Bytes packet, uint64_t gap, size_t input, size_t output) {
        send(std::move(packet), false);
        gap_ = gap;
        input_ = input;
        output_ = output;
        offered_ = resume_ = now_ + gap;
        taken_.clear();
        responses.clear();
    }
    bool sending() const { return sent_ < packet_.size(); }
    // Bytes of the packet that the grid has taken.
    size_t sent() const { return sent_; }

    void write(uint8_t address, uint32_t value) {
        grid_.s_axil_awaddr = address;
        grid_.s_axil_wdata = value;
        grid_.s_axil_awvalid = grid_.s_axil_wvalid = 1;
        do {
            cycle();
            if (address_taken_) grid_.s_axil_awvalid = 0;
            if (data_taken_) grid_.s_axil_wvalid = 0;
        } while (!responded_);
    }

    uint32_t read(uint8_t address) {
        grid_.s_axil_araddr = address;
        grid_.s_axil_arvalid = 1;
        do {
            cycle();
            if (read_taken_) grid_.s_axil_arvalid = 0;
        } while (!answered_);
        return answer_;
    }

    uint64_t counter(uint8_t low, uint8_t high) {
        const uint64_t lower = read(low);
        return uint64_t{read(high)} << 32 | lower;
    }

    // One cycle of all buses; notes every transfer at its rising edge.
    void cycle() {
        const bool offering = sending() && now_ >= resume_;
        grid_.s_axis_tvalid = offering;
        if (offering) {
            // Verilator keeps a port of any width in its bytes, least significant first.
            std::memcpy(&grid_.s_axis_tdata, &packet_[sent_], SRNN_INPUT_BEAT_BYTES);
            grid_.s_axis_tlast = sent_ + SRNN_INPUT_BEAT_BYTES == packet_.size();
            grid_.s_axis_tdest = load_;
        }
        grid_.clk = 0;
        grid_.eval();
        const bool moved = offering && grid_.s_axis_tready;
        if (moved) take();
        if (grid_.m_axis_tvalid) receive();
        address_taken_ = grid_.s_axil_awvalid && grid_.s_axil_awready;
        data_taken_ = grid_.s_axil_wvalid && grid_.s_axil_wready;
        responded_ = grid_.s_axil_bvalid;
        read_taken_ = grid_.s_axil_arvalid && grid_.s_axil_arready;
        answered_ = grid_.s_axil_rvalid;
        answer_ = grid_.s_axil_rdata;
        idle_ = moved || grid_.m_axis_tvalid ? 0 : idle_ + 1;
        grid_.clk = 1;
        grid_.eval();
        ++now_;
        if (idle_ == PATIENCE) throw std::runtime_error("the grid hangs: no beat in " + std::to_string(PATIENCE) + " cycles");
    }

    // Outputs of the last sequence, and whether its tlast came: no output may follow before the next sequence.
    Bytes outputs;
    bool ended = true;
    // Of inputs with gaps: cycles from the last beat of each to that of its output.
    std::vector<uint64_t> responses;

private:
    void take() {
        sent_ += SRNN_INPUT_BEAT_BYTES;
        if (!gap_ || sent_ % input_) return;
        taken_.push_back(now_);
        resume_ = offered_ += gap_;
    }

    void receive() {
        const auto* data = reinterpret_cast<const uint8_t*>(&grid_.m_axis_tdata);
        const auto* keep = reinterpret_cast<const uint8_t*>(&grid_.m_axis_tkeep);
        if (ended) throw std::runtime_error("an output after the last");
        for (size_t byte = 0; byte < SRNN_OUTPUT_BEAT_BYTES; ++byte)
            if (keep[byte / 8] >> byte % 8 & 1) outputs.push_back(data[byte]);
        ended = grid_.m_axis_tlast;
        if (gap_ && outputs.size() % output_ == 0) {
            if (responses.size() == taken_.size()) throw std::runtime_error("an output before its input");
            responses.push_back(now_ - taken_[responses.size()]);
        }
    }

    Vtop grid_;
    Bytes packet_;
    size_t sent_ = 0;
    bool load_ = false;
    bool address_taken_ = false, data_taken_ = false, responded_ = false, read_taken_ = false, answered_ = false;
    uint32_t answer_ = 0;
    uint64_t idle_ = 0;
    // The cycle; that from which the next beat is offered, and the one of the first beat of this input.
    uint64_t now_ = 0, resume_ = 0, offered_ = 0, gap_ = 0;
    size_t input_ = 0, output_ = 0;
    std::vector<uint64_t> taken_;
};

// Reports now and then how far a sequence is.
class Progress {
public:
    Progress(uint32_t steps, uint32_t number) : steps_(steps), number_(number) {}

    // `done` is from 0 to 1.
    void cycle(double done) {
        if (++cycles_ % 1024) return;
        const auto now = Clock::now();
        if (now - told_ < std::chrono::duration<double>(PROGRESS_SECONDS)) return;
        told_ = now;
        std::printf("sequence %u: %.0f of %u steps sent, %llu cycles, %.0f cycles/s\n", number_, done * steps_, steps_,
                    static_cast<unsigned long long>(cycles_), cycles_ / std::chrono::duration<double>(now - begun_).count());
        std::fflush(stdout);
    }

private:
    using Clock = std::chrono::steady_clock;
    uint32_t steps_, number_;
    uint64_t cycles_ = 0;
    Clock::time_point begun_ = Clock::now(), told_ = begun_;
};

void append(std::ofstream& file, uint64_t value) { file.write(reinterpret_cast<const char*>(&value), sizeof value); }

void run_sequence(Host& host, Reader& job, uint32_t number, std::ofstream& result) {
    const auto steps = job.number<uint32_t>();
    const auto keep_state = job.number<uint32_t>();
    // A loaded state belongs to the model that MODEL names at that time.
    host.write(SRNN_REG_MODEL, job.number<uint32_t>());
    const auto packets = job.number<uint32_t>();
    const auto gap = job.number<uint32_t>(), input = job.number<uint32_t>(), output = job.number<uint32_t>();
    for (uint32_t packet = 0; packet < packets; ++packet) {
        host.send(job.block(), true);
        while (host.sending()) host.cycle();
    }
    Bytes inputs = job.block();
    const double size = inputs.size();
    host.outputs.clear();
    host.ended = false;
    if (!inputs.empty() && !gap) host.send(std::move(inputs), false);
    host.write(SRNN_REG_STEPS, steps);
    host.write(SRNN_REG_MODE, keep_state << SRNN_MODE_KEEP_STATE_BIT);
    host.write(SRNN_REG_CONTROL, 1u << SRNN_CONTROL_START_BIT);
    host.responses.clear();
    if (gap) host.send_with_gaps(std::move(inputs), gap, input, output);
    Progress progress(steps, number);
    while (!host.ended) {
        host.cycle();
        progress.cycle(size > 0 ? host.sent() / size : 0);
    }
    while (host.read(SRNN_REG_STATUS) >> SRNN_STATUS_BUSY_BIT & 1) {
    }
    if (const auto errors = host.read(SRNN_REG_ERRORS)) {
        char text[64];
        std::snprintf(text, sizeof text, "the grid reports errors: ERRORS = 0x%X", errors);
        throw std::runtime_error(text);
    }
    append(result, host.counter(SRNN_REG_CYCLES_LOW, SRNN_REG_CYCLES_HIGH));
    append(result, host.counter(SRNN_REG_STALL_INPUT_LOW, SRNN_REG_STALL_INPUT_HIGH));
    append(result, host.counter(SRNN_REG_STALL_OUTPUT_LOW, SRNN_REG_STALL_OUTPUT_HIGH));
    append(result, host.counter(SRNN_REG_STALL_RESULT_LOW, SRNN_REG_STALL_RESULT_HIGH));
    append(result, host.outputs.size());
    result.write(reinterpret_cast<const char*>(host.outputs.data()), static_cast<std::streamsize>(host.outputs.size()));
    append(result, host.responses.size());
    for (const auto cycles : host.responses) append(result, cycles);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc < 3) throw std::runtime_error("usage: stream_host JOB RESULT [+images=DIR]");
        VerilatedContext context;
        context.commandArgs(argc, argv);
        Reader job(argv[1]);
        std::ofstream result(argv[2], std::ios::binary);
        if (!result) throw std::runtime_error(std::string("cannot write ") + argv[2]);
        Host host(context);
        const auto sequences = job.number<uint32_t>();
        for (uint32_t number = 1; number <= sequences; ++number) run_sequence(host, job, number, result);
        result.close();
        if (!result) throw std::runtime_error(std::string("cannot write ") + argv[2]);
    } catch (const std::exception& error) {
        std::printf("error: %s\n", error.what());
        return 1;
    }
    return 0;
}
