// Drives a unit's Verilog, compiled by Verilator, through scenes that sim/scenes.py wrote, and
// compares every beat that comes out. ports.h, which sim/verilator.py generates, says which ports
// there are.
//
//   harness SCENES [--dump FILE] [--mutants FIRST LAST] [--unchecked]
//
// Prints a line of JSON a run. --mutants runs every scene for each value of the port `mutant`, up
// to the first difference; --unchecked finds none.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "ports.h"
#include "verilated.h"

// Ports of up to 64 bits are integers, wider ones arrays of words; both have their bytes in the
// order of their bits.
template <class T> void put(T& port, const uint8_t* from, size_t size) {
    T value{};
    std::memcpy(&value, from, size);
    port = value;
}
template <class T> void get(const T& port, uint8_t* to, size_t size) { std::memcpy(to, &port, size); }

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Random {
    uint64_t state;
    uint32_t draw() {  // xorshift64*, Vigna 2016
        state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
        return uint32_t(state * 0x2545F4914F6CDD1Dull >> 32);
    }
    bool below(uint32_t share) { return (draw() >> 16) < share; }  // of 65,536
};

enum Kind : uint32_t { WRITE, READ, POLL, WAIT, HALT, RESET };  // sim.register_runs.Kind
struct Operation {
    uint32_t kind, address, data, mask, response, commits;
};

constexpr uint32_t NONE = 0xFFFFFFFF;
struct Header {
    uint32_t source_stall, sink_stall, patient, reset_after, steady, latency, clocks, flags, settling,
        quiet, drain, by_row, seed, beats_in, beats_out, operations, changes, hold;
};

constexpr size_t IN_SIZE = IN_BYTES + IN_KEEP + 4 + 1;
constexpr size_t OUT_SIZE = OUT_BYTES + OUT_KEEP + 1;

struct Scene {
    Header header;
    std::vector<uint8_t> in, out, other;
    std::vector<Operation> operations;
};

template <class T> void load(std::FILE* file, T* to, size_t count) {
    if (count && std::fread(to, sizeof(T), count, file) != count) throw std::runtime_error("scenes are cut");
}

std::vector<Scene> load_scenes(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    if (!file) throw std::runtime_error("scenes cannot be read");
    uint32_t count;
    load(file, &count, 1);
    std::vector<Scene> scenes(count);
    for (Scene& scene : scenes) {
        load(file, &scene.header, 1);
        scene.in.resize(scene.header.beats_in * IN_SIZE);
        load(file, scene.in.data(), scene.in.size());
        scene.out.resize(scene.header.beats_out * OUT_SIZE);
        load(file, scene.out.data(), scene.out.size());
        scene.other.resize(scene.header.changes ? scene.out.size() : 0);
        load(file, scene.other.data(), scene.other.size());
        scene.operations.resize(scene.header.operations);
        load(file, scene.operations.data(), scene.operations.size());
    }
    std::fclose(file);
    return scenes;
}

std::string hex(const uint8_t* bytes, size_t size) {
    std::string text;
    char two[3];
    while (size--) std::snprintf(two, 3, "%02x", bytes[size]), text += two;
    return text;
}

class Bench {
  public:
    Bench(TOP& top, bool checked, std::FILE* dump) : top(top), checked(checked), dump(dump) {}

    uint64_t beats = 0, rows = 0, clocks = 0;
    uint32_t clock = 0;  // of the scene

    void run(const Scene& played) {
        scene = &played;
        h = played.header;
        random = {0x9E3779B97F4A7C15ull * (h.seed + 1)};
        patient = h.patient;
        operation = 0;
        clock = 0;
        first_accept = first_offer = NONE;
        start_over();
        reset();
        check_flags(0, "after a reset");
        uint32_t reset_after = h.reset_after, quiet = 0;
        while (received < h.beats_out || operation < played.operations.size()) {
            bool stirred = step(false);
            quiet = stirred ? 0 : quiet + 1;
            if (wants_reset) {
                uint32_t next = operation;
                start_over();
                operation = next;
                reset();
            }
            if (reset_after && sent == reset_after) {
                reset_after = 0;
                start_over();
                reset();
            }
            if (quiet > h.quiet || clock > h.quiet + 64 * (h.beats_in + h.beats_out + 64 * operations())) {
                fail("no progress after " + std::to_string(sent) + " beats in and " + std::to_string(received) + " out");
                return;
            }
        }
        uint32_t taken = clock;
        for (uint32_t left = h.drain; left--;) step(true);
        if (h.latency != NONE && first_offer - first_accept != h.latency)
            fail("the latency must be " + std::to_string(h.latency) + ", not " + std::to_string(first_offer - first_accept));
        if (h.clocks != NONE && taken - first_offer != h.clocks)
            fail("must take " + std::to_string(h.clocks) + " clocks, not " + std::to_string(taken - first_offer));
        check_flags(h.flags, "at the end");
        if (h.changes && !after) fail("the new tables were never in use");
    }

