"""Bit window: shows the next bits of a sequence of words, and takes up to 16 of them a cycle."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.rtl.bus.skid_buffer import beat_layout

__all__ = ["BitWindow"]

_WIDTH = 16


class BitWindow(wiring.Component):
    """Takes words of 32 bits, of which the highest bit is the first.

    What comes behind the window's bits is aligned to them while it is being found how many to take,
    and then both are shifted. There are 16 bits in every cycle as long as words come, and zeros
    behind the last one. The first 16 bits are no word's, and of any value.

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
    less_one : ``Out(4)``
        How many, less 1.
    exhausted : ``Out(1)``
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
    less_one: Signal
    exhausted: Signal
    over: Signal
    clear: Signal

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(beat_layout(32))),
            "bits": Out(_WIDTH),
            "enough": Out(1),
            "take": In(1),
            "longer": In(_WIDTH - 1),
            "less_one": Out(4),
            "exhausted": Out(1),
            "over": Out(1),
            "clear": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Words that wait, and three halves behind the one that the window's bits began in when the
        # last half moved on: it does so in the cycle after they have crossed it.
        waiting, word = Signal(2 * _WIDTH, reset_less=True), Signal(2 * _WIDTH, reset_less=True)
        waiting_valid, word_valid = Signal(), Signal()
        low = Signal()  # Only the lower half of `word` is left.
        last = Signal()  # The last word has come.
        halves = [Signal(_WIDTH, name=f"half_{number}", reset_less=True) for number in range(3)]
        valid = Signal(len(halves))
        position = Signal(range(2 * _WIDTH))
        zeros = Signal(range(6))  # Halves behind the last word that have been filled in.

        # What is behind the bits, and what is behind those that are taken: first by fours, then by
        # ones, which each bit of `longer` chooses as it is.
        aligned = _shift(Cat(*reversed(halves))[1:], position)
        ahead = Cat(aligned, self.bits)[:-1]
        fours = [Cat(ahead[12 - first:31 - first], self.longer[first:first + 3])
                 for first in range(0, _WIDTH, 4)]
        by_fours = _choose(fours, self.longer[3:12:4])
        ones = by_fours[-3:]
        by_ones = [by_fours[3 - number:19 - number] for number in range(4)]
        ended, leaves, fill = Signal(), Signal(len(halves) + 1), Signal()
        m.d.comb += [
            self.less_one.eq(Cat(Mux(ones[1], ones[2], ones[0]), ones[1],
                                 Mux(self.longer[7], self.longer[11], self.longer[3]),
                                 self.longer[7])),
            ended.eq(last & ~waiting_valid & ~word_valid),
            # A half moves on if the one before it has, or is missing.
            leaves[0].eq(position[-1]),
            *(leaves[number + 1].eq(leaves[number] | ~valid[number]) for number in range(3)),
            fill.eq(leaves[-1] & (word_valid | ended)),
            self.enough.eq(valid.all()),
            self.exhausted.eq((zeros > 4) | ((zeros == 4) & (position != 0))
                          | ((zeros == 3) & (position > _WIDTH))),
            self.over.eq(~ended | (zeros == 0) | ((zeros == 1) & (position <= _WIDTH))
                         | ((zeros == 2) & (position == 0))),
            self.i.ready.eq(~waiting_valid & ~last & ~self.clear),
        ]
        m.d.sync += position.eq(position[:-1])
        with m.If(self.take):
            m.d.sync += [self.bits.eq(_choose(by_ones, ones)),
                         position.eq(position[:-1] + self.less_one + 1)]
        for number, half in enumerate(halves[:-1]):
            with m.If(leaves[number + 1]):
                m.d.sync += [half.eq(halves[number + 1]), valid[number].eq(valid[number + 1])]
        with m.If(leaves[-1]):
            m.d.sync += [
                halves[-1].eq(Mux(ended, 0, Mux(low, word[:_WIDTH], word[_WIDTH:]))),
                valid[-1].eq(fill),
                low.eq(low ^ (word_valid & fill)),
            ]
        with m.If(fill & ended & (zeros < 5)):
            m.d.sync += zeros.eq(zeros + 1)
        with m.If(~word_valid | (fill & low)):
            m.d.sync += [word.eq(waiting), word_valid.eq(waiting_valid), waiting_valid.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [waiting.eq(self.i.payload.data), waiting_valid.eq(1),
                         last.eq(self.i.payload.last)]
        with m.If(self.clear):
            m.d.sync += [each.eq(0) for each in (
                waiting_valid, word_valid, low, last, valid, position, zeros)]
        return m


def _choose(values: Sequence[Value], more: Value) -> Value:
    """Choose one of four: the second one if there is more than the first, and so on."""
    return Mux(more[1], Mux(more[2], values[3], values[2]), Mux(more[0], values[1], values[0]))


def _shift(value: Value, amount: Value) -> Value:
    """Shift up, by the highest bit of the amount first; return as many bits as are sure."""
    for stage in reversed(range(len(amount))):
        distance = 1 << stage
        value = Mux(amount[stage], value[:-distance], value[distance:])
    return value
