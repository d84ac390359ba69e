// Drives an engine by a script, without Python: images, inputs, resets and stalls at random, and,
// in a design that can be struck, single flips of its bits. sim/replay.py describes scripts.
//
//   replay SCRIPT SEED
//
// It prints a line for each case: its number, its outcome, the error code that was seen last, and
// its cycles; and at the end all cycles.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "Vreplayed.h"
#include "ports.h"
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

// Verilator spells two underscores within a name so: i__valid is i___05Fvalid.

namespace {

using Beat = std::vector<uint32_t>;

template <std::size_t N>
void put(VlWide<N>& port, const Beat& beat) {
    for (std::size_t i = 0; i < N; ++i) port[i] = i < beat.size() ? beat[i] : 0;
}

template <typename T>
std::enable_if_t<std::is_integral<T>::value> put(T& port, const Beat& beat) {
    uint64_t value = beat[0];
    if (beat.size() > 1) value |= uint64_t(beat[1]) << 32;
    port = static_cast<T>(value);
}

template <std::size_t N>
Beat get(const VlWide<N>& port) {
    Beat beat(N);
    for (std::size_t i = 0; i < N; ++i) beat[i] = port[i];
    return beat;
}

template <typename T>
std::enable_if_t<std::is_integral<T>::value, Beat> get(const T& port) {
    return {static_cast<uint32_t>(port), static_cast<uint32_t>(uint64_t(port) >> 32)};
}

// Reads a beat of hexadecimal digits, and appends its bit `last`.
Beat parse(const std::string& text, unsigned width, bool last) {
    Beat beat(width / 32 + 1);
    unsigned place = 0;
    for (auto digit = text.rbegin(); digit != text.rend(); ++digit, place += 4) {
        const unsigned value = *digit <= '9' ? *digit - '0' : *digit - 'a' + 10;
        if (place / 32 < beat.size()) beat[place / 32] |= value << place % 32;
    }
    if (last) beat[width / 32] |= 1u << width % 32;
    return beat;
}

struct Vector {
    std::vector<Beat> inputs, outputs, masks;
    uint64_t cycles = 0, macs = 0;
    bool counted = false;
};

class Failure {
  public:
    explicit Failure(std::string what) : what(std::move(what)) {}
    std::string what;
};

class Replay {
  public:
    explicit Replay(unsigned seed) : random_(seed) {
        dut_->clk = 0;
        dut_->rst = 1;
        dut_->run = 1;
        dut_->clear_error = 0;
        dut_->image___05Fvalid = dut_->i___05Fvalid = dut_->o___05Fready = 0;
        for (int i = 0; i < 3; ++i) cycle();
        dut_->rst = 0;
    }

    int script(std::istream& lines) {
        std::string line;
        bool skip = false;
        while (std::getline(lines, line)) {
            std::istringstream words(line);
            std::string name;
            words >> name;
            if (name == "image" || name == "vector" || name == "limit") {
                define(name, words);
            } else if (name == "case") {
                finish();
                words >> number_;
                skip = false;
                reset(2);
                start_ = cycles_;
                seen_ = 0;
            } else if (!skip || (name == "recover" && outcome_ == "error")) {
                try {
                    skip ? recover(words) : command(name, words);
                } catch (const Failure& failure) {
                    outcome_ = skip ? "not usable: " + failure.what : failure.what;
                    skip = true;
                }
            }
        }
        finish();
        std::printf("cycles %llu\n", static_cast<unsigned long long>(cycles_));
        return 0;
    }

  private:
    void define(const std::string& name, std::istringstream& words) {
        std::string text;
        if (name == "limit") {
            words >> limit_;
        } else if (name == "image") {
            std::vector<Beat> beats;
            while (words >> text) beats.push_back(parse(text, kImageBits, false));
            beats.back()[kImageBits / 32] |= 1u << kImageBits % 32;
            images_.push_back(beats);
        } else {
            Vector vector;
            unsigned inputs, outputs;
            long long cycles;
            words >> inputs >> outputs >> cycles >> vector.macs;
            vector.counted = cycles >= 0;
            vector.cycles = cycles;
            for (unsigned i = 0; i < inputs && words >> text; ++i)
                vector.inputs.push_back(parse(text, kInputBits, i + 1 == inputs));
            for (unsigned i = 0; i < outputs && words >> text; ++i)
                vector.outputs.push_back(parse(text, kOutputBits, i + 1 == outputs));
            for (unsigned i = 0; i < outputs && words >> text; ++i)
                vector.masks.push_back(parse(text, kOutputBits, true));
            vectors_.push_back(vector);
        }
    }

