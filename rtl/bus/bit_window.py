"""Bit window: shows the next bits of a sequence of words, and takes up to 16 of them a cycle."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.rtl.bus.skid_buffer import beat_layout

__all__ = ["BitWindow"]

_WIDTH = 16


class BitWindow(wiring.Component):
    """Takes words of 32 bits, of which the highest bit is the first.

    What comes behind the window's bits is aligned to them while it is being found how many to take,
    and then both are shifted. There are 16 bits in every cycle as long as words come, and zeros
    behind the last one.

    Members
    -------
    i : ``In(stream.Signature(beat_layout(32)))``
        Words; ``ready`` follows from registers.
    bits : ``Out(16)``
        The next bits, the first one highest.
    enough : ``Out(1)``
        They are there.
    take : ``In(1)``
        Take some of them; only while there are ``enough``.
    longer : ``In(15)``
        How many: the lowest bit says that they are more than 1, the next one more than 2, and so
        on.
    byte : ``In(1)``
        They are 8, whatever ``longer`` says.
    less_one : ``Out(4)``
        How many, less 1.
    short : ``Out(1)``
        More were taken than had come with all words; from the cycle after that on.
    over : ``Out(1)``
        A word or more is left, or to come.
    clear : ``In(1)``
        Forget everything; no word is accepted meanwhile.
    """

    i: stream.Interface
    bits: Signal
    enough: Signal
    take: Signal
    longer: Signal
    byte: Signal
    less_one: Signal
    short: Signal
    over: Signal
    clear: Signal

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(beat_layout(32))),
            "bits": Out(_WIDTH),
            "enough": Out(1),
            "take": In(1),
            "longer": In(_WIDTH - 1),
            "byte": In(1),
            "less_one": Out(4),
            "short": Out(1),
            "over": Out(1),
            "clear": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Words that wait, and the halves behind the window's bits, which begin within the one
        # before them.
        waiting, word = Signal(2 * _WIDTH, reset_less=True), Signal(2 * _WIDTH, reset_less=True)
        waiting_valid, word_valid = Signal(), Signal()
        low = Signal()  # Only the lower half of `word` is left.
        last = Signal()  # The last word has come.
        behind, next_behind = Signal(_WIDTH, reset_less=True), Signal(_WIDTH, reset_less=True)
        bits_valid, behind_valid, next_valid = Signal(), Signal(), Signal()
        position = Signal(range(_WIDTH))
        # Halves behind the last word that have been filled in: one in the cycle before, and others.
        zero, zeros_before, zeros = Signal(), Signal(range(5)), Signal(range(5))

        ended = Signal()
        crosses, shift, fill, empties = Signal(), Signal(), Signal(), Signal()
        # Each bit of `less_one` is 1 from some numbers on, up to others; none waits for another.
        number = [Cat(*(self.longer[first] & ~self.longer[first + (1 << bit)]
                        if first + (1 << bit) < _WIDTH - 1 else self.longer[first]
                        for first in range((1 << bit) - 1, _WIDTH - 1, 2 << bit))).any()
                  for bit in range(4)]
        m.d.comb += [
            self.less_one.eq(Mux(self.byte, 7, Cat(*number))),
            crosses.eq(self.take & Mux(self.byte, position[-1],
                                       _choose([1, *self.longer], ~position))),
            ended.eq(last & ~waiting_valid & ~word_valid),
            # A half moves on when the bits have crossed it, or in the beginning.
            shift.eq(next_valid & (crosses | ~behind_valid | ~bits_valid)),
            fill.eq((word_valid | ended) & (shift | ~next_valid)),
            empties.eq(fill & low),
            zeros.eq(zeros_before + zero),
            self.enough.eq(bits_valid & behind_valid & next_valid),
            self.short.eq(zeros[2] | ((zeros == 3) & (position != 0))),
            self.over.eq(~ended | (zeros == 0) | ((zeros == 1) & (position == 0))),
            self.i.ready.eq(~waiting_valid & ~last & ~self.clear),
        ]
        aligned = _shift(Cat(next_behind, behind)[1:], position)
        # Of what is taken the higher bits are known first.
        shifted = _shift(Cat(aligned, self.bits)[:-1], self.less_one)
        with m.If(bits_valid):
            with m.If(self.take):
                m.d.sync += [
                    self.bits.eq(shifted),
                    position.eq(position + self.less_one + 1),
                ]
        with m.Else():
            m.d.sync += [self.bits.eq(behind), bits_valid.eq(behind_valid)]
        with m.If(shift):
            m.d.sync += [behind.eq(next_behind), behind_valid.eq(1), next_valid.eq(0)]
        with m.If(fill):
            m.d.sync += [
                next_behind.eq(Mux(ended, 0, Mux(low, word[:_WIDTH], word[_WIDTH:]))),
                next_valid.eq(1),
                low.eq(~low & ~ended),
            ]
        m.d.sync += [zero.eq(fill & ended), zeros_before.eq(zeros)]
        with m.If(zeros[2]):
            m.d.sync += [zero.eq(0), zeros_before.eq(zeros_before)]
        with m.If(~word_valid | empties):
            m.d.sync += [word.eq(waiting), word_valid.eq(waiting_valid), waiting_valid.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [waiting.eq(self.i.payload.data), waiting_valid.eq(1),
                         last.eq(self.i.payload.last)]
        with m.If(self.clear):
            m.d.sync += [each.eq(0) for each in (
                waiting_valid, word_valid, low, last, bits_valid, behind_valid, next_valid,
                position, zero, zeros_before)]
        return m


def _choose(values: Sequence[ValueLike], index: Value) -> ValueLike:
    """Choose by a tree of multiplexers, of which the values that come late pass the fewest."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    return Mux(index[-1], _choose(values[half:], index[:-1]), _choose(values[:half], index[:-1]))


def _shift(value: Value, amount: Value) -> Value:
    """Shift up, by the highest bit of the amount first; return as many bits as are sure."""
    for stage in reversed(range(len(amount))):
        distance = 1 << stage
        value = Mux(amount[stage], value[:-distance], value[distance:])
    return value
