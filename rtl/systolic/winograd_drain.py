"""Winograd drain: from sums of products to groups of convolution results, tile by tile."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field
from eieio.model.systolic.timing import READ
from eieio.rtl.systolic.descriptor import DESCRIPTOR, bits, pair
from eieio.rtl.systolic.drain import GroupInterface, GroupSignature
from eieio.rtl.systolic.output_lanes import ACCUMULATOR_WIDTH
from eieio.rtl.systolic.pass_counter import PassCounter
from eieio.rtl.systolic.winograd_output import WinogradOutput
from eieio.rtl.winograd.delay import delayed

__all__ = ["WinogradDrain"]


class WinogradDrain(wiring.Component):
    """Reads the accumulators of a tile, transforms them, and steps through the tile's outputs.

    One tile is read while the one before goes out. Outputs beyond the edge of the image take their
    time and go nowhere.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration, with Winograd.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer. Held while the layer is computed.
    start : ``In(1)``
        Begin a layer.
    enable : ``In(1)``
        The layer's accumulators are sums of Winograd's products.
    pass_done : ``In(1)``
        A pass can be read from the next cycle on.
    bank_released : ``Out(1)``
        The last accumulators of a pass are being read.
    read_bank, read_addr : ``Out``
        Accumulators to read.
    i_accumulators : ``In``
        What they hold, four cycles later.
    o : ``Out(GroupSignature(config))``
        Group of activations. ``last`` is that of the layer, and comes even if it is not valid.
    o_sums : ``Out(data.ArrayLayout(signed(32), lanes))``
        Its convolution results, two cycles later.
    """

    descriptor: data.View
    start: Signal
    enable: Signal
    pass_done: Signal
    bank_released: Signal
    read_bank: Signal
    read_addr: Signal
    i_accumulators: data.View
    o: GroupInterface
    o_sums: data.View

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "enable": In(1),
            "pass_done": In(1),
            "bank_released": Out(1),
            "read_bank": Out(1),
            "read_addr": Out(unsigned(ceil_log2(config.accumulator_depth))),
            "i_accumulators": In(
                data.ArrayLayout(signed(config.accumulator_width), config.columns)),
            "o": Out(GroupSignature(config)),
            "o_sums": Out(data.ArrayLayout(signed(ACCUMULATOR_WIDTH), config.lanes)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.transform = transform = WinogradOutput(
            config.winograd, config.columns, config.accumulator_width)
        assert transform.read_latency <= 2

        # Tiles that have been read and not gone out: at most two, and then the next one may come.
        tiles_read, tiles_done = Signal(2), Signal(2)
        tile_read, tile_out = Signal(), Signal()
        m.d.sync += [
            tiles_read.eq(tiles_read + tile_read - tile_out),
            tiles_done.eq(tiles_done + transform.tile_done - tile_out),
        ]
        self._read(m, transform, tiles_read, tile_read)
        self._send(m, transform, tiles_done, tile_out)
        return m

    def _read(self, m: Module, transform: WinogradOutput, tiles_read: Signal,
              tile_read: Signal) -> None:
        """Read the accumulators of tiles, column by column of the transformed tile."""
        n = transform.n
        m.submodules.read_passes = passes = PassCounter()
        m.d.comb += [passes.descriptor.eq(self.descriptor), passes.start.eq(self.start)]

        pending = Signal(2)
        reading = Signal()
        row, column, tile = Signal(range(n)), Signal(range(n)), Signal(16)
        row_last, tile_last, pass_last, begins = Signal(), Signal(), Signal(), Signal()
        addr, column_addr, tile_addr = (Signal.like(self.read_addr) for _ in range(3))
        m.d.comb += [
            row_last.eq(row == n - 1),
            tile_last.eq(row_last & (column == n - 1)),
            tile_read.eq(reading & tile_last),
            pass_last.eq(tile_read & (tile == passes.windows - 1)),
            passes.step.eq(pass_last),
            self.bank_released.eq(pass_last),
            self.read_addr.eq(addr),
            begins.eq(~reading & (pending != 0) & (tiles_read != 2)),
        ]
        m.d.sync += pending.eq(pending + (self.pass_done & self.enable) - pass_last)
        # An element of all tiles follows another: rows of the transformed tile are n elements.
        row_step = Signal.like(addr)
        m.d.sync += row_step.eq(sum(passes.windows << bit for bit in range(3) if n >> bit & 1))
        with m.If(begins):
            m.d.sync += [reading.eq(1), addr.eq(tile_addr), column_addr.eq(tile_addr)]
        with m.If(reading):
            m.d.sync += [row.eq(row + 1), addr.eq(addr + row_step)]
            with m.If(row_last):
                m.d.sync += [
                    row.eq(0),
                    column.eq(column + 1),
                    addr.eq(column_addr + passes.windows),
                    column_addr.eq(column_addr + passes.windows),
                ]
            with m.If(tile_last):
                m.d.sync += [column.eq(0), tile.eq(tile + 1), tile_addr.eq(tile_addr + 1),
                             reading.eq(0)]
                with m.If(~pass_last & (tiles_read == 0)):
                    m.d.sync += [reading.eq(1), addr.eq(tile_addr + 1),
                                 column_addr.eq(tile_addr + 1)]
            with m.If(pass_last):
                m.d.sync += [tile.eq(0), tile_addr.eq(0), self.read_bank.eq(~self.read_bank)]
        with m.If(self.start):
            m.d.sync += self.read_bank.eq(0)
        m.d.comb += [
            transform.i_valid.eq(delayed(m, reading, READ, "arriving")),
            transform.i_sums.eq(self.i_accumulators.as_value()),
        ]

    def _send(self, m: Module, transform: WinogradOutput, tiles_done: Signal,
              tile_out: Signal) -> None:
        """Step through the outputs of tiles: row, column, group of columns of the array."""
        config = self.config
        size = config.winograd
        descriptor = self.descriptor
        addr_width = len(self.o.addr)
        step, last_groups = pair(descriptor, Field.DESTINATION_STEP)
        height, width = pair(descriptor, Field.DESTINATION_SIZE)
        row_step, tile_row_step = pair(descriptor, Field.DESTINATION_ROW_STEP)
        row_tiles = pair(descriptor, Field.ROW_WINDOWS)[0]
        destination = bits(descriptor, Field.DESTINATION, addr_width)
        parameters = bits(descriptor, Field.PARAMETERS, len(self.o.parameter_addr))
        tile_step = Signal(16)
        m.d.sync += tile_step.eq(step << (size.bit_length() - 1))

        m.submodules.send_passes = passes = PassCounter()
        m.d.comb += [passes.descriptor.eq(descriptor), passes.start.eq(self.start)]
        groups = Signal(16)
        m.d.comb += groups.eq(Mux(passes.output_last, last_groups, config.column_groups))

        # Where in the image the tile is; and where the pass began.
        position = [Signal(18, name="image_row"), Signal(18, name="image_column"),
                    Signal(addr_width, name="tile_addr"), Signal(addr_width, name="row_addr"),
                    Signal(16, name="row_tiles_left")]
        image_row, image_column, tile_addr, row_addr, row_tiles_left = position
        begin = [Signal.like(signal, name=f"begin_{signal.name}") for signal in position]
        after = [Signal.like(signal, name=f"next_{signal.name}") for signal in position]
        with m.If(row_tiles_left == 1):
            m.d.comb += [
                after[0].eq(image_row + size),
                after[1].eq(0),
                after[2].eq(row_addr + tile_row_step),
                after[3].eq(row_addr + tile_row_step),
                after[4].eq(row_tiles),
            ]
        with m.Else():
            m.d.comb += [
                after[0].eq(image_row),
                after[1].eq(image_column + size),
                after[2].eq(tile_addr + tile_step),
                after[3].eq(row_addr),
                after[4].eq(row_tiles_left - 1),
            ]

        sending = Signal()
        tile, y, x, group = Signal(16), Signal(range(size)), Signal(range(size)), Signal(16)
        group_last, x_last, tile_last, pass_last = (Signal() for _ in range(4))
        buffer = Signal()
        pixel_row, pixel = Signal(addr_width), Signal(addr_width)
        word, first_word = Signal(addr_width), Signal(addr_width)
        place, first_place = Signal.like(self.o.group), Signal.like(self.o.group)
        parameter = Signal.like(self.o.parameter_addr)
        first_parameter = Signal.like(parameter)
        next_word, next_place = Signal.like(word), Signal.like(place)
        m.d.comb += [
            group_last.eq(group == groups - 1),
            x_last.eq(group_last & (x == size - 1)),
            tile_last.eq(x_last & (y == size - 1)),
            tile_out.eq(sending & tile_last),
            pass_last.eq(tile_out & (tile == passes.windows - 1)),
            passes.step.eq(pass_last),
            next_word.eq(word),
            next_place.eq(place + 1),
        ]
        with m.If(place == config.word_groups - 1):
            m.d.comb += [next_word.eq(word + 1), next_place.eq(0)]
        with m.If(~sending):
            m.d.sync += [sending.eq(tiles_done != 0), pixel_row.eq(tile_addr), pixel.eq(tile_addr)]
        with m.Else():
            m.d.sync += [group.eq(group + 1), word.eq(next_word), place.eq(next_place),
                         parameter.eq(parameter + 1)]
            with m.If(group_last):
                m.d.sync += [group.eq(0), x.eq(x + 1), pixel.eq(pixel + step), word.eq(first_word),
                             place.eq(first_place), parameter.eq(first_parameter)]
            with m.If(x_last):
                m.d.sync += [x.eq(0), y.eq(y + 1), pixel.eq(pixel_row + row_step),
                             pixel_row.eq(pixel_row + row_step)]
            with m.If(tile_last):
                m.d.sync += [y.eq(0), tile.eq(tile + 1), sending.eq(0), buffer.eq(~buffer)]
                m.d.sync += [now.eq(then) for now, then in zip(position, after, strict=True)]
            with m.If(pass_last):
                m.d.sync += [
                    tile.eq(0),
                    *(signal.eq(next_word) for signal in (word, first_word)),
                    *(signal.eq(next_place) for signal in (place, first_place)),
                    *(signal.eq(parameter + 1) for signal in (parameter, first_parameter)),
                ]
                m.d.sync += [now.eq(then) for now, then in zip(position, begin, strict=True)]
                with m.If(passes.output_last):
                    m.d.sync += [
                        *(signal.eq(0) for signal in (word, first_word, place, first_place)),
                        *(signal.eq(parameters) for signal in (parameter, first_parameter)),
                    ]
                    for signals in (position, begin):
                        m.d.sync += [now.eq(then) for now, then in
                                     zip(signals, after, strict=True)]
        with m.If(self.start):
            first = (0, 0, destination, destination, row_tiles)
            for signals in (position, begin):
                m.d.sync += [now.eq(then) for now, then in zip(signals, first, strict=True)]
            m.d.sync += [
                *(signal.eq(0) for signal in (word, first_word, place, first_place)),
                *(signal.eq(parameters) for signal in (parameter, first_parameter)),
            ]
        m.d.comb += [transform.read_buffer.eq(buffer), transform.read_y.eq(y),
                     transform.read_x.eq(x)]
        m.d.sync += [
            self.o.valid.eq(sending & (image_row + y < height) & (image_column + x < width)),
            self.o.last.eq(pass_last & passes.last),
            self.o.addr.eq(pixel + word),
            self.o.group.eq(place),
            self.o.parameter_addr.eq(parameter),
        ]

        # Outputs of the whole word, two cycles after their read, and the group of them.
        outputs = transform.o_outputs
        for stage in range(2 - transform.read_latency):
            late = Signal.like(outputs, name=f"late_outputs_{stage}", reset_less=True)
            m.d.sync += late.eq(outputs)
            outputs = late
        groups_read = [group]
        for stage in range(2):
            groups_read.append(Signal(range(config.column_groups), name=f"group_{stage}"))
            m.d.sync += groups_read[-1].eq(groups_read[-2])
        group_width = config.lanes * transform.output_width
        chosen = Signal(group_width)
        m.d.comb += chosen.eq(outputs.word_select(groups_read[2], group_width))
        for lane in range(config.lanes):
            m.d.sync += self.o_sums[lane].eq(
                chosen.word_select(lane, transform.output_width).as_signed())