  private:
    TOP& top;
    bool checked;
    std::FILE* dump;
    const Scene* scene = nullptr;
    Header h{};
    Random random{1};
    bool pending, patient, stalled, halted, wants_reset;
    uint32_t sent, received, first_accept, first_offer;
    uint8_t held[OUT_SIZE];
    // Of writable units: which tables the beats so far can be of; the first beat that can be, and
    // that must be, of the new ones.
    bool before, after, row_start;
    uint32_t may_change, must_change;
    uint32_t operation;  // the next one

    size_t operations() const { return scene->operations.size(); }

    void fail(const std::string& text) {
        if (checked) throw Failure(text);
    }

    void start_over() {
        pending = stalled = halted = wants_reset = false;
        sent = received = 0;
        before = row_start = true, after = false;
        may_change = must_change = NONE;
        start_lite();
    }

    void tick() {
        top.aclk = 0, top.eval();
        top.aclk = 1, top.eval();
    }

    // What is on the wires while nothing is offered must not matter.
    void garbage() {
        uint8_t bytes[IN_SIZE];
        for (uint8_t& byte : bytes) byte = random.draw() >> 24;
        offer(bytes);
    }

    void offer(const uint8_t* beat) {
        put(top.s_axis_tdata, beat, IN_BYTES);
#ifdef HAS_KEEP
        uint8_t keep[IN_KEEP];
        std::memcpy(keep, beat + IN_BYTES, IN_KEEP);
        keep[IN_KEEP - 1] &= 0xFF >> (8 * IN_KEEP - IN_BYTES);
        put(top.s_axis_tkeep, keep, IN_KEEP);
#endif
#ifdef HAS_USER
        uint32_t user;
        std::memcpy(&user, beat + IN_BYTES + IN_KEEP, 4);
        user &= USER_MASK;
        top.s_axis_tuser = user;
#endif
        top.s_axis_tlast = beat[IN_SIZE - 1] & 1;
    }

    void reset() {
        garbage();
        top.s_axis_tvalid = 0, top.m_axis_tready = 0;
        top.aresetn = 0;
        drive_lite(false);
        tick();
        top.aresetn = 1;
        for (uint32_t left = h.settling; left--;) tick();
    }

    void check_flags(uint32_t wanted, const char* when) {
        if (h.flags == NONE) return;
        top.aclk = 0, top.eval();
        uint32_t found = 0;
#ifdef HAS_OVERLONG
        found |= top.overlong ? 1 : 0;
#endif
#ifdef HAS_HOLES
        found |= top.holes ? 2 : 0;
#endif
        if (found != wanted)
            fail("the flags must be " + std::to_string(wanted) + " " + when + ", not " + std::to_string(found));
    }

    void result(uint8_t* to) {
        get(top.m_axis_tdata, to, OUT_BYTES);
#ifdef HAS_KEEP
        get(top.m_axis_tkeep, to + OUT_BYTES, OUT_KEEP);
#endif
        to[OUT_SIZE - 1] = top.m_axis_tlast;
    }

    // Whether a beat is the wanted one; data only of bytes that are kept.
    bool equal(const uint8_t* found, const uint8_t* wanted) const {
        if (std::memcmp(found + OUT_BYTES, wanted + OUT_BYTES, OUT_KEEP + 1)) return false;
        for (size_t byte = 0; byte < OUT_BYTES; ++byte)
            if (found[byte] != wanted[byte] && (!OUT_KEEP || wanted[OUT_BYTES + byte / 8] >> byte % 8 & 1))
                return false;
        return true;
    }

    void compare(const uint8_t* found) {
        const uint8_t* wanted = &scene->out[received * OUT_SIZE];
        bool old = before && equal(found, wanted);
        bool young = false;
        if (h.changes && received >= may_change) {
            bool boundary = !h.by_row || row_start;
            young = (after || (before && boundary)) && equal(found, &scene->other[received * OUT_SIZE]);
        }
        if (received >= must_change) old = false;
        if (!old && !young)
            fail("beat " + std::to_string(received) + " must be " + hex(wanted, OUT_SIZE) + ", not " + hex(found, OUT_SIZE));
        before = old, after = young;
        row_start = wanted[OUT_SIZE - 1];
    }

