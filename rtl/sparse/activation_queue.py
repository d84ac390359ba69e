"""Activation queue: the columns that wait in front of one PE, with their activations."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig

__all__ = ["FETCH_COLUMNS", "ActivationQueue"]

#: Columns that a PE holds beside those in its queue: their entries are on the way from the block
#: RAM to decode. It covers the 8 cycles from starting a column to starting the one that takes the
#: freed place, so that a PE decodes a column a cycle.
FETCH_COLUMNS = 8


class ActivationQueue(wiring.Component):
    """A queue with two readers: entry fetch runs ahead of entry decode.

    It has ``queue_depth + FETCH_COLUMNS`` places. One is occupied from its reservation, before the
    push, until decode starts the column, however early fetch has been. A push shows at the readers
    in the next cycle.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Members
    -------
    reserve : ``In(1)``
        Occupy a place. Allowed while ``room``.
    push : ``In(1)``
        Append a column, in a place that was reserved in an earlier cycle.
    push_start, push_count : ``In``
        The column's first entry, and its number of entries.
    push_activation : ``In(signed(activation_width))``
        In the cycle after ``push``: the activation that the column meets.
    room : ``Out(1)``
        The queue has a free place. A place freed in this cycle counts in the next.
    fetch_valid, fetch_start, fetch_count : ``Out``
        The oldest column that fetch has not popped.
    fetch_pop : ``In(1)``
        Fetch takes it. Allowed while ``fetch_valid``.
    decode_activation : ``Out(signed(activation_width))``
        Activation of the oldest column that decode has not popped, from 2 cycles after its push on.
    decode_pop : ``In(1)``
        Decode starts it. Allowed after fetch has popped it.
    occupied : ``Out(1)``
        Decode has not started every column for which a place was reserved.
    """

    reserve: Signal
    push: Signal
    push_start: Signal
    push_count: Signal
    push_activation: Signal
    room: Signal
    fetch_valid: Signal
    fetch_start: Signal
    fetch_count: Signal
    fetch_pop: Signal
    decode_activation: Signal
    decode_pop: Signal
    occupied: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = config
        self._entry_width = ceil_log2(config.entry_depth + 1)
        super().__init__({
            "reserve": In(1),
            "push": In(1),
            "push_start": In(unsigned(self._entry_width)),
            "push_count": In(unsigned(self._entry_width)),
            "push_activation": In(signed(config.activation_width)),
            "room": Out(1),
            "fetch_valid": Out(1),
            "fetch_start": Out(unsigned(self._entry_width)),
            "fetch_count": Out(unsigned(self._entry_width)),
            "fetch_pop": In(1),
            "decode_activation": Out(signed(config.activation_width)),
            "decode_pop": In(1),
            "occupied": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.config.queue_depth + FETCH_COLUMNS
        # Addresses wrap by themselves; only `occupancy` knows the depth.
        storage = 1 << ceil_log2(depth)
        width = self._entry_width

        m.submodules.columns = columns = memory.Memory(
            shape=unsigned(2 * width), depth=storage, init=[])
        column_write = columns.write_port()
        column_read = columns.read_port(domain="comb")
        m.submodules.activations = activations = memory.Memory(
            shape=signed(self.config.activation_width), depth=storage, init=[])
        activation_write = activations.write_port()
        activation_read = activations.read_port(domain="comb")
        m.d.comb += [
            column_write.en.eq(self.push),
            column_write.data[:width].eq(self.push_start),
            column_write.data[width:].eq(self.push_count),
            self.fetch_start.eq(column_read.data[:width]),
            self.fetch_count.eq(column_read.data[width:]),
            activation_write.data.eq(self.push_activation),
            self.decode_activation.eq(activation_read.data),
        ]
        m.d.sync += [
            column_write.addr.eq(column_write.addr + self.push),
            activation_write.en.eq(self.push),
            activation_write.addr.eq(column_write.addr),
            column_read.addr.eq(column_read.addr + self.fetch_pop),
            activation_read.addr.eq(activation_read.addr + self.decode_pop),
        ]

        occupancy = Signal(range(depth + 1))
        next_occupancy = Signal.like(occupancy)
        full = Signal()
        unfetched = Signal(range(depth + 1))
        m.d.comb += [
            next_occupancy.eq(occupancy + self.reserve - self.decode_pop),
            self.fetch_valid.eq(unfetched != 0),
            self.room.eq(~full),
            self.occupied.eq(occupancy != 0),
        ]
        m.d.sync += [
            occupancy.eq(next_occupancy),
            full.eq(next_occupancy == depth),
            unfetched.eq(unfetched + self.push - self.fetch_pop),
        ]
        return m
