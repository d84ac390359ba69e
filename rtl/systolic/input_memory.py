"""Input memory: two inputs, one that arrives and one that is computed."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.rtl.systolic.activation_buffer import ActivationBuffer, used_lanes
from eieio.rtl.systolic.descriptor import DESCRIPTOR
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["InputMemory"]


class InputMemory(wiring.Component):
    """Holds words of ``rows`` activations in two halves, each for an input.

    Lanes of a pixel's last word beyond its channels are read as 0.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration, with an input memory.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from an address to its word: those of the activation buffer.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer that reads. Held while it does, and a cycle before.
    read_half, write_half : ``In(1)``
        Half that is read, and half that is written.
    read_addr, read_last, read_here : ``In``
        Word to read, whether it is the last one of its pixel, and whether it is here at all. If
        not, 0 is read.
    word : ``Out``
        Its activations, :attr:`latency` cycles later.
    write_groups, write_addr, write_data : ``In``
        Groups of a word to write, a cycle later: one bit for each.
    """

    latency = ActivationBuffer.latency

    descriptor: data.View
    read_half: Signal
    write_half: Signal
    read_addr: Signal
    read_last: Signal
    read_here: Signal
    word: Signal
    write_groups: Signal
    write_addr: Signal
    write_data: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        addr_width = ceil_log2(config.input_depth)
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "read_half": In(1),
            "write_half": In(1),
            "read_addr": In(unsigned(addr_width)),
            "read_last": In(1),
            "read_here": In(1),
            "word": Out(unsigned(config.rows * ACTIVATION_BITS)),
            "write_groups": In(unsigned(config.word_groups)),
            "write_addr": In(unsigned(addr_width)),
            "write_data": In(unsigned(config.rows * ACTIVATION_BITS)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        group_width = config.lanes * ACTIVATION_BITS
        used = used_lanes(m, config, self.descriptor, self.read_last, self.read_here)
        word = Signal.like(self.word)
        m.d.comb += self.word.eq(word & Cat(
            lane_used.replicate(ACTIVATION_BITS) for lane_used in used))
        # Words of both halves lie side by side, so that any depth will do.
        for group in range(config.word_groups):
            ram = add_block_ram(m, f"group_{group}", platform, width=group_width,
                                depth=2 * config.input_depth, write_registers=True)
            m.d.comb += [
                ram.read_addr.eq(Cat(self.read_half, self.read_addr)),
                word.word_select(group, group_width).eq(ram.read_data),
                ram.write_en.eq(self.write_groups[group]),
                ram.write_addr.eq(Cat(self.write_half, self.write_addr)),
                ram.write_data.eq(self.write_data.word_select(group, group_width)),
            ]
        return m
