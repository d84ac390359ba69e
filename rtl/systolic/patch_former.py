"""Patch former: makes patches of the pixels of an input while they arrive."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.patches import FORMED
from eieio.model.systolic.program import Field
from eieio.rtl.systolic.countdown import Countdown
from eieio.rtl.systolic.descriptor import DESCRIPTOR, pair
from eieio.rtl.vendor.block_ram import add_block_ram
from eieio.rtl.winograd.delay import delayed

__all__ = ["PatchFormer"]

# Bits of the rows and columns of an input, and of what lies beyond it, of first patches and steps.
_SIZE, _SMALL = 16, 8
# Cycles from a pixel to the column of pixels that it ends; the patch comes behind that.
_COLUMN = FORMED - 1


class PatchFormer(wiring.Component):
    """Takes a pixel a cycle, and gives the patch that it ends, if that is to be stored.

    See :mod:`eieio.model.systolic.patches`. Behind each line, and behind the last one, it goes on
    by itself to where windows reach beyond the image, in which no pixel may come.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration, with patches.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the input. Needed while ``prepare`` is 1.
    prepare : ``In(1)``
        Take over what the descriptor says; begin a cycle later at the soonest.
    start : ``In(1)``
        Begin an input with the next cycle's pixel, whatever has been.
    step : ``In(1)``
        There is a pixel.
    pixel : ``In``
        It, a cycle later.
    pauses : ``Out(1)``
        No pixel may come.
    ended : ``Out(1)``
        All patches of the input have been given.
    write_valid, write_addr, write_data : ``Out``
        Patch to write; whatever is beyond its numbers is 0.
    """

    descriptor: data.View
    prepare: Signal
    start: Signal
    step: Signal
    pixel: Signal
    pauses: Signal
    ended: Signal
    write_valid: Signal
    write_addr: Signal
    write_data: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "prepare": In(1),
            "start": In(1),
            "step": In(1),
            "pixel": In(unsigned(config.patch_channels * ACTIVATION_BITS)),
            "pauses": Out(1),
            "ended": Out(1),
            "write_valid": Out(1),
            "write_addr": Out(unsigned(ceil_log2(config.input_depth))),
            "write_data": Out(unsigned(config.rows * ACTIVATION_BITS)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config

        def kept(name: str, width: int, value: Value) -> Signal:
            signal = Signal(width, name=name, reset_less=True)
            with m.If(self.prepare):
                m.d.sync += signal.eq(value)
            return signal

        (height, width), (down, right), (first_row, first_column), (row_step, column_step) = (
            [kept(f"{field.name.lower()}_{number}", bits, value)
             for number, value in enumerate(pair(self.descriptor, field))]
            for field, bits in ((Field.SOURCE_SIZE, _SIZE), (Field.KERNEL, _SMALL),
                                (Field.SOURCE_START, _SMALL), (Field.STRIDE, _SMALL)))
        padding = kept("padding", ACTIVATION_BITS,
                       self.descriptor[Field.QUANTIZATION][:ACTIVATION_BITS])
        none_down, none_right = (
            kept(f"none_{number}", 1, value == 0)
            for number, value in enumerate(pair(self.descriptor, Field.KERNEL)))

        # Where the next pixel is: in a line or behind it, in the image or below it.
        columns, rows = Countdown(_SIZE, "columns"), Countdown(_SIZE, "rows")
        behind, below, over = Signal(), Signal(), Signal()
        line_ends, image_ends, go = Signal(), Signal(), Signal()
        top, left = Signal(), Signal()
        next_row, next_column = Signal(_SMALL), Signal(_SMALL)  # Those to the next stored patch.
        m.d.comb += [
            self.pauses.eq(behind | below),
            go.eq((self.step | behind | below) & ~over),
            line_ends.eq(columns.last & (behind | none_right)),
            image_ends.eq(line_ends & rows.last & (below | none_down)),
        ]
        line = [*columns.load(width), behind.eq(0), left.eq(1), next_column.eq(first_column)]
        with m.If(go):
            m.d.sync += [*columns.step(), left.eq(0),
                         next_column.eq(Mux(next_column == 0, column_step, next_column) - 1)]
            with m.If(columns.last & ~line_ends):
                m.d.sync += [*columns.load(right), behind.eq(1)]
            with m.If(line_ends):
                m.d.sync += [*line, *rows.step(), top.eq(0),
                             next_row.eq(Mux(next_row == 0, row_step, next_row) - 1)]
                with m.If(rows.last & ~image_ends):
                    m.d.sync += [*rows.load(down), below.eq(1)]
            with m.If(image_ends):
                m.d.sync += [below.eq(0), over.eq(1)]
        with m.If(self.start):
            m.d.sync += [*line, *rows.load(height), below.eq(0), over.eq(0), top.eq(1),
                         next_row.eq(first_row)]

        def late(value: Value, cycles: int, name: str) -> Value:
            return delayed(m, value, cycles, name, reset_less=True)

        # Steps under way, and of them those that give a patch. What has been is forgotten.
        steps, stores = Signal(FORMED), Signal(FORMED)
        m.d.sync += [
            steps.eq(Cat(go, steps)),
            stores.eq(Cat(go & (next_row == 0) & (next_column == 0), stores)),
        ]
        with m.If(self.start):
            m.d.sync += [steps.eq(0), stores.eq(0)]

        # The column of pixels that ends with this one, and the patch that ends with the column.
        arrives = Signal.like(self.pixel, reset_less=True)
        beyond = late(behind | below, 1, "beyond")
        m.d.sync += arrives.eq(Mux(beyond, padding.replicate(config.patch_channels), self.pixel))
        column = self._column(m, platform, arrives, left, late(top, 2, "top"), go, padding)
        patch = Signal(config.patch_lanes * ACTIVATION_BITS, reset_less=True)
        before = Mux(late(left, _COLUMN, "left"), padding.replicate(config.patch_lanes), patch)
        with m.If(steps[_COLUMN - 1]):
            m.d.sync += patch.eq(Cat(column, before)[:len(patch)])
        m.d.comb += [
            self.write_valid.eq(stores[-1]),
            self.write_data.eq(patch),
            self.ended.eq(over & (steps == 0)),
        ]
        with m.If(self.write_valid):
            m.d.sync += self.write_addr.eq(self.write_addr + 1)
        with m.If(self.start):
            m.d.sync += self.write_addr.eq(0)
        return m

    def _column(self, m: Module, platform: object, pixel: Signal, left: Signal, top: Value,
                go: Signal, padding: Signal) -> Signal:
        """Join a pixel with those above it; a cycle later, three after its step."""
        config = self.config
        width = len(pixel)
        column = Signal(config.patch_rows * width, reset_less=True)
        if config.patch_rows == 1:
            m.d.sync += column.eq(pixel)
            return column
        lines = add_block_ram(m, "lines", platform, width=len(column) - width,
                              depth=config.line_depth)
        place = Signal(range(config.line_depth))
        here = Signal.like(place)
        m.d.comb += here.eq(Mux(left, 0, place))
        with m.If(go):
            m.d.sync += place.eq(here + 1)
        above = Mux(top, padding.replicate(config.patch_channels * (config.patch_rows - 1)),
                    lines.read_data)
        m.d.sync += column.eq(Cat(pixel, above))
        m.d.comb += [
            lines.read_addr.eq(here),
            lines.write_en.eq(delayed(m, go, _COLUMN, "line_valid")),
            lines.write_addr.eq(delayed(m, here, _COLUMN, "line_place", reset_less=True)),
            lines.write_data.eq(column[:len(column) - width]),
        ]
        return column
