"""Activation buffer: all tensors between layers."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["ActivationBuffer"]


class ActivationBuffer(wiring.Component):
    """Holds words of ``rows`` activations, which are written in groups of ``lanes``.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from an address to its word.

    Members
    -------
    read_addr : ``In``
        Word to read.
    word : ``Out``
        Its activations, :attr:`latency` cycles later.
    write_valid, write_addr, write_group, write_data : ``In``
        Group of a word to write, a cycle later. A read of that word then is undefined.
    """

    latency = 2

    read_addr: Signal
    word: Signal
    write_valid: Signal
    write_addr: Signal
    write_group: Signal
    write_data: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        addr_width = ceil_log2(config.activation_depth)
        super().__init__({
            "read_addr": In(unsigned(addr_width)),
            "word": Out(unsigned(config.rows * ACTIVATION_BITS)),
            "write_valid": In(1),
            "write_addr": In(unsigned(addr_width)),
            "write_group": In(range(config.word_groups)),
            "write_data": In(unsigned(config.lanes * ACTIVATION_BITS)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        group_width = config.lanes * ACTIVATION_BITS

        for group in range(config.word_groups):
            ram = add_block_ram(m, f"group_{group}", platform, width=group_width,
                                depth=config.activation_depth, write_registers=True)
            m.d.comb += [
                ram.read_addr.eq(self.read_addr),
                self.word.word_select(group, group_width).eq(ram.read_data),
                ram.write_en.eq(self.write_valid & (self.write_group == group)),
                ram.write_addr.eq(self.write_addr),
                ram.write_data.eq(self.write_data),
            ]
        return m
