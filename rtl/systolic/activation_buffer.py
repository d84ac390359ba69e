"""Activation buffer: all tensors between layers."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig

__all__ = ["ActivationBuffer"]


class ActivationBuffer(wiring.Component):
    """Holds words of ``rows`` activations, which are written in groups of ``lanes``.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Members
    -------
    read_addr : ``In``
        Word to read.
    word : ``Out``
        Its activations, two cycles later.
    write_valid, write_addr, write_group, write_data : ``In``
        Group of a word to write. A read in the same cycle sees the word before.
    """

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

        m.submodules.activations = activations = memory.Memory(
            shape=unsigned(config.rows * ACTIVATION_BITS), depth=config.activation_depth, init=[])
        write = activations.write_port(granularity=group_width)
        read = activations.read_port()
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(self.read_addr),
            write.addr.eq(self.write_addr),
            write.data.eq(self.write_data.replicate(config.word_groups)),
            write.en.eq(self.write_valid << self.write_group),
        ]
        m.d.sync += self.word.eq(read.data)
        return m