    // One clock; returns whether anything moved.
    bool step(bool over) {
        if (over) pending = false;
        bool held_back = sent >= h.hold && operation < operations();
        if (!pending && !over && !held_back && sent < h.beats_in && !random.below(h.source_stall)) {
            offer(&scene->in[sent * IN_SIZE]);
            pending = true;
        } else if (!pending) {
            garbage();
        }
        bool ready = over || (!patient && !halted && !random.below(h.sink_stall));
        top.s_axis_tvalid = pending;
        top.m_axis_tready = ready;
        drive_lite(over);
        top.aclk = 0, top.eval();
        bool taken = top.s_axis_tready, valid = top.m_axis_tvalid;
        uint8_t found[OUT_SIZE];
        result(found);
        bool stirred = sample_lite();
        top.aclk = 1, top.eval();

        if (stalled && (!valid || std::memcmp(found, held, OUT_SIZE))) fail("a stalled beat changed");
        stalled = valid && !ready;
        std::memcpy(held, found, OUT_SIZE);
        if (valid && first_offer == NONE) first_offer = clock;
        stirred |= (valid && (ready || patient)) || (pending && taken);
        if (valid) patient = false;
        if (valid && ready) {
            if (received >= h.beats_out) {
                fail("a beat more than it was given");
            } else {
                compare(found);
                if (dump) std::fprintf(dump, "%s\n", line(found).c_str());
                rows += found[OUT_SIZE - 1];
                received++, beats++;
            }
        }
        if (pending && taken) {
            if (first_accept == NONE) first_accept = clock;
            sent++;
            pending = false;
        } else if (pending && h.steady) {
            fail("the input had to wait");
        }
        after_lite();
        clock++, clocks++;
        return stirred;
    }

    // tdata lowest, then tkeep, then tlast: as in output.hex.
    std::string line(const uint8_t* found) const {
        std::vector<uint8_t> bits(found, found + OUT_BYTES);
        size_t top_bit = OUT_KEEP ? OUT_BYTES : 0;  // of what is above tdata: a bit a byte
        bits.insert(bits.end(), found + OUT_BYTES, found + OUT_BYTES + OUT_KEEP);
        bits.resize(OUT_BYTES + top_bit / 8 + 1);
        bits.back() |= found[OUT_SIZE - 1] << top_bit % 8;
        std::string text = hex(bits.data(), bits.size());
        return text.substr(text.size() - (8 * OUT_BYTES + top_bit) / 4 - 1);
    }

#include "harness_lite.h"
};

int main(int argc, char** argv) {
    const char* dumped = nullptr;
    uint32_t first = 0, last = 0;
    bool checked = true;
    for (int at = 2; at < argc; ++at) {
        std::string word = argv[at];
        if (word == "--dump" && at + 1 < argc) dumped = argv[++at];
        else if (word == "--mutants" && at + 2 < argc) first = std::atoi(argv[++at]), last = std::atoi(argv[++at]);
        else if (word == "--unchecked") checked = false;
        else return std::fprintf(stderr, "unknown argument %s\n", argv[at]), 2;
    }
    try {
        std::vector<Scene> scenes = load_scenes(argc > 1 ? argv[1] : "");
        std::FILE* dump = dumped ? std::fopen(dumped, "w") : nullptr;
        for (uint32_t mutant = first; mutant <= last; ++mutant) {
            VerilatedContext context;
            TOP top{&context};
#ifdef HAS_MUTANT
            top.mutant = mutant;
#endif
            Bench bench{top, checked, dump};
            size_t number = 0;
            std::string why;
            auto begun = std::chrono::steady_clock::now();
            try {
                for (; number < scenes.size(); ++number) bench.run(scenes[number]);
            } catch (const Failure& failure) {
                why = failure.what();
            }
            std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begun;
            std::printf("{\"mutant\": %u, \"scene\": %zu, \"clock\": %u, \"fault\": \"%s\", \"beats\": %llu, "
                        "\"rows\": %llu, \"clocks\": %llu, \"seconds\": %.6f}\n",
                        mutant, number, bench.clock, why.c_str(), (unsigned long long)bench.beats,
                        (unsigned long long)bench.rows, (unsigned long long)bench.clocks, seconds.count());
            std::fflush(stdout);
            top.final();
        }
        if (dump) std::fclose(dump);
    } catch (const std::exception& error) {
        return std::fprintf(stderr, "%s\n", error.what()), 2;
    }
}
