"""Proofs of the tensor core's program sequencer."""

from typing import Any

from amaranth.hdl import Array, Mux, Signal
from amaranth.lib import data
from harness import Bug, Harness, Proof
from memory_word import FollowedWord

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.rtl.tensor_core import program_sequencer

# Words of a descriptor that are fetched, and words from one to the next.
_FETCHED, _WORDS = 3, 4
_DEPTH = 2


def _harness() -> tuple[Harness, program_sequencer.ProgramSequencer, dict[str, Signal]]:
    """Add a user, who ends nothing that has not begun, and loads between inferences.

    What is under way is known from what the sequencer has said, and from nothing else.
    """
    h = Harness()
    m = h.m
    dut = h.add(program_sequencer.ProgramSequencer(TensorCoreConfig(program_depth=_DEPTH)))
    h.drive_others(dut)
    runs, sends = Signal(), Signal()  # An inference, and its output's turn.
    layer, layers = Signal(range(_DEPTH + 1)), Signal(range(_DEPTH + 1))
    within = Signal()  # A descriptor is run.
    h.assume((dut.load_data > 0) & (dut.load_data <= _DEPTH), when=dut.load_layers)
    h.assume(~dut.load_en & ~dut.load_layers, when=runs | dut.begin)
    h.assume(~(dut.load_en & dut.load_layers))
    h.assume(layers != 0, when=dut.run)
    h.assume(within, when=dut.done)
    with m.If(dut.load_layers):
        m.d.sync += layers.eq(dut.load_data)
    with m.If(dut.begin):
        m.d.sync += [runs.eq(1), layer.eq(0)]
    with m.If(dut.start):
        m.d.sync += within.eq(1)
    with m.If(dut.done):
        m.d.sync += [within.eq(0), layer.eq(layer + 1), sends.eq(layer + 1 == layers)]
    with m.If(dut.sending & dut.sent):
        m.d.sync += [runs.eq(0), sends.eq(0)]
    return h, dut, {"runs": runs, "sends": sends, "layer": layer, "layers": layers,
                    "within": within}


def _order() -> Harness:
    """Input, descriptors, output: each once, in order, in its time."""
    h, dut, state = _harness()
    m = h.m
    received = Signal()
    with m.If(dut.receiving & dut.received):
        m.d.sync += received.eq(1)
    with m.If(dut.begin):
        m.d.sync += received.eq(0)
    idle = ~state["runs"]
    h.check(dut.receiving == (idle & ~received))
    h.check(dut.waiting == (idle & received))
    h.check(dut.begin == (dut.waiting & dut.run))
    h.check(dut.sending == state["sends"])
    h.check(dut.layer == state["layer"], when=state["within"] | dut.start)
    # A word a cycle, one cycle until the last of them is there, and one to know it.
    fetches = Signal()
    m.d.comb += fetches.eq(dut.begin | (dut.done & (state["layer"] + 1 != state["layers"])))
    h.check(dut.start == h.past(fetches, "fetches", _FETCHED + 2))
    h.cover(dut.sending & (state["layers"] == 2))
    h.cover(dut.begin & h.past(dut.receiving, "receiving", 3) & (state["layers"] == 1))
    return h


def _descriptors() -> Harness:
    """Any one word of any descriptor is what was loaded last, from its start to its end."""
    h, dut, state = _harness()
    word, number = h.constant(2, "word"), h.constant(1, "number")
    h.assume(word < _FETCHED)
    # Bits of a word are alike.
    kept = FollowedWord(h, "kept", number * _WORDS + word, write=dut.load_en,
                        addr=dut.load_addr[:3], data=dut.load_data[:4])
    shown: Any = Array(dut.descriptor[each] for each in range(_FETCHED))[word]
    runs = (state["within"] | dut.start) & (state["layer"] == number)
    h.check(shown[:4] == kept.value, when=runs & kept.known)
    h.cover(runs & kept.known & (kept.value == 9) & number & Mux(word == 2, 1, 0))
    return h


_REPLACED = ((program_sequencer, "FETCHED", _FETCHED),
             (program_sequencer, "DESCRIPTOR_WORDS", _WORDS),
             (program_sequencer, "DESCRIPTOR", data.ArrayLayout(32, _FETCHED)))

PROOFS = (
    Proof("tensor_program_order", "tensor_core/program_sequencer.py",
          "an input, up to two descriptors and the output: each has its turn once and in order; a "
          "descriptor starts a known number of cycles after the one before has ended", _order,
          cover_depth=26, replaced=_REPLACED,
          bugs=(Bug("the last descriptor is run again", "with m.If(self.layer == last_layer):",
                    "with m.If(self.layer == last_layer + 1):"),
                Bug("an output is not waited for", "with m.If(self.sent):", "with m.If(1):"))),
    Proof("tensor_program_descriptors", "tensor_core/program_sequencer.py",
          "of two descriptors of three words: from its start to its end each is what was loaded",
          _descriptors, cover_depth=26, replaced=_REPLACED,
          bugs=(Bug("the last word is not taken", "arriving.eq(word != FETCHED)",
                    "arriving.eq(word < FETCHED - 1)"),
                Bug("all descriptors are the first one", "self.layer)),", "self.layer & 0)),"))),
)
