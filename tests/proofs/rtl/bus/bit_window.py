"""Proofs of the bit window: how many bits there are, and when; not which they are."""

from amaranth.hdl import Mux, Signal, signed
from harness import Bug, Harness, Proof
from inside import Opened, open_up

from eieio.rtl.bus.bit_window import BitWindow

_WIDTH = 16


def _driven(h: Harness) -> tuple[BitWindow, Opened, Signal]:
    """Return a window whose user keeps its rules, its registers, and how many bits are taken."""
    dut = BitWindow()
    inside = open_up(h, dut)
    h.drive(i_valid=dut.i.valid, last=dut.i.payload.last, clear=dut.clear)
    takes, less_one, count = h.free(1, "takes"), h.free(4, "less_one"), Signal(5)
    h.m.d.comb += [
        dut.take.eq(takes & dut.enough),
        dut.longer.eq((1 << less_one) - 1),
        count.eq(Mux(dut.take, less_one + 1, 0)),
    ]
    h.check(dut.less_one == less_one)
    return dut, inside, count


def _count() -> Harness:
    """Prove how many bits there are, by counting them."""
    h = Harness()
    m = h.m
    dut, inside, count = _driven(h)
    accepts = dut.i.valid & dut.i.ready
    # Bits of words that are left, and the first 16, which are no word's.
    real, whole = Signal(signed(9), init=_WIDTH), Signal()
    m.d.sync += real.eq(Mux(real < -64, real, real - count) + Mux(accepts, 32, 0))
    with m.If(accepts):
        m.d.sync += whole.eq(dut.i.payload.last)
    with m.If(dut.clear):
        m.d.sync += [real.eq(_WIDTH), whole.eq(0)]
    h.check(dut.exhausted == (real < 0), when=dut.enough)
    h.check(dut.over == (~whole | (real >= 32)), when=dut.enough)
    h.check(~whole & ~dut.clear, when=dut.i.ready)
    h.check(real >= 2 * _WIDTH, when=dut.enough & ~whole)

    # Of these follows the former: how many are in which register.
    position, zeros, low = inside["position"], inside["zeros"], inside["low"]
    valid, word_valid, waiting_valid = inside["valid"], inside["word_valid"], inside["unnamed_3"]
    h.check(inside["last"] == whole)
    h.check(word_valid, when=low)
    h.check(whole & ~word_valid & ~waiting_valid & (zeros <= 5), when=zeros != 0)
    h.check(valid[0], when=position != 0)
    h.check(valid[1], when=position[-1])
    held = Signal(signed(9))
    m.d.comb += held.eq(_WIDTH + sum(Mux(bit, 16, 0) for bit in valid) - position
                        + Mux(word_valid, Mux(low, 16, 32), 0) + Mux(waiting_valid, 32, 0)
                        - (zeros << 4))
    h.check(real == held, when=zeros < 5)
    h.check(real < 0, when=zeros == 5)
    h.cover(dut.enough & ~whole & (real == 35))
    h.cover(dut.exhausted & dut.enough)
    h.cover(h.past(dut.clear, "cleared") & (real == _WIDTH) & dut.i.ready)
    return h


def _rate() -> Harness:
    h = Harness()
    dut, _, _ = _driven(h)
    accepts = dut.i.valid & dut.i.ready
    ended = Signal()
    with h.m.If(dut.clear):
        h.m.d.sync += ended.eq(0)
    with h.m.Elif(accepts):
        h.m.d.sync += ended.eq(dut.i.payload.last)
    fed = h.saturating("fed", (dut.i.valid | ended) & ~dut.clear, 6)
    h.check(dut.enough, when=fed == 6)
    h.cover((fed == 6) & ~ended & dut.take)
    return h


PROOFS = (
    Proof("bit_window_count", "bus/bit_window.py",
          "any words, 1 to 16 bits taken in any cycles, cleared at any time: whether a word is "
          "left, and whether more was taken than had come, is told when the next bits are there",
          _count,
          bugs=(Bug("zeros behind the last word count as bits of words",
                    "fill & ended & (zeros < 5)", "fill & ended & (zeros < 1)"),
                Bug("a bit too many is moved away", "position[:-1] + self.less_one + 1",
                    "position[:-1] + self.less_one + 2"))),
    Proof("bit_window_rate", "bus/bit_window.py",
          "there are 16 bits in every cycle from the sixth on in which words come, or the last one "
          "has", _rate,
          bugs=(Bug("the last half moves on by itself",
                    "leaves[number + 1].eq(leaves[number] | ~valid[number])",
                    "leaves[number + 1].eq(leaves[number])"),)),
)
