"""Processing element: convolves rows of filters with rows of activations."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.eyeriss.config import EyerissConfig

__all__ = ["SIZES", "WORD", "Pe", "line_layout"]

#: A weight or an activation.
WORD = signed(16)

#: Sizes of a pass, as all PEs get them: see :data:`eieio.model.eyeriss.commands.SIZES`.
SIZES = data.StructLayout({"p": 8, "taps": 8, "step": 8, "places": 12, "first": 1})


def line_layout(config: EyerissConfig) -> data.ArrayLayout:
    """Return the layout of a line: the partial sums that a bus carries in a cycle."""
    return data.ArrayLayout(signed(config.psum_width), config.bus_words)


class Pe(wiring.Component):
    """Multiplies and adds in every cycle in which it has what it needs.

    The window slides over a row of activations: a ring of ``ifmap_words`` words, of which the
    oldest is given up with its last use, so that the next may come. For each word in the window,
    and for each of ``p`` filters, there is a product. With the last word's, partial sums that come
    in are added and the sums go out; so a PE is only some cycles behind the one below.

    Three stages: both scratch pads are read, where a zero activation keeps the weight from being
    read; the product; the sum. A sum is in its scratch pad one cycle later, so that one filter
    alone runs at full speed as well.

    Parameters
    ----------
    config : EyerissConfig
        Sizes of the scratch pads and of the buses.

    Members
    -------
    sizes : ``In(SIZES)``
        Sizes of the pass; they hold while it runs.
    from_glb, to_glb : ``In(1)``
        Partial sums come from the global buffer, or from the PE below; go to it, or to the PE
        above.
    clear : ``In(1)``
        Between passes: nothing is under way, and the next weight is the first.
    filter_valid, filter_data : ``In``
        A line of weights, in the order of their use.
    ifmap_valid, ifmap_data, ifmap_ready : ``In, In, Out``
        Activations, column by column and in each channel by channel.
    line_valid, line_data, line_ready : ``In, In, Out``
        Lines of partial sums from the global buffer, in the order of the filters.
    below_valid, below_data, below_take : ``In, In, Out``
        Partial sums of the PE below.
    above_valid, above_data, above_take : ``Out, Out, In``
        Partial sums for the PE above.
    out_valid, out_data, out_take : ``Out, Out, In``
        Lines of partial sums for the global buffer.
    mac, gated : ``Out(1)``
        A MAC begins; its activation is 0. It reads the activation, and the weight unless gated.
    psum_read, psum_write : ``Out(1)``
        The partial sum of a filter is read from its scratch pad, and written to it.
    """

    sizes: data.View
    from_glb: Signal
    to_glb: Signal
    clear: Signal
    filter_valid: Signal
    filter_data: data.View
    ifmap_valid: Signal
    ifmap_data: Signal
    ifmap_ready: Signal
    line_valid: Signal
    line_data: data.View
    line_ready: Signal
    below_valid: Signal
    below_data: Signal
    below_take: Signal
    above_valid: Signal
    above_data: Signal
    above_take: Signal
    out_valid: Signal
    out_data: data.View
    out_take: Signal
    mac: Signal
    gated: Signal
    psum_read: Signal
    psum_write: Signal

    module_name = "pe"

    def __init__(self, config: EyerissConfig) -> None:
        self.config = config
        self.parameters = config
        psum, line = signed(config.psum_width), line_layout(config)
        super().__init__({
            "sizes": In(SIZES), "from_glb": In(1), "to_glb": In(1),
            "clear": In(1), "filter_valid": In(1),
            "filter_data": In(data.ArrayLayout(WORD, config.bus_words)),
            "ifmap_valid": In(1), "ifmap_data": In(WORD), "ifmap_ready": Out(1),
            "line_valid": In(1), "line_data": In(line), "line_ready": Out(1),
            "below_valid": In(1), "below_data": In(psum), "below_take": Out(1),
            "above_valid": Out(1), "above_data": Out(psum), "above_take": In(1),
            "out_valid": Out(1), "out_data": Out(line), "out_take": In(1),
            "mac": Out(1), "gated": Out(1), "psum_read": Out(1), "psum_write": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, sizes = self.config, self.sizes
        go, room, psum_ok = Signal(), Signal(), Signal()
        filter_number = Signal(8)  # of p
        tap = Signal(8)
        place = Signal(12)
        first_tap, last_tap, last_filter, last_place = (
            Signal(name=name) for name in ("first_tap", "last_tap", "last_filter", "last_place"))
        word_done, place_done = Signal(), Signal()
        m.d.comb += [
            first_tap.eq(tap == 0), last_tap.eq(tap == sizes.taps),
            last_filter.eq(filter_number == sizes.p), last_place.eq(place == sizes.places),
            word_done.eq(go & last_filter), place_done.eq(word_done & last_tap),
        ]
        with m.If(go):
            m.d.sync += filter_number.eq(Mux(last_filter, 0, filter_number + 1))
        with m.If(word_done):
            m.d.sync += tap.eq(Mux(last_tap, 0, tap + 1))
        with m.If(place_done):
            m.d.sync += place.eq(Mux(last_place, 0, place + 1))

        x, here = self._window(m, word_done, place_done,
                               (tap < sizes.step) | last_place)
        m.d.comb += [
            go.eq(here & (~last_tap | (psum_ok & room))),
            self.mac.eq(go), self.gated.eq(go & (x == 0)),
        ]
        weight = self._weight(m, go, place_done, x)
        incoming = self._incoming(m, go & last_tap, filter_number, last_filter, psum_ok)

        # What goes along with the product.
        lane = ceil_log2(config.bus_words)
        begun = []
        for number, value in enumerate((go, x != 0, first_tap, last_tap, last_filter,
                                        filter_number, incoming)):
            for stage in (1, 2):
                # A reset leaves no MAC under way; the rest counts with one alone.
                following = Signal.like(value, name=f"value_{number}_{stage}",
                                        reset_less=number > 0)
                m.d.sync += following.eq(value)
                value = following
            begun.append(value)
        valid, counts, first, last, ends, number, more = begun
        factor = Signal(WORD, reset_less=True)
        product = Signal(signed(32), reset_less=True)
        m.d.sync += product.eq(weight * factor)
        with m.If(x != 0):  # else nothing moves at the multiplier
            m.d.sync += factor.eq(x)

        m.submodules.psums = psums = Memory(shape=signed(config.psum_width),
                                            depth=config.psum_words, init=[])
        read, write = psums.read_port(domain="comb"), psums.write_port()
        total = Signal(signed(config.psum_width))
        m.d.comb += [
            read.addr.eq(number), write.addr.eq(number), write.data.eq(total),
            write.en.eq(self.psum_write), self.psum_read.eq(valid & ~first),
            self.psum_write.eq(valid & ~last),
            total.eq(Mux(first, 0, read.data) + Mux(counts, product, 0) + Mux(last, more, 0)),
        ]
        self._outgoing(m, go & last_tap, filter_number[:lane] if lane else 0, room,
                       valid & last, ends, total)
        return m

    def _window(self, m: Module, word_done: Value, place_done: Value, leaves: Value
                ) -> tuple[Value, Value]:
        """Hold the window of activations; return the one at the current tap, and if it is there."""
        depth = self.config.ifmap_words
        m.submodules.ifmaps = memory = Memory(shape=WORD, depth=depth, init=[])
        read, write = memory.read_port(domain="comb"), memory.write_port()
        base, tip, end = (Signal(range(depth), name=name) for name in ("base", "tip", "end"))
        held, ahead = (Signal(range(depth + 1), name=name) for name in ("held", "ahead"))
        accept, retire = Signal(), Signal()
        next_base = Signal.like(base)
        next_held = Signal.like(held)

        def after(pointer: Value) -> Value:
            return Mux(pointer == depth - 1, 0, pointer + 1)

        m.d.comb += [
            self.ifmap_ready.eq(held != depth),
            accept.eq(self.ifmap_valid & self.ifmap_ready),
            retire.eq(word_done & leaves),
            next_base.eq(Mux(retire, after(base), base)),
            next_held.eq(held + accept - retire),
            read.addr.eq(tip), write.addr.eq(end), write.data.eq(self.ifmap_data),
            write.en.eq(accept),
        ]
        m.d.sync += [base.eq(next_base), held.eq(next_held)]
        with m.If(accept):
            m.d.sync += end.eq(after(end))
        with m.If(place_done):
            m.d.sync += [tip.eq(next_base), ahead.eq(next_held)]
        with m.Else():
            m.d.sync += ahead.eq(ahead + accept - word_done)
            with m.If(word_done):
                m.d.sync += tip.eq(after(tip))
        return read.data, ahead != 0

    def _weight(self, m: Module, go: Value, place_done: Value, x: Value) -> Value:
        """Read the weight of the current MAC, unless its activation is 0."""
        lanes = self.config.bus_words
        depth = self.config.filter_words // lanes
        # No weight is written in a pass, in which they are read.
        m.submodules.filters = memory = Memory(shape=data.ArrayLayout(WORD, lanes), depth=depth,
                                               init=[], attrs={"no_rw_check": "1"})
        read, write = memory.read_port(), memory.write_port()
        written, addr = Signal(range(depth)), Signal(range(self.config.filter_words))
        lane_width = ceil_log2(lanes)
        with m.If(self.filter_valid):
            m.d.sync += written.eq(written + 1)
        with m.If(self.clear):
            m.d.sync += written.eq(0)
        with m.If(go):
            m.d.sync += addr.eq(Mux(place_done, 0, addr + 1))
        m.d.comb += [
            write.addr.eq(written), write.data.eq(self.filter_data),
            write.en.eq(self.filter_valid),
            read.addr.eq(addr[lane_width:]), read.en.eq(go & (x != 0)),
        ]
        if lanes == 1:
            return read.data[0]
        lane = Signal(lane_width, reset_less=True)
        m.d.sync += lane.eq(addr[:lane_width])
        return read.data[lane]

    def _incoming(self, m: Module, taken: Value, filter_number: Value, last_filter: Value,
                  psum_ok: Signal) -> Value:
        """Choose the partial sum that is added; tell if it is there."""
        lanes = self.config.bus_words
        lane_width = ceil_log2(lanes)
        lines = [Signal(line_layout(self.config), name=f"line_{i}", reset_less=True)
                 for i in range(2)]
        waiting, written, read = Signal(range(3)), Signal(), Signal()
        accept, line_done = Signal(), Signal()
        m.d.comb += [
            self.line_ready.eq(waiting != 2),
            accept.eq(self.line_valid & self.line_ready),
            psum_ok.eq(Mux(self.from_glb, self.sizes.first | (waiting != 0), self.below_valid)),
            self.below_take.eq(taken & ~self.from_glb),
            line_done.eq(taken & self.from_glb & ~self.sizes.first
                         & (last_filter | _ends_line(filter_number, lane_width))),
        ]
        m.d.sync += [waiting.eq(waiting + accept - line_done), read.eq(read ^ line_done),
                     written.eq(written ^ accept)]
        for number, line in enumerate(lines):
            with m.If(accept & (written == number)):
                m.d.sync += line.eq(self.line_data)
        line = Signal(line_layout(self.config))
        m.d.comb += line.eq(Mux(read, lines[1].as_value(), lines[0].as_value()))
        word = line[filter_number[:lane_width]] if lanes > 1 else line[0]
        return Mux(self.from_glb, Mux(self.sizes.first, 0, word), self.below_data).as_signed()

    def _outgoing(self, m: Module, begins: Value, lane: Value | int, room: Signal, valid: Value,
                  ends: Value, total: Value) -> None:
        """Keep sums until they are taken: one by one for the PE above, or in lines."""
        lanes, slots = self.config.bus_words, self.config.psum_slots
        lane_width = ceil_log2(lanes)
        kept = Array(Signal(signed(self.config.psum_width), name=f"kept_{i}", reset_less=True)
                     for i in range(slots))
        used, level = Signal(range(slots + 1)), Signal(range(slots + 1))
        into, out = Signal(range(slots)), Signal(range(slots))
        unit = Mux(self.to_glb, lanes, 1)
        opens = ~self.to_glb | (lane == 0)
        take = self.above_take | self.out_take
        complete = valid & (~self.to_glb | ends | _ends_line(into, lane_width))
        m.d.comb += [
            room.eq(~opens | (used + unit <= slots)),
            self.above_valid.eq(~self.to_glb & (level != 0)), self.above_data.eq(kept[out]),
            self.out_valid.eq(self.to_glb & (level != 0)),
        ]
        for number in range(lanes):
            if lanes == 1:
                m.d.comb += self.out_data[0].eq(kept[out])
            else:
                m.d.comb += self.out_data[number].eq(
                    Array(kept[first + number] for first in range(0, slots, lanes))[
                        out[lane_width:]])
        m.d.sync += [
            used.eq(used + Mux(begins & opens, unit, 0) - Mux(take, unit, 0)),
            level.eq(level + Mux(complete, unit, 0) - Mux(take, unit, 0)),
        ]
        with m.If(self.clear):
            m.d.sync += [into.eq(0), out.eq(0)]
        with m.Elif(take):
            m.d.sync += out.eq(out + unit)
        with m.If(valid):
            m.d.sync += kept[into].eq(total)
            m.d.sync += into.eq(into + 1)
            if lanes > 1:
                with m.If(self.to_glb & ends):
                    m.d.sync += into.eq(Cat(Const(0, lane_width), into[lane_width:] + 1))



def _ends_line(number: Value, lane_width: int) -> Value:
    """Tell whether a partial sum is the last of a full line."""
    return number[:lane_width].all() if lane_width else Const(1)
