// Simulates a board: clocks a Verilated design whose ports are clk, rst, rx and tx, and carries the
// bytes of its serial line to and from a file descriptor, such as a pseudo-terminal's.
//
//   uart_board FD DIVISOR SEED FLIP GLITCH DROP INSERT
//
// DIVISOR is the clocks of a bit. The last four are probabilities of noise: that a bit on the line is
// inverted, that a bit is inverted for one clock, that a byte is lost, and that a random byte comes
// before one. It runs until it gets SIGTERM or its parent ends, and then prints what it did as JSON.

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <random>

#include "Vuart_board.h"
#include "verilated.h"

namespace {

// Clocks between two looks at the descriptor, and clocks without a byte after which the simulation
// leaves the processor to others while it waits.
constexpr uint64_t kLook = 64;
constexpr uint64_t kQuiet = 200'000;

volatile sig_atomic_t stopped = 0;

class Noise {
  public:
    Noise(unsigned seed, char** rates)
        : random_(seed), flip_(atof(rates[0])), glitch_(atof(rates[1])), drop_(atof(rates[2])),
          insert_(atof(rates[3])) {}

    bool flip() { return happens(flip_, flips); }
    bool glitch() { return happens(glitch_, glitches); }
    bool drop() { return happens(drop_, drops); }
    bool insert() { return happens(insert_, inserts); }
    unsigned number(unsigned below) { return random_() % below; }

    unsigned flips = 0, glitches = 0, drops = 0, inserts = 0;

  private:
    bool happens(double rate, unsigned& count) {
        const bool yes = rate > 0 && random_() < rate * 4294967296.0;
        count += yes;
        return yes;
    }

    std::mt19937 random_;
    double flip_, glitch_, drop_, insert_;
};

// Turns bytes into the level of a line, a clock at a time.
class Sender {
  public:
    Sender(unsigned divisor, Noise& noise) : divisor_(divisor), noise_(noise) {}

    bool idle() const { return left_ == 0 && queue_.empty(); }

    void put(uint8_t byte) {
        if (noise_.insert()) queue_.push_back(noise_.number(256));
        if (!noise_.drop()) queue_.push_back(byte);
    }

    bool level() {
        if (clock_ == 0) {
            if (left_ == 0) {
                if (queue_.empty()) return true;
                bits_ = 1u << 9 | queue_.front() << 1;
                queue_.pop_front();
                left_ = 10;
            }
            bit_ = (bits_ & 1) ^ noise_.flip();
            bits_ >>= 1;
            glitch_ = noise_.glitch() ? noise_.number(divisor_) : divisor_;
        }
        const bool level = bit_ ^ (clock_ == glitch_);
        if (++clock_ == divisor_) {
            clock_ = 0;
            --left_;
        }
        return level;
    }

  private:
    unsigned divisor_;
    Noise& noise_;
    std::deque<uint8_t> queue_;
    unsigned bits_ = 0, left_ = 0, clock_ = 0, glitch_ = 0;
    bool bit_ = true;
};

// Turns the level of a line into bytes.
class Receiver {
  public:
    explicit Receiver(unsigned divisor) : divisor_(divisor) {}

    bool idle() const { return left_ == 0; }

    // Takes the level of a clock; true if a byte is whole.
    bool take(bool level) {
        if (left_ == 0) {
            if (!level) {
                left_ = 10;
                clock_ = divisor_ / 2;
            }
            return false;
        }
        if (--clock_ != 0) return false;
        clock_ = divisor_;
        byte = level ? byte >> 1 | 0x80 : byte >> 1;
        if (--left_ == 1) whole_ = byte;
        if (left_ == 0) byte = whole_;
        return left_ == 0;
    }

    uint8_t byte = 0;

  private:
    unsigned divisor_, left_ = 0, clock_ = 0;
    uint8_t whole_ = 0;
};

void hand_on(int descriptor, uint8_t byte) {
    while (write(descriptor, &byte, 1) != 1) {
        if (errno != EAGAIN && errno != EINTR) return;
        pollfd out{descriptor, POLLOUT, 0};
        poll(&out, 1, 10);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: uart_board FD DIVISOR SEED FLIP GLITCH DROP INSERT\n");
        return 2;
    }
    const int descriptor = atoi(argv[1]);
    const unsigned divisor = strtoul(argv[2], nullptr, 10);
    Noise noise(strtoul(argv[3], nullptr, 10), argv + 4);
    signal(SIGTERM, [](int) { stopped = 1; });
    const pid_t parent = getppid();

    const auto context = std::make_unique<VerilatedContext>();
    const auto top = std::make_unique<Vuart_board>(context.get());
    Sender sender(divisor, noise);
    Receiver receiver(divisor);
    uint64_t cycle = 0, last_byte = 0, sent = 0, received = 0, carrying = 0;
    top->rx = 1;
    top->rst = 1;
    while (!stopped) {
        top->rst = cycle < 4;
        top->rx = sender.level();
        top->clk = 0;
        top->eval();
        top->clk = 1;
        top->eval();
        ++cycle;
        carrying += !sender.idle() || !receiver.idle();
        if (receiver.take(top->tx)) {
            // It is whole in the middle of its stop bit.
            if (sender.idle()) carrying += divisor - divisor / 2;
            last_byte = cycle;
            ++received;
            uint8_t byte = receiver.byte;
            for (unsigned bit = 0; bit < 8; ++bit) byte ^= noise.flip() << bit;
            if (noise.insert()) hand_on(descriptor, noise.number(256));
            if (!noise.drop()) hand_on(descriptor, byte);
        }
        if (cycle % kLook == 0 && sender.idle()) {
            if (cycle - last_byte > kQuiet && receiver.idle()) {
                if (getppid() != parent) break;
                pollfd in{descriptor, POLLIN, 0};
                poll(&in, 1, 1);
            }
            uint8_t buffer[256];
            const ssize_t count = read(descriptor, buffer, sizeof buffer);
            for (ssize_t place = 0; place < count; ++place) sender.put(buffer[place]);
            if (count > 0) {
                last_byte = cycle;
                sent += count;
            }
        }
    }
    top->final();
    printf("{\"cycles\": %llu, \"line_cycles\": %llu, "
           "\"bytes_to_board\": %llu, \"bytes_from_board\": %llu, "
           "\"flips\": %u, \"glitches\": %u, \"drops\": %u, \"inserts\": %u}\n",
           (unsigned long long)cycle, (unsigned long long)carrying, (unsigned long long)sent, (unsigned long long)received,
           noise.flips, noise.glitches, noise.drops, noise.inserts);
    return 0;
}
