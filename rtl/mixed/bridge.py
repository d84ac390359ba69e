"""Bridge: from the output stream of the systolic engine to the input stream of the sparse one."""

from amaranth.hdl import Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.mixed.config import MixedConfig
from eieio.model.systolic.config import ACTIVATION_BITS
from eieio.rtl.bus.skid_buffer import SkidBuffer, beat_layout
from eieio.rtl.sparse import stream_adapter
from eieio.rtl.systolic import stream_port

__all__ = ["Bridge"]


class Bridge(wiring.Component):
    """Passes a tensor on: its numbers less the zero point, in the beats of the other engine.

    A beat waits for the sparse engine before the first of a tensor is taken, and none waits behind
    it: so the step takes the same cycles whoever was late. Lanes that a pixel's last beat has
    beyond its channels hold anything, and are passed on as 0. All that the bridge drives follows
    from registers; a number takes two cycles.

    Parameters
    ----------
    config : MixedConfig
        Configuration of the engine.

    Members
    -------
    i : ``In(stream)``
        Beats of the systolic engine.
    o : ``Out(stream)``
        Beats of the sparse engine.
    enable : ``In(1)``
        The next tensor may begin.
    zero_point, pixel_beats, last_lane : ``In``
        What is subtracted; beats of a pixel; and the last lane that the last of them uses.
    busy : ``Out(1)``
        A beat has been taken, and the last one has not been passed on.
    held : ``Out(1)``
        A tensor waits for the sparse engine.
    ended : ``Out(1)``
        The last beat of a tensor is taken.
    """

    i: stream.Interface
    o: stream.Interface
    enable: Signal
    zero_point: Signal
    pixel_beats: Signal
    last_lane: Signal
    busy: Signal
    held: Signal
    ended: Signal

    def __init__(self, config: MixedConfig) -> None:
        self.config = config
        super().__init__({
            "i": In(stream_port.beat_signature(config.convolutions)),
            "o": Out(stream_adapter.beat_signature(config.dense)),
            "enable": In(1),
            "zero_point": In(signed(ACTIVATION_BITS)),
            "pixel_beats": In(unsigned(16)),
            "last_lane": In(unsigned(8)),
            "busy": Out(1),
            "held": Out(1),
            "ended": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, width = self.config.convolutions.lanes, self.config.dense.activation_width
        io_lanes, parts = self.config.dense.io_lanes, self.config.parts
        slots = max(1, io_lanes // lanes)
        m.submodules.buffer = buffer = SkidBuffer(beat_layout(io_lanes * width))
        wiring.connect(m, buffer.o, wiring.flipped(self.o))

        # A word is a beat that goes out in parts, or one that several beats are collected for.
        word = Signal(data.ArrayLayout(signed(width), max(lanes, io_lanes)), reset_less=True)
        valid, last = Signal(), Signal()
        part, slot = Signal(range(parts)), Signal(range(slots))
        part_last, free = Signal(), Signal()
        under_way, starts, taken = Signal(), Signal(), Signal()
        m.d.comb += [
            part_last.eq(part == parts - 1),
            free.eq(~valid | (buffer.i.ready & part_last)),
            self.i.ready.eq(under_way & free),
            taken.eq(self.i.valid & self.i.ready),
            starts.eq(self.i.valid & ~under_way & self.enable & self.o.ready & ~self.o.valid
                      & ~valid),
            self.held.eq(self.i.valid & ~under_way & ~starts),
            self.ended.eq(taken & self.i.payload.last),
            self.busy.eq(under_way | valid | self.o.valid),
            buffer.i.valid.eq(valid),
            buffer.i.payload.data.eq(
                word.as_value().word_select(part, io_lanes * width)),
            buffer.i.payload.last.eq(last & part_last),
        ]
        m.d.sync += under_way.eq((under_way | starts) & ~self.ended)
        with m.If(valid & buffer.i.ready):
            m.d.sync += part.eq(Mux(part_last, 0, part + 1))
        with m.If(free):
            m.d.sync += valid.eq(0)

        # Which lanes of a pixel's last beat are channels follows from the image alone.
        used = Signal(lanes)
        m.d.sync += [used[lane].eq(lane <= self.last_lane if lane else 1) for lane in range(lanes)]
        left = Signal.like(self.pixel_beats)
        pixel_last = Signal()
        with m.If(taken):
            m.d.sync += [
                left.eq(Mux(pixel_last, self.pixel_beats, left - 1)),
                pixel_last.eq(Mux(pixel_last, self.pixel_beats == 1, left == 2)),
                valid.eq((slot == slots - 1) | self.i.payload.last),
                last.eq(self.i.payload.last),
                slot.eq(Mux((slot == slots - 1) | self.i.payload.last, 0, slot + 1)),
            ]
            for place in range(max(lanes, io_lanes)):
                lane = place % lanes
                number = self.i.payload.data.word_select(lane, ACTIVATION_BITS).as_signed()
                with m.If(slot == place // lanes):
                    m.d.sync += word[place].eq(Mux(
                        ~pixel_last | used[lane], number - self.zero_point, Const(0, signed(2))))
                with m.Elif(slot == 0):
                    m.d.sync += word[place].eq(0)
        with m.Elif(~under_way):
            m.d.sync += [left.eq(self.pixel_beats), pixel_last.eq(self.pixel_beats == 1)]
        return m
