"""Proofs of the sequencer of a node."""

from amaranth.hdl import Array, Mux, Signal
from harness import Bug, Harness, Proof
from memory_word import FollowedWord

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.rtl.dadiannao import sequencer

# Words of an instruction, and instructions of the memory.
_WORDS, _DEPTH = 3, 2


def _harness() -> tuple[Harness, sequencer.Sequencer, dict[str, Signal]]:
    """Add a user, who ends what has begun, and loads when nothing is under way."""
    h = Harness()
    m = h.m
    dut = h.add(sequencer.Sequencer(DaDianNaoConfig(program_depth=_DEPTH)))
    h.drive_others(dut)
    runs, within = Signal(), Signal()  # The program, and an instruction.
    number = Signal(range(_DEPTH + 1))
    h.assume((dut.count != 0) & (dut.count <= _DEPTH))
    h.assume(dut.count == h.past(dut.count, "count"), when=runs)
    h.assume(~runs, when=dut.begin)
    h.assume(~runs & ~dut.begin, when=dut.load_valid)
    h.assume(within, when=dut.done)
    with m.If(dut.begin):
        m.d.sync += [runs.eq(1), number.eq(0)]
    with m.If(dut.start):
        m.d.sync += within.eq(1)
    with m.If(dut.done):
        m.d.sync += [within.eq(0), number.eq(number + 1), runs.eq(number + 1 != dut.count)]
    return h, dut, {"runs": runs, "within": within, "number": number}


def _order() -> Harness:
    """Count starts and ends, and the cycles that a fetch takes behind the start before."""
    h, dut, state = _harness()
    m = h.m
    # An instruction is asked for with the program, and then a cycle before the start of the one
    # before it. A word a cycle, two until the last one is there, and two until it is taken.
    wait = Signal(range(_WORDS + 4))
    m.d.sync += wait.eq(Mux(wait == 0, 0, wait - 1))
    with m.If(dut.begin):
        m.d.sync += wait.eq(_WORDS + 3)
    with m.If(dut.start):
        m.d.sync += wait.eq(_WORDS + 2)
    within = state["within"]
    before = h.past(within, "within_before")
    h.check(dut.start == (state["runs"] & (wait == 0) & ~within & ~before))
    h.check(dut.finished == h.past(dut.done & (state["number"] + 1 == dut.count), "finishes"))
    h.cover(dut.finished & (dut.count == 2))
    h.cover(dut.start & (state["number"] == 1) & h.past(dut.done, "done", 2))
    h.cover(dut.start & (state["number"] == 1) & ~h.past(dut.done, "done_before", 2))
    return h


def _instructions() -> Harness:
    """Any one word of any instruction is what was loaded last, from its start to its end."""
    h, dut, state = _harness()
    word, number = h.constant(2, "word"), h.constant(1, "number")
    h.assume(word < _WORDS)
    # Bits of a word are alike.
    kept = FollowedWord(h, "kept", number * _WORDS + word, write=dut.load_valid,
                        addr=dut.load_addr, data=dut.load_data[:4])
    shown = Array(dut.instruction.word_select(each, 32)[:4] for each in range(_WORDS))[word]
    runs = (state["within"] | dut.start) & (state["number"] == number)
    h.check(shown == kept.value, when=runs & kept.known)
    h.cover(runs & kept.known & (kept.value == 9) & number & (word == 2))
    h.cover(runs & kept.known & (kept.value == 9) & ~number & (word == 0))
    return h


_REPLACED = ((sequencer, "INSTRUCTION_WORDS", _WORDS),
             (sequencer, "INSTRUCTION_WIDTH", 32 * _WORDS))

PROOFS = (
    Proof("dadiannao_sequencer_order", "dadiannao/sequencer.py",
          "up to two instructions: each starts once, in time, behind the end of the one before; "
          "the end of the last one is told", _order, replaced=_REPLACED,
          bugs=(Bug("an instruction starts before all of it is there", "& (missing == 0)",
                    "& (unread == 0)"),
                Bug("an instruction starts before the last one has ended",
                    "swap.eq((left != 0) & ~active", "swap.eq((left != 0)"))),
    Proof("dadiannao_sequencer_instructions", "dadiannao/sequencer.py",
          "two instructions of three words: from its start to its end each is what was loaded",
          _instructions, replaced=_REPLACED,
          bugs=(Bug("the next instruction shows before its start",
                    "m.d.sync += [self.instruction.eq(following), active.eq(1)]",
                    "m.d.sync += active.eq(1)\n        m.d.sync += self.instruction.eq(following)"),
                Bug("a program begins where the last one ended", "m.d.sync += [addr.eq(0), ",
                    "m.d.sync += ["))),
)
