"""Proofs of the codebook store."""

from amaranth.hdl import Cat, Signal
from harness import Bug, Harness, Proof
from memory_word import FollowedWord
from small_config import smaller

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic import codebook_store

CODES = 4


def _copies() -> Harness:
    """Prove what is sent by the cycles since a start, and one weight of all by when it came."""
    h = Harness()
    m = h.m
    dut = h.add(codebook_store.CodebookStore(smaller(
        SystolicConfig(code_width=4, program_depth=2), weight_width=2)))
    h.drive_others(dut)
    # Cycles left of the copy at hand, this one included; the next one may begin with its last.
    left = Signal(range(CODES + 1))
    with m.If(dut.start):
        m.d.sync += left.eq(CODES)
    with m.Elif(left != 0):
        m.d.sync += left.eq(left - 1)
    h.assume(left <= 1, when=dut.start)
    h.assume(dut.layer == h.past(dut.layer, "layer"), when=(left != 0) & (left != CODES))

    which = h.constant(len(dut.load_addr), "which")
    word = FollowedWord(h, "weight", which, write=dut.load_valid, addr=dut.load_addr,
                        data=dut.load_data[:2])
    # From the cycle of its turn to the copy: memory and two registers.
    late = h.past(left, "left", 3)
    h.check(dut.o_valid == (late != 0))
    h.check(dut.o_code == CODES - late, when=dut.o_valid)
    asked = h.past(word.known & ~word.written, "asked", 3) & dut.o_valid & (
        Cat(dut.o_code, h.past(dut.layer, "layer_then", 3)) == which)
    h.check(dut.o_weight == h.past(word.value, "value", 3), when=asked)
    # The last weight has been sent, and may be looked up, this long after a start.
    since = h.saturating("since", ~dut.start, CODES + 3)
    h.check(~dut.o_valid, when=since == CODES + 3)
    h.cover(asked & (dut.o_code == 2) & (dut.o_weight == 3) & (which[-1] == 1))
    h.cover(dut.start & (left == 1))
    return h


PROOFS = (
    Proof("codebook_store", "systolic/codebook_store.py",
          "two codebooks of 4 codes, weights of 2 bits: a start sends each code of its layer once, "
          "in order and time, with the weight that was loaded last", _copies,
          replaced=((codebook_store, "_CODES", CODES),),
          bugs=(Bug("the code is a cycle early", "delayed(m, code, 3, \"code\"",
                    "delayed(m, code, 2, \"code\""),
                Bug("the last code is not sent", "(sending & ~code.all())",
                    "(sending & ~code[1:].all())"))),
)
