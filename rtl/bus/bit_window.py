"""Bit window: shows the next bits of a sequence of words, and takes up to 16 of them a cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal
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
    less_one : ``In(4)``
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
            "less_one": In(4),
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
        zeros = Signal(range(5))  # Halves behind the last word, of those that have been filled in.

        ended = Signal()
        crosses, shift, fill, empties = Signal(), Signal(), Signal(), Signal()
        following = Signal(5)
        m.d.comb += [
            following.eq(position + self.less_one + 1),
            crosses.eq(self.take & following[4]),
            ended.eq(last & ~waiting_valid & ~word_valid),
            # A half moves on when the bits have crossed it, or in the beginning.
            shift.eq(next_valid & (crosses | ~behind_valid | ~bits_valid)),
            fill.eq((word_valid | ended) & (shift | ~next_valid)),
            empties.eq(fill & low),
            self.enough.eq(bits_valid & behind_valid & next_valid),
            self.short.eq(zeros[2] | ((zeros == 3) & (position != 0))),
            self.over.eq(~ended | (zeros == 0) | ((zeros == 1) & (position == 0))),
            self.i.ready.eq(~waiting_valid & ~last & ~self.clear),
        ]
        aligned = (Cat(next_behind, behind) << position)[_WIDTH:2 * _WIDTH]
        together = Cat(aligned, self.bits)
        with m.If(bits_valid):
            with m.If(self.take):
                m.d.sync += [
                    self.bits.eq((together << self.less_one)[_WIDTH - 1:2 * _WIDTH - 1]),
                    position.eq(following[:4]),
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
            with m.If(ended & ~zeros[2]):
                m.d.sync += zeros.eq(zeros + 1)
        with m.If(~word_valid | empties):
            m.d.sync += [word.eq(waiting), word_valid.eq(waiting_valid), waiting_valid.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [waiting.eq(self.i.payload.data), waiting_valid.eq(1),
                         last.eq(self.i.payload.last)]
        with m.If(self.clear):
            m.d.sync += [each.eq(0) for each in (
                waiting_valid, word_valid, low, last, bits_valid, behind_valid, next_valid,
                position, zeros)]
        return m
