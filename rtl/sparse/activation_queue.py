"""Activation queue: the columns that wait in front of one PE, with their activations."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.head_queue import HeadQueue
from eieio.rtl.sparse.thermometer import add_thermometer

__all__ = ["ActivationQueue"]


class ActivationQueue(wiring.Component):
    """A queue with two readers: entry fetch runs ahead of entry decode.

    It has ``config.places`` places. One is occupied from its reservation, before the
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
    tag, watched : ``In(1)``
        If inferences are interleaved: the one whose columns are reserved, pushed and, in the cycle
        after, given an activation; and the one of which ``occupied`` tells. ``tag`` changes while
        no place is reserved for what has not been pushed, ``watched`` while no columns of the one
        before are there or to come.
    room : ``Out(1)``
        The queue has a free place. A place freed in this cycle counts two cycles later. A register.
    fetch_valid, fetch_start, fetch_count : ``Out``
        The oldest column that fetch has not popped. Registers.
    fetch_pop : ``In(1)``
        Fetch takes it. Allowed while ``fetch_valid``.
    decode_activation : ``Out(signed(activation_width))``
        Activation of the oldest column that decode has not popped, from 2 cycles after its push on.
    decode_tag : ``Out(1)``
        Its inference. If inferences are interleaved.
    decode_pop : ``In(1)``
        Decode starts it. Allowed after fetch has popped it.
    occupied : ``Out(1)``
        Decode had not started every column for which a place was reserved, two cycles ago for what
        was started and in the last cycle for what was reserved. A register. Of interleaved
        inferences, every column of the one that is ``watched``, from two cycles after this has
        changed.
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
    tag: Signal
    watched: Signal
    decode_tag: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = config
        self._entry_width = ceil_log2(config.entry_depth + 1)
        members = {
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
        }
        if config.interleaved:
            members |= {"tag": In(1), "watched": In(1), "decode_tag": Out(1)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.config.places
        width = self._entry_width

        m.submodules.columns = columns = HeadQueue(2 * width, depth)
        m.d.comb += [
            columns.push.eq(self.push),
            columns.i.eq(Cat(self.push_start, self.push_count)),
            columns.pop.eq(self.fetch_pop),
            self.fetch_valid.eq(columns.valid),
            Cat(self.fetch_start, self.fetch_count).eq(columns.o),
        ]

        # Addresses wrap by themselves; only `occupancy` knows the depth.
        activation_width = self.config.activation_width
        m.submodules.activations = activations = memory.Memory(
            shape=unsigned(activation_width + self.config.interleaved),
            depth=1 << ceil_log2(depth), init=[])
        write = activations.write_port()
        read = activations.read_port(domain="comb")
        m.d.comb += [
            write.data.eq(Cat(self.push_activation, self.tag) if self.config.interleaved
                          else self.push_activation),
            self.decode_activation.eq(read.data[:activation_width]),
        ]
        if self.config.interleaved:
            m.d.comb += self.decode_tag.eq(read.data[-1])
        m.d.sync += [
            write.en.eq(self.push),
            write.addr.eq(write.addr + write.en),
            read.addr.eq(read.addr + self.decode_pop),
        ]

        freed = Signal()  # in the cycle before
        m.d.sync += freed.eq(self.decode_pop)
        occupancy = add_thermometer(m, "occupancy", depth, up=self.reserve, down=freed)
        m.d.comb += self.room.eq(~occupancy[-1])
        if not self.config.interleaved:
            m.d.comb += self.occupied.eq(occupancy[0])
            return m
        # Columns leave in order: once no more of the watched inference are to come, the oldest are
        # its own.
        own, comes = Signal(), Signal()
        watched = Signal.like(occupancy)
        now = Mux(own, occupancy, watched)
        m.d.comb += [
            own.eq(self.tag == self.watched),
            comes.eq(own & self.reserve),
            self.occupied.eq(watched[0]),
        ]
        with m.If(comes & ~freed):
            m.d.sync += watched.eq(Cat(Const(1, 1), now))
        with m.Elif(freed & ~comes):
            m.d.sync += watched.eq(now >> 1)
        with m.Else():
            m.d.sync += watched.eq(now)
        return m
