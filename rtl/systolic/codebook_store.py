"""Codebook store: the codebooks of all layers, of which it sends the one of the next layer."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.vendor.block_ram import add_block_ram
from eieio.rtl.winograd.delay import delayed

__all__ = ["COPY_LATENCY", "CodebookStore"]

_CODES = 16
#: Cycles from the start of a copy until the last weight is where it is sent to.
COPY_LATENCY = _CODES + 4


class CodebookStore(wiring.Component):
    """Copies a layer's codebook to where codes are looked up, a weight a cycle.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration, with codes of 4 bits.

    Members
    -------
    load_valid, load_addr, load_data : ``In``
        Write a weight: a word of an image, and its place, ``layer * 16 + code``.
    start : ``In(1)``
        Send a codebook, of the layer that ``layer`` is from the next cycle on. Not while one is
        being sent.
    layer : ``In``
        Layer. Held while its codebook is sent.
    o_valid, o_code, o_weight : ``Out``
        A weight, and its code.
    """

    load_valid: Signal
    load_addr: Signal
    load_data: Signal
    start: Signal
    layer: Signal
    o_valid: Signal
    o_code: Signal
    o_weight: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        layer_width = ceil_log2(config.program_depth)
        super().__init__({
            "load_valid": In(1),
            "load_addr": In(unsigned(ceil_log2(_CODES) + layer_width)),
            "load_data": In(32),
            "start": In(1),
            "layer": In(unsigned(layer_width)),
            "o_valid": Out(1),
            "o_code": Out(unsigned(ceil_log2(_CODES))),
            "o_weight": Out(unsigned(config.weight_width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        ram = add_block_ram(m, "codebooks", platform, width=config.weight_width,
                            depth=_CODES * config.program_depth)
        sending = Signal()
        code = Signal.like(self.o_code)
        m.d.sync += sending.eq(self.start | (sending & ~code.all()))
        with m.If(sending):
            m.d.sync += code.eq(code + 1)
        # Two cycles for the memory, and one for the register behind it.
        weight = Signal.like(self.o_weight, reset_less=True)
        m.d.sync += weight.eq(ram.read_data)
        m.d.comb += [
            ram.write_en.eq(self.load_valid),
            ram.write_addr.eq(self.load_addr),
            ram.write_data.eq(self.load_data),
            ram.read_addr.eq(Cat(code, self.layer)),
            self.o_valid.eq(delayed(m, sending, 3, "valid")),
            self.o_code.eq(delayed(m, code, 3, "code", reset_less=True)),
            self.o_weight.eq(weight),
        ]
        return m