    void command(const std::string& name, std::istringstream& words) {
        if (name == "load") {
            // An image must not overtake an input that is on its way; outputs may be.
            wait([this] { return inputs_.empty(); });
            append(image_, images_.at(number(words)));
        } else if (name == "infer") {
            wait([this] { return image_.empty(); });
            const Vector& vector = vectors_.at(number(words));
            append(inputs_, vector.inputs);
            sent_.push_back(&vector);
            expect(vector);
            last_ = &vector;
        } else if (name == "drain") {
            drain();
        } else if (name == "count") {
            // Counters are of the last inference, when there is no other behind it.
            drain();
            if (last_ && last_->counted
                && (dut_->cycles != last_->cycles || uint64_t(dut_->macs) != last_->macs))
                throw Failure("counters");
        } else if (name == "refuse") {
            refuse(words);
        } else if (name == "reset") {
            const unsigned after = number(words), length = number(words);
            for (unsigned i = 0; i < after; ++i) cycle();
            if (dut_->error) throw Failure("error");
            reset(length);
        } else if (name == "stalls") {
            for (unsigned& stall : stalls_) words >> stall;
        } else if (name == "recover") {
            // Only an engine that has reported an error has anything to recover from.
        } else if (name == "strike") {
            words >> strike_.index >> strike_.addr >> strike_.bit >> strike_.after;
            strike_.armed = true;
        } else {
            std::cerr << "no command: " << name << "\n";
            std::exit(2);
        }
    }

    static unsigned number(std::istringstream& words) {
        unsigned found = 0;
        words >> found;
        return found;
    }

    static void append(std::deque<Beat>& queue, const std::vector<Beat>& beats) {
        queue.insert(queue.end(), beats.begin(), beats.end());
    }

    template <typename Done>
    void wait(Done done) {
        for (uint64_t i = 0; !done(); ++i) {
            if (i == limit_) throw Failure("hang");
            cycle();
            if (dut_->error && !may_fail_) throw Failure("error");
        }
    }

    void drain() {
        wait([this] {
            return image_.empty() && inputs_.empty() && outputs_.empty() && !dut_->busy
                && !dut_->loading;
        });
        for (int i = 0; i < 8; ++i) cycle();
        if (dut_->error) throw Failure("error");
    }

    // Sends what must be refused: an error, and no output.
    void refuse(std::istringstream& words) {
        std::string kind, text;
        words >> kind;
        drain();
        may_fail_ = true;
        std::vector<std::string> beats;
        while (words >> text) beats.push_back(text);
        const bool image = kind == "image";
        for (std::size_t i = 0; i < beats.size(); ++i)
            (image ? image_ : inputs_)
                .push_back(parse(beats[i], image ? kImageBits : kInputBits, i + 1 == beats.size()));
        wait([this] { return image_.empty() && inputs_.empty() && dut_->error; });
        for (int i = 0; i < 8; ++i) cycle();
        dut_->clear_error = 1;
        cycle();
        dut_->clear_error = 0;
        cycle();
        may_fail_ = false;
        if (dut_->error) throw Failure("error stays");
    }

    // After an error: what has begun is sent to its end, then an image and an input.
    void recover(std::istringstream& words) {
        const auto& image = images_.at(number(words));
        const Vector& vector = vectors_.at(number(words));
        keep_begun(image_, image_begun_ || dut_->image___05Fvalid, kImageBits);
        keep_begun(inputs_, input_begun_ || dut_->i___05Fvalid, kInputBits);
        outputs_.clear();
        may_fail_ = ignores_ = true;
        // An input of which nothing has been taken waits for the image.
        const Vector* waiting = !inputs_.empty() && !input_begun_ ? sent_.front() : nullptr;
        for (int i = 0; i < 64; ++i) cycle();
        if (waiting && (inputs_.empty() || input_begun_)) waiting = nullptr;
        wait([this, waiting] {
            return image_.empty() && (waiting || inputs_.empty()) && !dut_->loading;
        });
        for (int i = 0; i < 64; ++i) cycle();
        dut_->clear_error = 1;
        cycle();
        dut_->clear_error = 0;
        cycle();
        may_fail_ = false;
        if (dut_->error) throw Failure("error stays");
        append(image_, image);
        wait([this] { return image_.empty(); });
        ignores_ = false;
        if (waiting) {  // Counters are known of an inference that is alone.
            expect(*waiting);
            drain();
        }
        append(inputs_, vector.inputs);
        sent_.push_back(&vector);
        expect(vector);
        last_ = &vector;
        drain();
        if (dut_->cycles != vector.cycles || uint64_t(dut_->macs) != vector.macs)
            throw Failure("counters");
    }

    void expect(const Vector& vector) {
        for (std::size_t i = 0; i < vector.outputs.size(); ++i)
            outputs_.push_back({vector.outputs[i], vector.masks[i]});
    }

    // Forgets what is to be sent, but for what has begun.
    static void keep_begun(std::deque<Beat>& queue, bool begun, unsigned width) {
        std::size_t kept = 0;
        while (begun && kept < queue.size())
            if (is_last(queue[kept++], width)) break;
        queue.resize(kept);
    }

