"""Activation bank: both activation buffers of some lanes, and the search for nonzeros."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig

__all__ = ["ActivationBank"]


class ActivationBank(wiring.Component):
    """Holds the source and destination activations of every ``column_groups``-th lane.

    A bank keeps one word in a register, the current word, and shows the first nonzero activation
    that has not been taken yet. Words are stepped through in rising order from word 0. The memory's
    own output register holds the next word, so that a step can come in every cycle.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Attributes
    ----------
    lanes : :class:`int`
        Activations in a word of this bank.

    Members
    -------
    start : ``In(1)``
        Return to word 0. The first step after it fetches word 0, the second makes it current.
    step : ``In(1)``
        Make the fetched word current, with all its nonzeros untaken, and fetch the next.
    take : ``In(1)``
        Mark the first nonzero as taken.
    read_buffer : ``In(1)``
        The buffer that is read.
    found, several : ``Out(1)``
        The current word has at least one, at least two, untaken nonzeros.
    lane, activation : ``Out``
        Lane in this bank and value of the first untaken nonzero.
    word : ``Out(unsigned(lanes * activation_width))``
        The whole current word, lane 0 in the lowest bits.
    write_valid, write_buffer, write_addr, write_data : ``In``
        Write a whole word into a buffer.
    """

    start: Signal
    step: Signal
    take: Signal
    read_buffer: Signal
    found: Signal
    several: Signal
    lane: Signal
    activation: Signal
    word: Signal
    write_valid: Signal
    write_buffer: Signal
    write_addr: Signal
    write_data: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = self.parameters = config
        self.lanes = config.pes // config.column_groups
        self._addr_width = ceil_log2(config.activation_depth)
        width = config.activation_width
        super().__init__({
            "start": In(1),
            "step": In(1),
            "take": In(1),
            "read_buffer": In(1),
            "found": Out(1),
            "several": Out(1),
            "lane": Out(unsigned(ceil_log2(self.lanes))),
            "activation": Out(signed(width)),
            "word": Out(unsigned(self.lanes * width)),
            "write_valid": In(1),
            "write_buffer": In(1),
            "write_addr": In(unsigned(self._addr_width)),
            "write_data": In(unsigned(self.lanes * width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.config.activation_width

        m.submodules.activations = words = memory.Memory(
            shape=unsigned(self.lanes * width), depth=2 << self._addr_width, init=[])
        write = words.write_port()
        read = words.read_port()
        addr = Signal(self._addr_width)
        m.d.comb += [
            write.en.eq(self.write_valid),
            write.addr.eq(Cat(self.write_addr, self.write_buffer)),
            write.data.eq(self.write_data),
            read.en.eq(self.step),
            read.addr.eq(Cat(addr, self.read_buffer)),
        ]

        untaken = Signal(self.lanes)
        lanes = [self.word.word_select(lane, width) for lane in range(self.lanes)]
        fetched = [read.data.word_select(lane, width) for lane in range(self.lanes)]
        with m.If(self.start):
            m.d.sync += addr.eq(0)
        with m.Elif(self.step):
            m.d.sync += [
                addr.eq(addr + 1),
                self.word.eq(read.data),
                untaken.eq(Cat(lane.any() for lane in fetched)),
            ]
        with m.Elif(self.take):
            m.d.sync += untaken.eq(untaken & (untaken - 1))

        found, several, lane, activation = _first(list(zip(untaken, lanes, strict=True)))
        m.d.comb += [
            self.found.eq(found),
            self.several.eq(several),
            self.lane.eq(lane),
            self.activation.eq(activation),
        ]
        return m


def _first(lanes: list[tuple[Value, Value]]) -> tuple[Value, Value, Value, Value]:
    """Leading-nonzero detection as a binary tree: (found, several, lane, activation)."""
    if len(lanes) == 1:
        (found, activation), = lanes
        return found, Const(0), Const(0, 0), activation
    # A full lower half keeps the upper bit of the lane equal to the choice made here.
    half = 1 << (ceil_log2(len(lanes)) - 1)
    low_found, low_several, low_lane, low = _first(lanes[:half])
    high_found, high_several, high_lane, high = _first(lanes[half:])
    return (
        low_found | high_found,
        low_several | high_several | (low_found & high_found),
        Cat(Mux(low_found, low_lane, high_lane)[:ceil_log2(half)], ~low_found),
        Mux(low_found, low, high),
    )
