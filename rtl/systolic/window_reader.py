"""Window reader: addresses of the words that windows over a tensor consist of."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.rtl.systolic.countdown import Countdown
from eieio.rtl.systolic.descriptor import DESCRIPTOR, WINDOWS_WIDTH, bits, last_word, pair

__all__ = ["WindowReader"]


class WindowReader(wiring.Component):
    """Steps through a layer's windows, without a multiplication.

    Words come in the order in which the array needs them: from the outer loop to the inner one by
    chunk of windows, block of outputs, block of channels, element of the window, window. With
    Winograd's transforms, tile by tile, the inner two change places.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from a step to its word's address.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer. Held while the layer is computed, and a cycle before.
    start : ``In(1)``
        Begin a layer.
    step : ``In(1)``
        Read a word, and go on to the next; the first one two cycles after ``start`` at the soonest.
        Without Winograd's transforms, an element of the windows ends four cycles after the one
        before at the soonest, but for the first one of a last, shorter chunk; and the layer's first
        one three cycles after ``start``.
    phase_last : ``Out(1)``
        The word at hand is the last one of a chunk and block of channels.
    last : ``Out(1)``
        The word at hand is the last one of the layer. Not known yet of a last chunk that ends
        within two cycles of the one before.
    o_valid, o_addr, o_last_word, o_inside : ``Out``
        :attr:`latency` cycles after ``step``: there is a word, its address, whether it is the last
        one of its pixel, and whether it is in the image and not padding.
    """

    latency = 2

    descriptor: data.View
    start: Signal
    step: Signal
    phase_last: Signal
    last: Signal
    o_valid: Signal
    o_addr: Signal
    o_last_word: Signal
    o_inside: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "step": In(1),
            "phase_last": Out(1),
            "last": Out(1),
            "o_valid": Out(1),
            "o_addr": Out(unsigned(config.address_width)),
            "o_last_word": Out(1),
            "o_inside": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        descriptor = self.descriptor
        addr_width = len(self.o_addr)
        winograd = bool(config.winograd) & (
            descriptor[Field.OPERATION] & Flag.WINOGRAD).any()
        channelwise = (descriptor[Field.OPERATION] & Flag.CHANNELWISE).any()
        start_row, start_column = (half.as_signed()
                                   for half in pair(descriptor, Field.SOURCE_START))
        height, width = pair(descriptor, Field.SOURCE_SIZE)
        row_stride, column_stride = pair(descriptor, Field.STRIDE)
        kernel_rows, kernel_columns = pair(descriptor, Field.KERNEL)
        row_dilation, column_dilation = pair(descriptor, Field.DILATION)
        all_blocks, all_outputs = pair(descriptor, Field.BLOCKS)
        all_row_windows, chunk_limit = pair(descriptor, Field.ROW_WINDOWS)

        # Loops, the inner ones first.
        tap_columns, tap_rows = Countdown(16, "tap_columns"), Countdown(16, "tap_rows")
        windows = Countdown(bits_for(config.accumulator_depth), "windows")
        blocks, outputs = Countdown(16, "blocks"), Countdown(16, "outputs")
        chunk, rest = Signal.like(windows.left), Signal(WINDOWS_WIDTH)
        tap_last, chunk_last, rest_none = Signal(), Signal(), Signal()
        next_window, next_tap, next_block, next_output, next_chunk = (Signal() for _ in range(5))
        # The ends of outer loops are found a cycle late, well before they come: an element of the
        # windows takes some cycles, and so does a block of channels of Winograd's transforms. Only
        # the windows of a last, short chunk may be over sooner, where it begins.
        single = Signal()
        m.d.sync += [
            rest_none.eq(rest == 0),
            single.eq((all_blocks == 1) & (all_outputs == 1)),
            chunk_last.eq(blocks.last & outputs.last),
        ]
        with m.If(next_chunk):
            m.d.sync += chunk_last.eq(single)
        m.d.comb += [
            self.phase_last.eq(windows.last & tap_last),
            self.last.eq(self.phase_last & chunk_last & rest_none),
            next_window.eq(self.step & (tap_last | ~winograd)),
            next_tap.eq(self.step & (windows.last | winograd)),
            next_output.eq(next_block & blocks.last),
            next_chunk.eq(next_block & blocks.last & outputs.last),
        ]
        # The outer loops follow a cycle later.
        m.d.sync += next_block.eq(self.step & self.phase_last)

        # The next chunk, known long before it is needed.
        following = Signal.like(windows.left)
        m.d.sync += following.eq(Mux(rest < chunk_limit, rest, chunk_limit))

        # Window: its position, and that of its row's first word.
        row_windows = Countdown(16, "row_windows")
        position = [Signal(signed(18), name="row"), Signal(signed(18), name="column"),
                    Signal(addr_width, name="addr"), Signal(addr_width, name="row_addr"),
                    row_windows.left, row_windows.last]
        row, column, addr, row_addr, *_ = position
        begin = [Signal.like(signal, name=f"begin_{signal.name}") for signal in position]
        after = [Signal.like(signal, name=f"next_{signal.name}") for signal in position]
        row_step = bits(descriptor, Field.ROW_STEP, addr_width)
        one_window = Signal()
        m.d.sync += one_window.eq(all_row_windows == 1)
        with m.If(row_windows.last):
            m.d.comb += [
                after[0].eq(row + row_stride),
                after[1].eq(start_column),
                after[2].eq(row_addr + row_step),
                after[3].eq(row_addr + row_step),
                after[4].eq(all_row_windows),
                after[5].eq(one_window),
            ]
        with m.Else():
            m.d.comb += [
                after[0].eq(row),
                after[1].eq(column + column_stride),
                after[2].eq(addr + bits(descriptor, Field.PIXEL_STEP, addr_width)),
                after[3].eq(row_addr),
                after[4].eq(row_windows.left - 1),
                after[5].eq(row_windows.left == 2),
            ]
        starting, again, chunk_ends = Signal(), Signal(), Signal()
        m.d.sync += starting.eq(self.start)
        m.d.comb += [
            chunk_ends.eq(windows.last & tap_last & chunk_last),
            again.eq(starting | (windows.last & ~(tap_last & chunk_last))),
        ]
        # The only window of a chunk that has begun in the cycle before stays.
        with m.If((next_window & ~(next_chunk & windows.last)) | starting):
            m.d.sync += [now.eq(Mux(again, first, then))
                         for now, first, then in zip(position, begin, after, strict=True)]
            m.d.sync += windows.step()
            with m.If(again):
                m.d.sync += windows.load(chunk)
            with m.Elif(chunk_ends):
                m.d.sync += windows.load(following)
        with m.If(next_chunk):
            m.d.sync += [chunk.eq(following), rest.eq(rest - following)]
            m.d.sync += [first.eq(now) for first, now in zip(begin, position, strict=True)]

        # Element of the window, relative to it.
        tap_row, tap_column = Signal(16), Signal(16)
        tap_addr, tap_row_addr = Signal(addr_width), Signal(addr_width)
        tap_row_step = bits(descriptor, Field.TAP_ROW_STEP, addr_width)
        one_tap, plain_tap_last = Signal(), Signal()
        m.d.sync += [
            one_tap.eq((kernel_columns == 1) & (kernel_rows == 1)),
            plain_tap_last.eq(tap_columns.last & tap_rows.last),
        ]
        with m.If(next_tap & plain_tap_last):
            m.d.sync += plain_tap_last.eq(one_tap)
        m.d.comb += tap_last.eq(plain_tap_last)
        if config.winograd:
            elements = Countdown(bits_for(config.transform.n ** 2), "elements")
            with m.If(next_tap):
                m.d.sync += elements.step()
            with m.If(starting | (next_tap & elements.last)):
                m.d.sync += elements.load(config.transform.n ** 2)
            m.d.comb += tap_last.eq(Mux(winograd, elements.last, plain_tap_last))
        first_tap = [tap_row.eq(0), tap_column.eq(0),
                     tap_addr.eq(0), tap_row_addr.eq(0), *tap_columns.load(kernel_columns),
                     *tap_rows.load(kernel_rows)]
        with m.If(next_tap):
            with m.If(tap_last):
                m.d.sync += first_tap
            with m.Elif(tap_columns.last):
                m.d.sync += [
                    tap_row.eq(tap_row + row_dilation),
                    tap_column.eq(0),
                    tap_addr.eq(tap_row_addr + tap_row_step),
                    tap_row_addr.eq(tap_row_addr + tap_row_step),
                    *tap_columns.load(kernel_columns),
                    *tap_rows.step(),
                ]
            with m.Else():
                m.d.sync += [
                    tap_column.eq(tap_column + column_dilation),
                    tap_addr.eq(tap_addr + bits(descriptor, Field.TAP_COLUMN_STEP, addr_width)),
                    *tap_columns.step(),
                ]

        # Block of channels. Channel by channel, it follows the block of outputs.
        block = Signal(addr_width)
        shares = config.rows // config.channelwise_columns
        share = Signal(range(shares))
        with m.If(next_block):
            m.d.sync += [block.eq(block + 1), *blocks.step()]
        with m.If(next_output):
            m.d.sync += [block.eq(0), *blocks.load(all_blocks), *outputs.step()]
            with m.If(channelwise):
                m.d.sync += [share.eq(share + 1), block.eq(block)]
                with m.If(share == shares - 1):
                    m.d.sync += [share.eq(0), block.eq(block + 1)]
        with m.If(next_chunk):
            m.d.sync += [block.eq(0), share.eq(0), *outputs.load(all_outputs)]

        source = bits(descriptor, Field.SOURCE, addr_width)
        first = (start_row, start_column, source, source, all_row_windows, one_window)
        with m.If(self.start):
            m.d.sync += [now.eq(value) for now, value in zip(begin, first, strict=True)]
            m.d.sync += [
                chunk.eq(chunk_limit),
                rest.eq(bits(descriptor, Field.WINDOWS, WINDOWS_WIDTH) - chunk_limit),
            ]
        with m.If(starting):
            m.d.sync += first_tap
            m.d.sync += [
                block.eq(0),
                share.eq(0),
                *blocks.load(all_blocks),
                *outputs.load(all_outputs),
            ]

        # Sum of all parts, and whether it is inside.
        found_row, found_column = Signal(signed(19)), Signal(signed(19))
        partial = Signal(addr_width)
        stepped = Signal()
        m.d.sync += [
            stepped.eq(self.step),
            found_row.eq(row + tap_row),
            found_column.eq(column + tap_column),
            partial.eq(addr + tap_addr),
            self.o_valid.eq(stepped),
            self.o_addr.eq(partial + block),
            self.o_last_word.eq(block == last_word(descriptor)[:addr_width]),
            self.o_inside.eq((found_row >= 0) & (found_row < height)
                             & (found_column >= 0) & (found_column < width)),
        ]
        return m
