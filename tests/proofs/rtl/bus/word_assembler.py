"""Proofs of the word assembler: which symbols come, and when; not what words they make."""

from amaranth.hdl import Signal
from harness import Bug, Harness, Proof

from eieio.model.word_layout import LayoutField, WordLayout
from eieio.rtl.bus.word_assembler import WordAssembler

LAYOUTS = {1: WordLayout((LayoutField(4, 8, 1), LayoutField(12, 4, 2)), delta=True),
           2: WordLayout((LayoutField(16, 8, 3),))}

_LATENCY = 2


def _squash() -> Harness:
    """Prove which symbols come."""
    h = Harness()
    m = h.m
    dut = h.add(WordAssembler(LAYOUTS, _LATENCY))
    h.drive(o_ready=dut.o.ready, start=dut.start, symbol=dut.symbol)
    takes, squash = h.free(1, "takes"), h.free(1, "squashes")
    m.d.comb += [dut.take.eq(takes & dut.advance),
                 dut.squash.eq(squash & h.past(dut.take, "took"))]
    first, second = Signal(), Signal()
    with m.If(dut.advance):
        m.d.sync += [first.eq(dut.take & ~dut.squash), second.eq(first & ~dut.squash)]
    with m.Elif(dut.squash):
        m.d.sync += first.eq(0)
    h.check(dut.asked == first)
    h.check(dut.empty == ~(first | second | dut.o.valid))
    h.check(h.past(second, "second") | ~h.past(dut.advance, "advance"), when=dut.o.valid)
    h.check_stream(dut.o.valid, dut.o.ready, 0)
    h.cover(dut.o.valid & dut.squash)
    h.cover(second & dut.squash & first)
    return h


PROOFS = (
    Proof("word_assembler_squash", "bus/word_assembler.py",
          "symbols that were asked for come two cycles of advance later, but for those that a "
          "squash finds in its cycle and the one before; a word comes behind one, and is offered "
          "until it is taken", _squash, cover_depth=30,
          bugs=(Bug("what a squash finds comes all the same", "valid[0] & ~self.squash, valid[1:]",
                    "valid[0], valid[1:]"),)),
)
