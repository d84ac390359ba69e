"""Depthwise weights: those of a block of channels, while the next block's come."""

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.program import Field
from eieio.rtl.systolic.descriptor import DESCRIPTOR, bits
from eieio.rtl.winograd.delay import delayed

__all__ = ["DepthwiseWeights"]

# Latencies of a weight buffer with which the weights of the block before stay long enough, and the
# new ones come early enough.
_LATENCIES = 3, 5


class DepthwiseWeights(wiring.Component):
    """Fetches the weights of a block, a group of the unit's lanes a cycle, and shows a group's.

    They come from the weight buffer, tap by tap and in each group by group, as many groups in a
    row as there is room for; a block begins with a row. A LUT RAM for each tap holds two blocks.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration, with a depthwise unit.
    latency : :class:`int`
        Cycles that the weight buffer takes, 3 to 5.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer. Held while the layer is computed.
    start : ``In(1)``
        Fetch the weights of a layer's first block.
    fetch : ``In(1)``
        Fetch those of the next block.
    taken : ``In(1)``
        The weights that are ready are those of the block at hand from now on. Those of the block
        before may be shown until the fourth cycle behind.
    ready : ``Out(1)``
        A block's weights may be read from ``latency`` cycles behind the first such cycle on.
    row_addr : ``Out``
        Row of the weight buffer to read.
    row : ``In(data.ArrayLayout(signed(weight_width), columns))``
        Its weights, as late as ``latency`` says.
    bank, index : ``In``
        Whether a block's number is odd, and group of the unit's lanes to show.
    o : ``Out(taps * lanes * 8)``
        Weights of the group: tap by tap, lane by lane.
    """

    descriptor: data.View
    start: Signal
    fetch: Signal
    taken: Signal
    ready: Signal
    row_addr: Signal
    row: data.View
    bank: Signal
    index: Signal
    o: Signal

    def __init__(self, config: SystolicConfig, latency: int) -> None:
        if not _LATENCIES[0] <= latency <= _LATENCIES[1]:
            raise ValueError(f"Latency must be from {_LATENCIES[0]} to {_LATENCIES[1]}, not "
                             f"{latency!r}")
        self.config = config
        self.latency = latency
        self.parameters = config, latency
        group = config.depthwise_lanes * ACTIVATION_BITS
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "fetch": In(1),
            "taken": In(1),
            "ready": Out(1),
            "row_addr": Out(unsigned(ceil_log2(config.weight_depth))),
            "row": In(data.ArrayLayout(signed(config.weight_width), config.columns)),
            "bank": In(1),
            "index": In(range(config.depthwise_groups)),
            "o": Out(unsigned(config.depthwise_taps * group)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        lanes, taps, groups = (config.depthwise_lanes, config.depthwise_taps,
                               config.depthwise_groups)
        places = config.columns // lanes

        fetching, bank = Signal(), Signal()
        place, group, tap = Signal(range(places)), Signal(range(groups)), Signal(range(taps))
        row_ends, last = Signal(), Signal()
        m.d.comb += [
            last.eq(fetching & (group == groups - 1) & (tap == taps - 1)),
            row_ends.eq((place == places - 1) | last),
        ]
        with m.If(fetching):
            m.d.sync += [place.eq(place + 1), group.eq(group + 1)]
            with m.If(group == groups - 1):
                m.d.sync += [group.eq(0), tap.eq(tap + 1)]
            with m.If(row_ends):
                m.d.sync += [place.eq(0), self.row_addr.eq(self.row_addr + 1)]
            with m.If(last):
                m.d.sync += [fetching.eq(0), tap.eq(0), bank.eq(~bank)]
        with m.If(self.fetch):
            m.d.sync += fetching.eq(1)
        with m.If(self.start):
            m.d.sync += [
                fetching.eq(1), bank.eq(0), place.eq(0), group.eq(0), tap.eq(0),
                self.row_addr.eq(bits(self.descriptor, Field.WEIGHTS, len(self.row_addr)))]
        ready = Signal()
        m.d.sync += ready.eq(last)
        with m.If(ready):
            m.d.sync += self.ready.eq(1)
        with m.If(self.taken | self.start):
            m.d.sync += self.ready.eq(0)

        # The group of the row, and which memory takes it, a register behind the weight buffer.
        late = delayed(m, Cat(fetching, place, group, tap, bank), self.latency, "late",
                       reset_less=True)
        parts = []
        for signal in (fetching, place, group, tap, bank):
            parts.append(late[:len(signal)])
            late = late[len(signal):]
        valid, late_place, late_group, late_tap, late_bank = parts
        stride = 1 << ceil_log2(groups)
        write_addr, write_data = Signal(range(2 * stride)), Signal(lanes * ACTIVATION_BITS)
        weights = Cat(self.row[column][:ACTIVATION_BITS] for column in range(config.columns))
        m.d.sync += [
            write_addr.eq(Cat(late_group, late_bank)),
            write_data.eq(weights.word_select(late_place, len(write_data))),
        ]
        for number in range(taps):
            words = memory.Memory(shape=unsigned(len(write_data)), depth=2 * stride, init=[],
                                  attrs={"ram_style": "distributed"})
            m.submodules[f"weights_{number}"] = words
            write, read = words.write_port(), words.read_port(domain="comb")
            enable = Signal(name=f"write_{number}")
            m.d.sync += enable.eq(valid & (late_tap == number))
            m.d.comb += [
                write.en.eq(enable),
                write.addr.eq(write_addr),
                write.data.eq(write_data),
                read.addr.eq(Cat(self.index, self.bank)),
                self.o.word_select(number, len(write_data)).eq(read.data),
            ]
        return m