    void reset(unsigned length) {
        image_begun_ = input_begun_ = ignores_ = false;
        sent_.clear();
        image_.clear();
        inputs_.clear();
        outputs_.clear();
        last_ = nullptr;
        strike_.armed = may_fail_ = false;
        held_ = false;
        dut_->image___05Fvalid = dut_->i___05Fvalid = dut_->o___05Fready = 0;
        dut_->clear_error = 0;
        dut_->rst = 1;
        for (unsigned i = 0; i < length; ++i) cycle();
        dut_->rst = 0;
    }

    void finish() {
        if (number_ >= 0)
            std::printf("case %lld %s %u %llu\n", number_, outcome_.c_str(), seen_,
                        static_cast<unsigned long long>(cycles_ - start_));
        outcome_ = "ok";
        number_ = -1;
    }

    static bool is_last(const Beat& beat, unsigned width) {
        return beat[width / 32] >> width % 32 & 1;
    }

    bool stalls(unsigned which) { return stalls_[which] && random_() % 256 < stalls_[which]; }

    void cycle() {
        dut_->clk = 0;
        dut_->eval();
#ifdef STRIKES
        if (strike_.armed && strike_.after-- == 0) {
            strike_.armed = false;
            dut_->strike_index = strike_.index;
            dut_->strike_addr = strike_.addr;
            dut_->strike_bit = strike_.bit;
            dut_->strike = 1;
            dut_->eval();
            dut_->strike = 0;
            dut_->eval();
        }
#endif
        const bool resets = dut_->rst;
        const bool image = dut_->image___05Fvalid && dut_->image___05Fready && !resets;
        const bool input = dut_->i___05Fvalid && dut_->i___05Fready && !resets;
        bool wrong = false;
        const char* what = "";
        if (dut_->o___05Fvalid && !resets) {
            const Beat beat = get(dut_->o___05Fpayload);
            if (held_ && beat != before_) wrong = true, what = "unstable";
            before_ = beat;
            held_ = !dut_->o___05Fready;
            if (dut_->o___05Fready) {
                if (ignores_) {
                    // Left of what was given up.
                } else if (outputs_.empty()) {
                    wrong = true, what = "surplus";
                } else {
                    const auto& [expected, mask] = outputs_.front();
                    for (std::size_t i = 0; i < expected.size(); ++i)
                        if ((i < beat.size() ? (beat[i] ^ expected[i]) & mask[i] : 0))
                            wrong = true, what = "wrong";
                    outputs_.pop_front();
                }
            }
        } else {
            if (held_ && !resets) wrong = true, what = "withdrawn";
            held_ = false;
        }
        if (dut_->error) seen_ = dut_->error;
        dut_->clk = 1;
        dut_->eval();
        ++cycles_;
        if (resets) return;
        if (image) image_begun_ = !is_last(image_.front(), kImageBits), image_.pop_front();
        if (input) {
            input_begun_ = !is_last(inputs_.front(), kInputBits);
            if (!input_begun_ && !sent_.empty()) sent_.pop_front();
            inputs_.pop_front();
        }
        // A beat that waits must stay.
        if (image || !dut_->image___05Fvalid)
            dut_->image___05Fvalid = !image_.empty() && !stalls(0);
        if (dut_->image___05Fvalid) put(dut_->image___05Fpayload, image_.front());
        if (input || !dut_->i___05Fvalid) dut_->i___05Fvalid = !inputs_.empty() && !stalls(1);
        if (dut_->i___05Fvalid) put(dut_->i___05Fpayload, inputs_.front());
        dut_->o___05Fready = !stalls(2);
        dut_->run = !stalls(3);
        if (wrong) throw Failure(what);
    }

    std::mt19937 random_;
    std::unique_ptr<Vreplayed> dut_ = std::make_unique<Vreplayed>();
    std::vector<std::vector<Beat>> images_;
    std::vector<Vector> vectors_;
    std::deque<Beat> image_, inputs_;
    std::deque<std::pair<Beat, Beat>> outputs_;
    const Vector* last_ = nullptr;
    unsigned stalls_[4] = {};
    struct {
        bool armed = false;
        uint64_t index = 0, addr = 0, bit = 0, after = 0;
    } strike_;
    std::deque<const Vector*> sent_;
    bool image_begun_ = false, input_begun_ = false, ignores_ = false;
    bool held_ = false, may_fail_ = false;
    Beat before_;
    unsigned seen_ = 0;
    uint64_t cycles_ = 0, start_ = 0, limit_ = 1'000'000;
    long long number_ = -1;
    std::string outcome_ = "ok";
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: replay SCRIPT SEED [COUNTS]\n";
        return 2;
    }
    const unsigned seed = std::strtoul(argv[2], nullptr, 10);
    Verilated::randSeed(static_cast<int>(seed % 0x7FFFFFFF + 1));
    Verilated::randReset(2);
    std::ifstream script(argv[1]);
    Replay replay(seed);
    const int status = replay.script(script);
#if VM_COVERAGE
    if (argc > 3) Verilated::defaultContextp()->coveragep()->write(argv[3]);
#endif
    return status;
}
