"""Bit window: shows the next bits of a sequence of words, and takes up to 16 of them a cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.rtl.bus.skid_buffer import beat_layout

__all__ = ["BitWindow"]

_WIDTH = 16


class BitWindow(wiring.Component):
    """Takes words of 32 bits, of which the highest bit is the first.

    Half a word comes behind the bits that are left while they are shifted, so that there are 16
    bits in every cycle as long as words come.

    Members
    -------
    i : ``In(stream.Signature(beat_layout(32)))``
        Words. ``ready`` follows from ``take``.
    bits : ``Out(16)``
        The next bits, the first one highest; 0 beyond the end.
    enough : ``Out(1)``
        They are all there, or the last word has come.
    take : ``In(1)``
        Take some of them; only while there are ``enough``.
    less_one : ``In(4)``
        How many, less 1.
    short : ``Out(1)``
        More were taken than there were; from the cycle after that on.
    over : ``Out(1)``
        A word or more is left, or to come.
    last : ``Out(1)``
        The last word has been accepted.
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
    last: Signal
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
            "last": Out(1),
            "clear": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Bits from the highest on, of which `count` are there: at most 31 before half a word comes.
        held = Signal(2 * _WIDTH + _WIDTH - 1)
        count = Signal(7)  # Its highest bit says that it is negative.
        word = Signal(2 * _WIDTH)
        halves = Signal(2)  # Of `word`, that are to come.
        ended = Signal()
        fits, append, few = Signal(), Signal(), Signal()
        m.d.comb += [
            few.eq(count[4:6] == 0),
            fits.eq(~count[5]),
            append.eq((halves != 0) & (self.take | few) & fits),
            ended.eq(self.last & (halves == 0)),
            self.enough.eq(~few | ended),
            self.bits.eq(held[-_WIDTH:]),
            self.short.eq(count[6]),
            # Halves of a word that has been accepted only matter in twos, or with 16 bits held.
            self.over.eq(~self.last | count[5] | halves[1] | (halves[0] & count[4])),
            self.i.ready.eq(~self.last & ~self.clear
                            & ((halves == 0) | ((halves == 1) & append))),
        ]

        # What is held, and behind it half a word: where it goes depends on registers alone, while
        # what is taken must be found first.
        half = Signal(_WIDTH)
        m.d.comb += half.eq(Mux(append, word[_WIDTH:], 0))
        placed = Cat(Const(0, len(held) - _WIDTH), half) >> count[:4]
        # If bits are taken while half a word comes, at least 16 are held; else there are fewer.
        shifted = Mux(self.take, Cat(Const(0, 1), held | placed >> _WIDTH)[:len(held)],
                      held | placed)
        for stage in reversed(range(4)):
            amount = 1 << stage
            shifted = Mux(self.take & self.less_one[stage],
                          Cat(Const(0, amount), shifted[:-amount]), shifted)
        with m.If(self.take | append):
            m.d.sync += held.eq(shifted)
        m.d.sync += count.eq(count + Mux(append, _WIDTH, 0) - Mux(self.take, self.less_one + 1, 0))
        with m.If(append):
            m.d.sync += [word.eq(word << _WIDTH), halves.eq(halves - 1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [word.eq(self.i.payload.data), halves.eq(2),
                         self.last.eq(self.i.payload.last)]
        with m.If(self.clear):
            m.d.sync += [held.eq(0), count.eq(0), halves.eq(0), self.last.eq(0)]
        return m
