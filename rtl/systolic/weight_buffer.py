"""Weight buffer: the weight tiles of all layers."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.codebook import Codebook
from eieio.rtl.systolic.codebook_store import COPY_LATENCY, CodebookStore
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["WeightBuffer"]

# Cycles from an address to what the memories hold there.
_MEMORY_LATENCY = 3
# Cycles from codes to weights: a block RAM wants its output register, LUT RAM no more than one.
_LOOKUP_LATENCY = {0: 0, 4: 1, 8: 2}
# Rows that a block RAM has at most. More are in several, a choice of which wants a register behind
# it, but for one whose weights are in a block RAM again.
_BLOCK_DEPTH = 16384


class WeightBuffer(wiring.Component):
    """Holds rows of weights, one for each column of the array.

    With ``code_width`` it holds codes of them, and decodes a row at a time. The codebooks of
    neighbouring layers differ: with codes of 4 bits, each column has a LUT RAM for one of them,
    which is filled anew before each layer, while the last sums of the layer before are requantized.
    With codes of 8 bits it has a block RAM for the only one.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from an address to its weights.
    start_latency : :class:`int`
        Fewest cycles from ``start`` to the first address of a layer.
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
        ``weights_per_word`` weights, or their codes, the first in the lowest bits.
    load_codebook : ``In(1)``
        Only with ``code_width``, as those below: write a weight of a codebook at ``load_addr``,
        see :attr:`~eieio.model.systolic.program.Target.CODEBOOKS`. Not while there are addresses.
    start : ``In(1)``
        The next layer begins. No weights are read any more for the one before.
    layer : ``In``
        Number of its descriptor, from the next cycle on.
    """

    read_addr: Signal
    weights: data.View
    load_valid: Signal
    load_addr: Signal
    load_data: Signal
    load_codebook: Signal
    start: Signal
    layer: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        self.units = -(-config.columns // config.weights_per_word)
        self._chosen = config.weight_depth > _BLOCK_DEPTH and config.code_width != 8
        self.latency = _MEMORY_LATENCY + self._chosen + _LOOKUP_LATENCY[config.code_width]
        self.start_latency = COPY_LATENCY - _MEMORY_LATENCY
        addr_width = load_width = ceil_log2(config.weight_depth)
        coded: dict[str, Any] = {}
        if config.code_width:
            load_width = max(addr_width, ceil_log2(config.codebooks) + config.code_width)
            coded = {"load_codebook": In(1), "start": In(1),
                     "layer": In(unsigned(ceil_log2(config.program_depth)))}
        super().__init__({
            "read_addr": In(unsigned(addr_width)),
            "weights": Out(data.ArrayLayout(signed(config.weight_width), config.columns)),
            "load_valid": In(unsigned(self.units)),
            "load_addr": In(unsigned(load_width)),
            "load_data": In(32),
            **coded,
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width, count = self.config.stored_width, self.config.weights_per_word

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
        if self._chosen:
            chosen = Signal.like(row, reset_less=True)
            m.d.sync += chosen.eq(row)
            row = chosen
        weights: Value = row
        if self.config.code_width:
            weights = self._decoded(m, row)
        m.d.comb += self.weights.as_value().eq(weights)
        return m

    def _decoded(self, m: Module, row: Signal) -> Value:
        """Look up the codes of a row."""
        config, small = self.config, self.config.code_width == 4
        m.submodules.codebook = codebook = Codebook(
            config.code_width, config.weight_width, lanes=config.columns,
            latency=_LOOKUP_LATENCY[config.code_width], lut_ram=small)
        valid, addr, weight = self.load_codebook, self.load_addr, self.load_data
        if small:
            m.submodules.codebook_store = store = CodebookStore(config)
            m.d.comb += [
                store.load_valid.eq(self.load_codebook),
                store.load_addr.eq(self.load_addr),
                store.load_data.eq(self.load_data),
                store.start.eq(self.start),
                store.layer.eq(self.layer),
            ]
            valid, addr, weight = store.o_valid, store.o_code, store.o_weight
        m.d.comb += [
            codebook.codes.as_value().eq(row),
            codebook.load_valid.eq(valid),
            codebook.load_addr.eq(addr),
            codebook.load_data.eq(weight),
        ]
        return codebook.weights.as_value()
