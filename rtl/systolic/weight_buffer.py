"""Weight buffer: the weight tiles of all layers."""

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["WeightBuffer"]


class WeightBuffer(wiring.Component):
    """Holds rows of weights, one for each column of the array.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from an address to its weights.
    units : :class:`int`
        Parts of a row that are written each on its own.

    Members
    -------
    read_addr : ``In``
        Row to read.
    weights : ``Out(data.ArrayLayout(signed(weight_width), columns))``
        Its weights, :attr:`latency` cycles later.
    load_valid : ``In(units)``
        Write a part of a row: a bit for each.
    load_addr : ``In``
        Row to write.
    load_data : ``In(32)``
        ``weights_per_word`` weights, the first in the lowest bits.
    """

    latency = 3

    read_addr: Signal
    weights: data.View
    load_valid: Signal
    load_addr: Signal
    load_data: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        self.units = -(-config.columns // config.weights_per_word)
        addr_width = ceil_log2(config.weight_depth)
        super().__init__({
            "read_addr": In(unsigned(addr_width)),
            "weights": Out(data.ArrayLayout(signed(config.weight_width), config.columns)),
            "load_valid": In(unsigned(self.units)),
            "load_addr": In(unsigned(addr_width)),
            "load_data": In(32),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width, count = self.config.weight_width, self.config.weights_per_word

        part_width = count * width
        loaded = Cat(self.load_data.word_select(part, 32 // count)[:width]
                     for part in range(count))
        row = Signal(self.units * part_width)
        for unit in range(self.units):
            ram = add_block_ram(m, f"unit_{unit}", platform, width=part_width,
                                depth=self.config.weight_depth, write_registers=True,
                                read_registers=True)
            m.d.comb += [
                ram.read_addr.eq(self.read_addr),
                row.word_select(unit, part_width).eq(ram.read_data),
                ram.write_en.eq(self.load_valid[unit]),
                ram.write_addr.eq(self.load_addr),
                ram.write_data.eq(loaded),
            ]
        m.d.comb += self.weights.as_value().eq(row)
        return m
