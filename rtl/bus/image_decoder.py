"""Image decoder: turns coded images into images, on their way into an engine."""

from collections.abc import Mapping

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.coded_image import CODE_MAXIMUM
from eieio.model.registers import ShellError
from eieio.model.word_layout import SYMBOL_WIDTH, WordLayout, table_count
from eieio.rtl.bus.bit_window import BitWindow
from eieio.rtl.bus.code_tables import CodeTables
from eieio.rtl.bus.skid_buffer import SkidBuffer, beat_layout
from eieio.rtl.bus.word_assembler import WordAssembler

__all__ = ["ImageDecoder"]

# The number of words, behind what the window has in front of them.
_COUNT_BYTES = (16 + 32) // SYMBOL_WIDTH


class ImageDecoder(wiring.Component):
    """Passes images on; coded ones are decoded, a symbol a cycle.

    Coded images are those of :mod:`eieio.model.coded_image`, and what comes of one, and when, is
    what :mod:`eieio.model.coded_image_decoder` says. Of a damaged one these are the words before
    the error, and then one of any content that ends the image, if any had been sent; what still
    comes is dropped.

    Parameters
    ----------
    layouts : mapping of :class:`int` to WordLayout
        Layouts of the words by target.

    Members
    -------
    i : ``In(stream.Signature(beat_layout(32)))``
        Images.
    o : ``Out(stream.Signature(beat_layout(32)))``
        Images, none of them coded; driven by registers.
    coded : ``In(1)``
        What comes is a coded image. It changes only while ``busy`` is 0.
    busy : ``Out(1)``
        An image has begun, and what comes of it has not been taken; from the cycle after its first
        word on.
    error : ``Out(ShellError)``
        What is wrong with the coded image, or 0; until another one begins.
    """

    i: stream.Interface
    o: stream.Interface
    coded: Signal
    busy: Signal
    error: Signal

    def __init__(self, layouts: Mapping[int, WordLayout]) -> None:
        self.layouts = dict(layouts)
        super().__init__({
            "i": In(stream.Signature(beat_layout(32))),
            "o": Out(stream.Signature(beat_layout(32))),
            "coded": In(1),
            "busy": Out(1),
            "error": Out(8),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = table_count(self.layouts)
        m.submodules.window = window = BitWindow()
        m.submodules.tables = tables = CodeTables(count)
        m.submodules.assembler = assembler = WordAssembler(self.layouts, tables.latency)
        m.submodules.buffer = buffer = SkidBuffer(beat_layout(32))
        wiring.connect(m, buffer.o, wiring.flipped(self.o))

        active = Signal()    # A coded image has begun, and not all has been done with it.
        ended = Signal()     # Its last word has come.
        begun = Signal()     # A word of the image has been sent, and not its last.
        dropping = Signal()  # What still comes of it does not matter.
        ending = Signal()    # A word that ends the image is to be sent.
        failed = Signal()
        m.d.comb += [
            self.busy.eq(active | buffer.o.valid),
            window.i.payload.eq(self.i.payload),
        ]
        with m.If(self.coded):
            m.d.comb += [
                window.i.valid.eq(self.i.valid & ~dropping),
                self.i.ready.eq(~ended & (window.i.ready | dropping)),
                buffer.i.valid.eq(assembler.o.valid | ending),
                buffer.i.payload.data.eq(assembler.o.payload.data),
                buffer.i.payload.last.eq(assembler.o.payload.last | ending),
                assembler.o.ready.eq(buffer.i.ready),
            ]
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += [active.eq(1), ended.eq(self.i.payload.last)]
                with m.If(~active):
                    m.d.sync += self.error.eq(0)
            with m.If(buffer.i.valid & buffer.i.ready):
                m.d.sync += begun.eq(~buffer.i.payload.last)
        with m.Else():
            wiring.connect(m, wiring.flipped(self.i), buffer.i)

        # Whether there were as many bits as were taken shows a cycle later.
        take_byte, take_code, fault = Signal(), Signal(), Signal()
        byte = Signal(SYMBOL_WIDTH, reset_less=True)
        byte_taken = Signal()
        left = Signal(SYMBOL_WIDTH, init=_COUNT_BYTES - 1)  # Bytes to take, less 1.
        last_byte = Signal()
        table = Signal(range(max(2, count)))
        m.d.comb += [
            window.take.eq(take_byte | take_code),
            window.longer.eq(tables.longer),
            tables.less_one.eq(window.less_one),
            tables.bits.eq(window.bits),
            tables.byte.eq(byte),
            tables.table.eq(table),
            tables.next_table.eq(assembler.next_table),
            tables.select.eq(assembler.start | take_code),
            tables.advance.eq(assembler.advance),
            assembler.byte.eq(byte),
            assembler.take.eq(take_code),
            assembler.squash.eq(fault),
            assembler.symbol.eq(tables.symbol),
            last_byte.eq(take_byte & (left == 0)),
        ]
        m.d.sync += [byte.eq(window.bits[-SYMBOL_WIDTH:]), byte_taken.eq(take_byte & ~fault)]
        with m.If(take_byte):
            m.d.sync += left.eq(left - 1)

        def fail(error: ShellError) -> None:
            m.d.comb += fault.eq(1)
            m.d.sync += [self.error.eq(error), failed.eq(1)]
            m.next = "END"

        def fail_if_short() -> None:
            with m.If(byte_taken & window.exhausted):
                fail(ShellError.CODE_SHORT)

        def fail_if_no_code() -> None:
            with m.If(assembler.asked & ~tables.matched):
                fail(ShellError.CODE_PREFIX)
            with m.Elif(assembler.asked & window.exhausted):
                fail(ShellError.CODE_SHORT)

        # What comes after the last table are codes. Before it nothing is taken, so that there is
        # time to select the first one's.
        last_table = Signal()
        m.d.comb += last_table.eq(table == count - 1)
        with m.FSM() as fsm:
            m.d.comb += tables.byte_next.eq(
                assembler.start & ~(fsm.ongoing("NEXT_TABLE") & last_table))
            m.d.comb += assembler.start.eq(~fsm.ongoing("CODES") & ~fsm.ongoing("CLOSE"))
            with m.State("COUNT"):  # It is in the first word.
                m.d.comb += [take_byte.eq(window.enough), assembler.byte_valid.eq(byte_taken)]
                with m.If(last_byte):
                    m.next = "CHECK_COUNT"
            with m.State("CHECK_COUNT"):
                m.d.comb += assembler.byte_valid.eq(byte_taken)
                with m.If(~byte_taken):
                    m.d.comb += tables.begin.eq(1)
                    m.d.sync += left.eq(CODE_MAXIMUM - 1)
                    m.next = "LENGTHS"
                    with m.If(assembler.none):
                        fail(ShellError.CODE_LONG)
            with m.State("LENGTHS"):
                m.d.comb += [take_byte.eq(window.enough), tables.count_valid.eq(byte_taken)]
                with m.If(last_byte):
                    m.next = "CHECK_LENGTHS"
                fail_if_short()
                with m.If(tables.wrong):
                    fail(ShellError.CODE_LENGTHS)
            with m.State("CHECK_LENGTHS"):
                m.d.comb += tables.count_valid.eq(byte_taken)
                with m.If(~byte_taken):
                    m.d.sync += left.eq(tables.size - 1)
                    m.next = "SYMBOLS"
                    with m.If(tables.size == 0):
                        m.next = "NEXT_TABLE"
                fail_if_short()
                with m.If(tables.wrong | (~byte_taken & ~tables.complete)):
                    fail(ShellError.CODE_LENGTHS)
            with m.State("SYMBOLS"):
                m.d.comb += [take_byte.eq(window.enough), tables.symbol_valid.eq(byte_taken)]
                with m.If(last_byte):
                    m.next = "NEXT_TABLE"
                fail_if_short()
            with m.State("NEXT_TABLE"):
                m.d.comb += tables.symbol_valid.eq(byte_taken)
                with m.If(~byte_taken):
                    m.d.comb += tables.begin.eq(1)
                    m.d.sync += [left.eq(CODE_MAXIMUM - 1), table.eq(table + 1)]
                    m.next = "LENGTHS"
                    with m.If(last_table):
                        m.next = "CODES"
                fail_if_short()
            with m.State("CODES"):
                m.d.comb += take_code.eq(window.enough & assembler.advance)
                with m.If(take_code & assembler.final):
                    m.next = "CLOSE"
                fail_if_no_code()
            with m.State("CLOSE"):
                m.next = "END"
                with m.If(window.over):
                    m.d.sync += self.error.eq(ShellError.CODE_LONG)
                fail_if_no_code()
            with m.State("END"):
                m.d.comb += dropping.eq(1)
                with m.If(assembler.empty):
                    m.d.comb += ending.eq(failed & begun)
                    with m.If(ended & ~begun):
                        m.d.comb += window.clear.eq(1)
                        m.d.sync += [left.eq(_COUNT_BYTES - 1), table.eq(0), failed.eq(0),
                                     active.eq(0), ended.eq(0)]
                        m.next = "COUNT"
        return m
