"""Proofs of the residual addition, of parts that rescale nothing."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from harness import Bug, Harness, Proof

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field
from eieio.rtl.requantize import Requantize
from eieio.rtl.systolic import residual
from eieio.rtl.systolic.activation_buffer import ActivationBuffer

# Bits of an activation: four tell its word, and two its place there.
_BITS = 6
# Bits of an operand, which is moved up by one.
_WIDTH = _BITS + 2
_DEPTH = 16
_RESCALE = 1
# Of both tensors.
_ZERO_POINTS, _MULTIPLIERS, _SHIFTS = (1, 3), (1, 2), (3, 1)


def _activation(addr: Value, place: Value) -> Value:
    """Return what is in a place of a word."""
    return Cat(addr[:4], place[:2])


def _rescaled(operand: Value, multiplier: Value, shift: Value) -> Value:
    """Return something of an operand, of its multiplier and of its shift."""
    return (operand ^ Cat(multiplier[:2], shift[:2]))[:_BITS + 1].as_signed()


class _Rescale(Requantize):
    """Stands for the rescaling of an operand."""

    def __init__(self, *, logic: bool) -> None:
        del logic
        super().__init__(accumulator_width=_WIDTH, output_width=_WIDTH)
        self.latency = _RESCALE
        self.parameters = ()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.output.eq(_rescaled(self.acc >> 1, self.multiplier, self.shift))
        return m


def _layer(rows: int, lanes: int, words: Value | int) -> tuple[
        Harness, residual.Residual, dict[str, Signal]]:
    """Count the words of a layer, and the cycles of each; addresses tell the numbers of words."""
    h = Harness()
    m = h.m
    dut = h.add(residual.Residual(SystolicConfig(rows=rows, columns=lanes, lanes=lanes,
                                                 activation_depth=_DEPTH, parameter_depth=2)))
    for field, value in (
            (Field.SOURCE, 4), (Field.SECOND_SOURCE, 8), (Field.DESTINATION, 12),
            (Field.WINDOWS, words), (Field.PARAMETERS, 1),
            (Field.FIRST_MULTIPLIER, _MULTIPLIERS[0]), (Field.SECOND_MULTIPLIER, _MULTIPLIERS[1]),
            (Field.ADD_OPERANDS, Cat(Const(value, 8) for value in (*_SHIFTS, *_ZERO_POINTS)))):
        m.d.comb += dut.descriptor[field].eq(value)
    h.drive(start=dut.start)
    m.d.comb += dut.word.eq(h.past(Cat(
        _activation(dut.read_addr, Const(place, 2)) for place in range(rows)),
        "word", ActivationBuffer.latency))
    period = max(2, rows // lanes)
    runs, word, phase = Signal(), Signal(2), Signal(range(period))
    with m.If(runs):
        m.d.sync += phase.eq(phase + 1)
        with m.If(phase == period - 1):
            m.d.sync += [phase.eq(0), word.eq(word + 1), runs.eq(word != words - 1)]
    with m.If(dut.start):
        m.d.sync += [runs.eq(1), word.eq(0), phase.eq(0)]
    h.assume(~runs, when=dut.start)
    return h, dut, {"runs": runs, "word": word, "phase": phase}


def _groups(rows: int, lanes: int) -> Harness:
    """Say of each cycle what is read in it, and which group follows."""
    words = Signal(2, name="words")
    h, dut, at = _layer(rows, lanes, words)
    m = h.m
    last_word = h.constant(1, "last_word")
    m.d.comb += [words.eq(h.constant(2, "any_words")),
                 dut.descriptor[Field.OPERATION].eq(Cat(Const(0, 8), last_word))]
    h.assume(words != 0)
    runs, word, phase, groups = at["runs"], at["word"], at["phase"], rows // lanes
    place = word[0] & last_word
    h.check(dut.read_addr == Cat(word, Mux(phase == 0, 1, 2)), when=runs & (phase < 2))
    h.check(dut.read_last == (place == last_word), when=runs)
    # Both words are there four cycles behind the first read, and then a group a cycle.
    late = 4 + _RESCALE
    valid = h.past(runs & (phase < groups), "valid", late)
    h.check(dut.o.valid == valid)
    h.check(dut.o.addr == Cat(h.past(word, "word_then", late), Const(3, 2)), when=valid)
    h.check(dut.o.group == h.past(phase, "group", late), when=valid)
    h.check(dut.o.last == h.past(runs & (phase == groups - 1) & (word == words - 1), "last", late))
    h.check(dut.o.parameter_addr == 1, when=valid)
    h.cover(dut.o.last & (words == 3) & last_word)
    return h


_REPLACED = ((residual, "ACTIVATION_BITS", _BITS), (residual, "ADD_LEFT_SHIFT", 1),
             (residual, "_WIDTH", _WIDTH), (residual, "_Rescale", _Rescale))

PROOFS = (
    Proof("residual_groups_3", "systolic/residual.py",
          "up to three words in three groups of one lane: a word of each tensor is read in turn, "
          "and their groups follow in time, each with its place",
          lambda: _groups(3, 1), replaced=_REPLACED,
          bugs=(Bug("a word's place is that of the next one", "taken_addr.eq(addrs[3])",
                    "taken_addr.eq(addrs[0])"),)),
)
