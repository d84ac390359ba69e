"""Activation buffer: all tensors between layers."""

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.rtl.systolic.descriptor import DESCRIPTOR, unused_lanes
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["ActivationBuffer", "used_lanes"]


class ActivationBuffer(wiring.Component):
    """Holds words of ``rows`` activations, which are written in groups of ``lanes``.

    The last word of a pixel may have more lanes than channels. What nobody has written there, or
    somebody has left, is read as 0.

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
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer that reads. Held while it does, and a cycle before.
    read_addr, read_last : ``In``
        Word to read, and whether it is the last one of its pixel.
    read_here : ``In(1)``
        Of an engine with an input memory: the word is here, and not there. If not, 0 is read.
    word : ``Out``
        Its activations, :attr:`latency` cycles later.
    write_groups, write_addr, write_data : ``In``
        Group of a word to write, a cycle later: one bit for each. A read of that word then is
        undefined.
    """

    latency = 2

    descriptor: data.View
    read_addr: Signal
    read_last: Signal
    read_here: Signal
    word: Signal
    write_groups: Signal
    write_addr: Signal
    write_data: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        addr_width = ceil_log2(config.activation_depth)
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "read_addr": In(unsigned(addr_width)),
            "read_last": In(1),
            **({"read_here": In(1)} if config.input_depth else {}),
            "word": Out(unsigned(config.rows * ACTIVATION_BITS)),
            "write_groups": In(unsigned(config.word_groups)),
            "write_addr": In(unsigned(addr_width)),
            "write_data": In(unsigned(config.lanes * ACTIVATION_BITS)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        group_width = config.lanes * ACTIVATION_BITS

        used = used_lanes(m, config, self.descriptor, self.read_last,
                          self.read_here if config.input_depth else None)
        word = Signal.like(self.word)
        m.d.comb += self.word.eq(word & Cat(
            lane_used.replicate(ACTIVATION_BITS) for lane_used in used))
        for group in range(config.word_groups):
            ram = add_block_ram(m, f"group_{group}", platform, width=group_width,
                                depth=config.activation_depth, write_registers=True)
            m.d.comb += [
                ram.read_addr.eq(self.read_addr),
                word.word_select(group, group_width).eq(ram.read_data),
                ram.write_en.eq(self.write_groups[group]),
                ram.write_addr.eq(self.write_addr),
                ram.write_data.eq(self.write_data),
            ]
        return m


def used_lanes(m: Module, config: SystolicConfig, descriptor: data.View, read_last: Value,
               read_here: Value | None) -> Signal:
    """Return which lanes of a word count, :attr:`ActivationBuffer.latency` cycles after its read.

    Parameters
    ----------
    m : :class:`Module`
        Module to add it to.
    config : SystolicConfig
        Configuration.
    descriptor : :class:`data.View`
        Descriptor of the layer that reads.
    read_last, read_here : :class:`Value`
        Whether the word is the last one of its pixel, and whether any lane of it counts.
    """
    unused, used = Signal(config.rows), Signal(config.rows)
    last = Signal(name="read_last_before")
    m.d.sync += [
        unused.eq(Cat(unused_lanes(descriptor)[:ceil_log2(config.rows)]
                      >= config.rows - row for row in range(config.rows))),
        last.eq(read_last),
    ]
    lanes = ~(unused & last.replicate(config.rows))
    if read_here is not None:
        here = Signal(name="read_here_before")
        m.d.sync += here.eq(read_here)
        lanes &= here.replicate(config.rows)
    m.d.sync += used.eq(lanes)
    return used
