"""Word assembler: says which symbol of an image is next, and makes words of the symbols."""

from collections.abc import Mapping

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from eieio.model.coded_image import HEADER_WORDS
from eieio.model.word_layout import BYTES, SYMBOL_WIDTH, WordLayout, table_count
from eieio.rtl.bus.skid_buffer import beat_layout

__all__ = ["WordAssembler"]

_TARGET, _COUNT = 0, 2  # Words of a section's header; behind it is a first word, and
_DATA = HEADER_WORDS + 1  # from there on the layout is that of the target.


class WordAssembler(wiring.Component):
    """Follows the sections of an image, whose words come as symbols.

    A symbol comes some cycles after it was asked for. That a section's first word is bytes, too,
    gives them time: when its last byte is asked for, target and number of the words are known.

    Parameters
    ----------
    layouts : mapping of :class:`int` to WordLayout
        Layouts of the words by target.
    latency : :class:`int`
        Cycles of ``advance`` from ``take`` to ``symbol``, at most 3.

    Members
    -------
    start : ``In(1)``
        The next symbol to ask for is the first of an image.
    byte, byte_valid : ``In(8)``, ``In(1)``
        The number of its words, highest byte first, before that.
    none : ``Out(1)``
        This number is 0.
    take : ``In(1)``
        Ask for a symbol; only while ``advance`` is 1.
    squash : ``In(1)``
        What was asked for in the cycle before, and in this one, does not come.
    next_table : ``Out``
        Table of the symbol after the one to ask for; from the second cycle of ``start`` on, also
        that of the first one.
    final : ``Out(1)``
        The symbol to ask for is the image's last.
    advance : ``Out(1)``
        There is room for a word.
    asked : ``Out(1)``
        A symbol was asked for in the cycle before, and it does come.
    empty : ``Out(1)``
        No symbol or word is under way.
    symbol : ``In(8)``
        Symbol.
    o : ``Out(stream.Signature(beat_layout(32)))``
        Words of the image.
    """

    start: Signal
    byte: Signal
    byte_valid: Signal
    none: Signal
    take: Signal
    squash: Signal
    next_table: Signal
    final: Signal
    advance: Signal
    asked: Signal
    empty: Signal
    symbol: Signal
    o: stream.Interface

    def __init__(self, layouts: Mapping[int, WordLayout], latency: int) -> None:
        self.layouts = dict(layouts)
        self.latency = latency
        super().__init__({
            "start": In(1),
            "byte": In(SYMBOL_WIDTH),
            "byte_valid": In(1),
            "none": Out(1),
            "take": In(1),
            "squash": In(1),
            "next_table": Out(bits_for(table_count(layouts) - 1)),
            "final": Out(1),
            "advance": Out(1),
            "asked": Out(1),
            "empty": Out(1),
            "symbol": In(SYMBOL_WIDTH),
            "o": Out(stream.Signature(beat_layout(32))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        positions = sorted({field.position for layout in (BYTES, *self.layouts.values())
                            for field in layout.fields})
        #: What becomes of a symbol.
        place = data.StructLayout({
            "position": bits_for(len(positions) - 1),
            "word": 3,   # Which one of the section, up to the first one with the target's layout.
            "ends": 1,   # It is the last one of its word.
            "delta": 1,  # The word is what it is more than the word before.
        })
        current, following = Signal(place), Signal(place)
        field, field_next = Signal(2), Signal(2)
        target = Signal(4)
        left = Signal(32)  # Words of the section behind its header.
        one_left = Signal()
        remaining = Signal(32)  # Words of the image.
        few = Signal()
        m.d.comb += [
            few.eq(remaining[1:] == 0),
            self.none.eq(few & ~remaining[0]),
            self.final.eq(few & current.ends),
        ]

        with m.If(~current.ends):
            m.d.comb += [field_next.eq(field + 1), following.word.eq(current.word)]
        with m.Else():
            m.d.comb += [
                field_next.eq(0),
                following.word.eq(Mux(current.word >= HEADER_WORDS,
                                      Mux(one_left, _TARGET, _DATA), current.word + 1)),
            ]
        with m.Switch(Cat(field_next, target, following.word == _DATA)):
            for number, layout in self.layouts.items():
                for which, each in enumerate(layout.fields):
                    with m.Case(which | number << 2 | 1 << 6):
                        m.d.comb += [
                            self.next_table.eq(each.table),
                            following.position.eq(positions.index(each.position)),
                            following.ends.eq(each is layout.fields[-1]),
                            following.delta.eq(layout.delta),
                        ]
            with m.Default():
                m.d.comb += [
                    self.next_table.eq(BYTES.fields[0].table),
                    following.position.eq(Array(positions.index(each.position)
                                                for each in BYTES.fields)[field_next]),
                    following.ends.eq(field_next == len(BYTES.fields) - 1),
                ]
        with m.If(self.start):  # `following` is the second symbol, of the same table as the first.
            m.d.sync += [current.eq(0), field.eq(0)]
        with m.Elif(self.take):
            m.d.sync += [current.eq(following), field.eq(field_next)]
        with m.If(self.byte_valid):
            m.d.sync += remaining.eq(Cat(self.byte, remaining))
        with m.Elif(self.take & current.ends):
            m.d.sync += remaining.eq(remaining - 1)
            with m.If(current.word >= HEADER_WORDS):
                m.d.sync += [left.eq(left - 1), one_left.eq(left == 2)]

        # Where the symbols are to go that are under way.
        places = [Signal(place, name=f"place_{stage}") for stage in range(self.latency)]
        valid = Signal(self.latency)
        final = Signal(self.latency)
        m.d.comb += [
            self.advance.eq(~self.o.valid | self.o.ready),
            self.asked.eq(valid[0]),
            self.empty.eq(~(valid.any() | self.o.valid)),
        ]
        with m.If(self.advance):
            m.d.sync += [later.eq(earlier) for earlier, later in zip(
                [current, *places], places, strict=False)]
            m.d.sync += final.eq(Cat(self.final, final))
            m.d.sync += valid.eq(Cat(self.take, valid[0] & ~self.squash, valid[1:])[:self.latency])
        with m.If(self.squash):
            m.d.sync += valid[0].eq(0)

        arriving = places[-1]
        arrives = Signal()
        begins = Signal(init=1)
        word = Signal(32)
        before = Signal(32)
        delta = Signal()
        placed = Array(Cat(Const(0, position), self.symbol)[:32]
                       for position in positions)[arriving.position]
        m.d.comb += [
            arrives.eq(valid[-1] & self.advance),
            self.o.payload.data.eq(word + Mux(delta, before, 0)),
        ]
        with m.If(self.advance):
            m.d.sync += self.o.valid.eq(valid[-1] & arriving.ends)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += before.eq(self.o.payload.data)
        with m.If(arrives):
            m.d.sync += [
                word.eq(Mux(begins, 0, word) | placed),
                begins.eq(arriving.ends),
                self.o.payload.last.eq(final[-1]),
                delta.eq(arriving.delta),
            ]
            with m.If(arriving.word == _TARGET):
                m.d.sync += target.eq(self.symbol[-4:])  # The last byte's stays.
            with m.If(arriving.word == _COUNT):
                m.d.sync += [
                    left.eq(Cat(left, self.symbol)[SYMBOL_WIDTH:]),
                    one_left.eq(Mux(begins, self.symbol == 1, one_left & (self.symbol == 0))),
                ]
        with m.If(self.empty & self.start):  # After an error.
            m.d.sync += begins.eq(1)
        return m
