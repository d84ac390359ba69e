"""Takes results out of their places, rounds them, and writes them behind one another."""

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.engine_timing import WRITE
from eieio.model.tensor_core.program import Field
from eieio.rtl.emit import shared
from eieio.rtl.tensor_core.descriptor import DESCRIPTOR, number
from eieio.rtl.tensor_core.narrow import NARROW_LATENCY, Narrow
from eieio.rtl.vendor.block_ram import add_block_ram
from eieio.rtl.winograd.delay import delayed

__all__ = ["Drain"]

_SUM_WIDTH = 32


class Drain(wiring.Component):
    """Takes a row of results a cycle, those of a window for a tile of channels.

    Parameters
    ----------
    config : :class:`TensorCoreConfig`
        Configuration.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        What to do.
    start : ``In(1)``
        Begin in the next cycle.
    i_valid : ``In(1)``
        There are results of a step.
    i : ``In(data.ArrayLayout(data.ArrayLayout(32, columns), rows))``
        They: binary32, or maxima in the lower halves.
    drained : ``Out(1)``
        Those of a step have left their place.
    write_mask, write_addr, write_row : ``Out``
        As :class:`~eieio.rtl.tensor_core.activation_memory.ActivationMemory` takes them.
    done : ``Out(1)``
        It is the last write.
    """

    descriptor: data.View
    start: Signal
    i_valid: Signal
    i: data.View
    drained: Signal
    write_mask: Signal
    write_addr: Signal
    write_row: data.View
    done: Signal

    def __init__(self, config: TensorCoreConfig) -> None:
        self.config = self.parameters = config
        self._narrow = [Narrow(config.factor_format) for _ in range(config.columns)]
        self.addr_width = ceil_log2(config.activation_depth)
        super().__init__({
            "descriptor": In(DESCRIPTOR), "start": In(1), "i_valid": In(1),
            "i": In(data.ArrayLayout(data.ArrayLayout(_SUM_WIDTH, config.columns), config.rows)),
            "drained": Out(1), "write_mask": Out(config.products),
            "write_addr": Out(unsigned(self.addr_width)),
            "write_row": Out(data.ArrayLayout(16, config.products)), "done": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, width = self.config, self.addr_width
        assert NARROW_LATENCY + 2 == WRITE
        row_width = _SUM_WIDTH * config.columns
        results = add_block_ram(m, "results", platform, width=row_width * config.rows,
                                depth=config.accumulators, output_register=False)
        written, waiting = Signal.like(results.write_addr), Signal(range(config.accumulators + 1))
        taken = Signal.like(results.read_addr)
        issue, tile_end = Signal(), Signal()
        m.d.comb += [
            results.write_en.eq(self.i_valid), results.write_addr.eq(written),
            results.write_data.eq(self.i.as_value()), results.read_addr.eq(taken),
            issue.eq(waiting != 0), self.drained.eq(tile_end),
        ]
        m.d.sync += [written.eq(written + self.i_valid), taken.eq(taken + tile_end),
                     waiting.eq(waiting + self.i_valid - tile_end)]

        # Rows of a tile of channels, tiles, and windows, as many at a time as a step has.
        def field(name: Field) -> Signal:
            return number(self.descriptor, name, width)  # pyright: ignore[reportReturnType]

        counted = width + 2
        windows_left, rows_left = (Signal(counted, name=name, reset_less=True)
                                   for name in ("windows_left", "rows_left"))
        height = Signal(range(config.rows))
        tiles = number(self.descriptor, Field.COLUMN_TILES, ceil_log2(config.accumulators) + 1)
        tiles_left = Signal(ceil_log2(config.accumulators) + 1)
        addr, tile_addr, window_addr = (Signal(width, name=name, reset_less=True)
                                        for name in ("addr", "tile_addr", "window_addr"))
        last_tile, end = Signal(), Signal()
        m.d.comb += [
            tile_end.eq(issue & ((height == config.rows - 1) | (rows_left == 1))),
            last_tile.eq(tiles_left == 1),
            end.eq(tile_end & last_tile & (windows_left <= config.rows)),
        ]
        with m.If(issue):
            m.d.sync += [height.eq(height + 1), rows_left.eq(rows_left - 1),
                         addr.eq(addr + field(Field.WINDOW_RESULTS))]
            with m.If(tile_end):
                m.d.sync += [height.eq(0), rows_left.eq(windows_left),
                             tiles_left.eq(tiles_left - 1), addr.eq(tile_addr + config.columns),
                             tile_addr.eq(tile_addr + config.columns)]
                with m.If(last_tile):
                    following = window_addr + field(Field.TILE_RESULTS)
                    m.d.sync += [
                        tiles_left.eq(tiles), windows_left.eq(windows_left - config.rows),
                        rows_left.eq(windows_left - config.rows),
                        *(each.eq(following) for each in (addr, tile_addr, window_addr)),
                    ]
        with m.If(self.start):
            windows = number(self.descriptor, Field.WINDOWS, counted)
            m.d.sync += [
                height.eq(0), tiles_left.eq(tiles), windows_left.eq(windows),
                rows_left.eq(windows),
                *(each.eq(field(Field.DESTINATION)) for each in (addr, tile_addr, window_addr)),
            ]

        # A row of them, rounded.
        chosen = delayed(m, height, 1, "chosen", reset_less=True)
        row = Signal(row_width, reset_less=True)
        m.d.sync += row.eq(results.read_data.word_select(chosen, row_width))
        clamp = self.descriptor[Field.CLAMP]
        numbers = []
        for lane, narrow in enumerate(self._narrow):
            m.submodules[f"narrow_{lane}"] = shared(narrow, platform)
            m.d.comb += [
                narrow.i.eq(row.word_select(lane, _SUM_WIDTH)),
                narrow.narrowed.eq(self.descriptor[Field.MAXIMUM][0]),
                narrow.minimum.eq(clamp[:16]), narrow.maximum.eq(clamp[16:]),
            ]
            numbers.append(narrow.o)
        mask = Signal(config.products)
        lanes = number(self.descriptor, Field.LAST_LANES, config.columns.bit_length())
        for lane in range(config.columns):
            m.d.comb += mask[lane].eq(issue & (~last_tile | (lanes > lane)))
        m.d.comb += [
            self.write_mask.eq(delayed(m, mask, WRITE, "mask")),
            self.write_addr.eq(delayed(m, addr, WRITE, "write_addr", reset_less=True)),
            self.write_row.as_value().eq(
                Cat(numbers, Const(0, 16 * (config.products - config.columns)))),
            self.done.eq(delayed(m, end, WRITE, "done")),
        ]
        return m
