"""Stream ports: input beats to the activation buffer, and the activation buffer to output beats."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.registers import ErrorCode
from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.program import PATCHES, Field
from eieio.rtl.systolic.activation_buffer import ActivationBuffer
from eieio.rtl.systolic.countdown import Countdown
from eieio.rtl.systolic.descriptor import DESCRIPTOR, bits, pair
from eieio.rtl.systolic.patch_former import PatchFormer

__all__ = ["InputPort", "OutputPort", "beat_signature"]


def beat_signature(config: SystolicConfig) -> stream.Signature:
    """Signature of the input and output streams of activations."""
    return stream.Signature(data.StructLayout({
        "data": config.lanes * ACTIVATION_BITS,
        "last": 1,
    }))


class _Walk(wiring.Component):
    """Goes through the groups of a tensor's pixels in a memory."""

    descriptor: data.View
    start: Signal
    step: Signal
    addr: Signal
    group: Signal
    pixel_last: Signal
    last: Signal

    def __init__(self, config: SystolicConfig, base: Field, addr_width: int) -> None:
        self.config = config
        self.base = base
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "step": In(1),
            "addr": Out(unsigned(addr_width)),
            "group": Out(range(config.word_groups)),
            "pixel_last": Out(1),
            "last": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words, groups = pair(self.descriptor, Field.DESTINATION_STEP)
        pixels_left, groups_left = Countdown(32, "pixels"), Countdown(16, "groups")
        pixel = Signal.like(self.addr)
        m.d.comb += [
            self.pixel_last.eq(groups_left.last),
            self.last.eq(groups_left.last & pixels_left.last),
        ]
        with m.If(self.step):
            m.d.sync += [*groups_left.step(), self.group.eq(self.group + 1)]
            with m.If(self.group == self.config.word_groups - 1):
                m.d.sync += [self.group.eq(0), self.addr.eq(self.addr + 1)]
            with m.If(groups_left.last):
                m.d.sync += [
                    *groups_left.load(groups),
                    *pixels_left.step(),
                    self.group.eq(0),
                    self.addr.eq(pixel + words),
                    pixel.eq(pixel + words),
                ]
        with m.If(self.start):
            base = bits(self.descriptor, self.base, len(self.addr))
            m.d.sync += [
                *pixels_left.load(bits(self.descriptor, Field.WINDOWS)),
                *groups_left.load(groups),
                self.group.eq(0),
                *(signal.eq(base) for signal in (self.addr, pixel)),
            ]
        return m


class InputPort(wiring.Component):
    """Writes the beats of an input to where the descriptor says, as pixels or as patches.

    An input of the wrong length is reported and dropped; the next one starts afresh.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the input. Needed with ``start``.
    start : ``In(1)``
        Prepare for inputs such as the descriptor says; two cycles later they may come.
    enable : ``In(1)``
        Beats are accepted.
    i : ``In(beat_signature(config))``
        Inputs, each ended by ``last``.
    busy : ``Out(1)``
        An input has begun and not ended.
    closing : ``Out(1)``
        One has ended, and what came of it does not show yet.
    write_groups, write_addr, write_data : ``Out``
        Groups of a word to write, one bit for each, in the input memory if there is one, and else
        in the activation buffer.
    done : ``Out(1)``
        A whole input has been written, or is being written in this cycle, and no other is accepted
        until the next: of pixels two cycles after the last beat.
    error : ``Out(ErrorCode)``
        Not ``NONE`` for one cycle when an input is refused.
    """

    descriptor: data.View
    start: Signal
    enable: Signal
    i: stream.Interface
    busy: Signal
    closing: Signal
    write_groups: Signal
    write_addr: Signal
    write_data: Signal
    done: Signal
    error: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        self._addr_width = ceil_log2(config.input_depth or config.activation_depth)
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "enable": In(1),
            "i": In(beat_signature(config)),
            "busy": Out(1),
            "closing": Out(1),
            "write_groups": Out(unsigned(config.word_groups)),
            "write_addr": Out(unsigned(self._addr_width)),
            "write_data": Out(unsigned(config.rows * ACTIVATION_BITS)),
            "done": Out(1),
            "error": Out(unsigned(4)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.walk = walk = _Walk(config, Field.DESTINATION, self._addr_width)
        # What the descriptor says, while others take its place.
        for field in (Field.WINDOWS, Field.DESTINATION, Field.DESTINATION_STEP):
            kept = Signal(32, name=f"kept_{field.name.lower()}", reset_less=True)
            with m.If(self.start):
                m.d.sync += kept.eq(self.descriptor[field])
            m.d.comb += walk.descriptor[field].eq(kept)
        accepted = Signal()
        ended = Signal(2)
        beat_valid = Signal()
        beat = Signal.like(self.i.payload, reset_less=True)
        last = beat.last
        dropping, restart = Signal(), Signal()
        whole, pauses, finishing, finished = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            self.closing.eq(ended.any() | finishing | self.done),
            self.i.ready.eq(self.enable & ~self.closing & ~pauses),
            accepted.eq(self.i.valid & self.i.ready),
            walk.start.eq(restart),
            walk.step.eq(beat_valid & ~dropping),
            whole.eq(beat_valid & last & walk.last & ~dropping),
        ]
        with m.If(accepted):
            m.d.sync += self.busy.eq(~self.i.payload.last)
        groups, addr = Signal(config.word_groups), Signal.like(self.write_addr)
        m.d.sync += [
            ended.eq(Cat(accepted & self.i.payload.last, ended)),
            beat_valid.eq(accepted),
            beat.eq(self.i.payload),
            groups.eq(Mux(beat_valid & ~dropping, 1 << walk.group, 0)),
            addr.eq(walk.addr),
            self.error.eq(ErrorCode.NONE),
        ]
        written = Signal.like(beat.data)
        m.d.sync += written.eq(beat.data)
        with m.If(beat_valid):
            with m.If(last):
                m.d.sync += dropping.eq(0)
                with m.If(~dropping & ~walk.last):
                    m.d.sync += self.error.eq(ErrorCode.INPUT_SHORT)
            with m.Elif(walk.last & ~dropping):
                m.d.sync += [dropping.eq(1), self.error.eq(ErrorCode.INPUT_LONG)]
        pixels = [self.write_groups.eq(groups), self.write_addr.eq(addr),
                  self.write_data.eq(written.replicate(config.word_groups))]
        if not config.patch_lanes:
            m.d.comb += pixels
            m.d.sync += [self.done.eq(whole), restart.eq(self.start | (beat_valid & last))]
            return m

        m.submodules.former = former = PatchFormer(config)
        patches = Signal()
        # A pixel may be several beats; those before its last one are kept.
        beats = Countdown(8, "pixel_beats")
        all_beats = -(-config.patch_channels // config.lanes)
        pixel: Value = beat.data
        if all_beats > 1:
            first_beats = Signal((all_beats - 1) * len(beat.data), reset_less=True)
            pixel = Cat(first_beats, beat.data)
            with m.If(beat_valid):
                m.d.sync += first_beats.eq(pixel >> len(beat.data))
        with m.If(accepted):
            m.d.sync += beats.step()
        with m.If(restart | (accepted & beats.last)):
            m.d.sync += beats.load(all_beats)
        with m.If(self.start):
            m.d.sync += patches.eq(self.descriptor[Field.OPERATION][PATCHES])
        m.d.comb += [
            former.descriptor.eq(self.descriptor),
            former.prepare.eq(self.start),
            former.start.eq(restart),
            former.step.eq(accepted & beats.last & patches & ~dropping),
            former.pixel.eq(pixel),
            pauses.eq(former.pauses & patches),
            finished.eq(finishing & former.ended),
        ]
        m.d.sync += [
            finishing.eq((finishing | (whole & patches)) & ~finished),
            self.done.eq(Mux(patches, finished, whole)),
            restart.eq(self.start | finished | (beat_valid & last & ~(whole & patches))),
        ]
        with m.If(patches):
            m.d.comb += [
                self.write_groups.eq(former.write_valid.replicate(config.word_groups)),
                self.write_addr.eq(former.write_addr),
                self.write_data.eq(former.write_data),
            ]
        with m.Else():
            m.d.comb += pixels
        return m


class OutputPort(wiring.Component):
    """Sends the beats of an output from where the descriptor says.

    Beats that have been read wait in a queue. If it has room for them, another output can be read
    while this one is sent.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the output. Held while reading.
    start : ``In(1)``
        Send an output. At most one before may still be sent, and none be read.
    reading : ``Out(1)``
        Beats are still to be read.
    busy : ``Out(1)``
        Beats are still to be sent.
    shown : ``Out(1)``
        At most one output is to be sent, whose first beat was offered before the last cycle.
    read_addr, read_last : ``Out``
        Word to read, and whether it is needed for the last channels of its pixel.
    word : ``In``
        Its activations, :attr:`ActivationBuffer.latency` cycles later.
    o : ``Out(beat_signature(config))``
        Outputs, each ended by ``last``.
    """

    descriptor: data.View
    start: Signal
    reading: Signal
    busy: Signal
    shown: Signal
    read_addr: Signal
    read_last: Signal
    word: Signal
    o: stream.Interface

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "reading": Out(1),
            "busy": Out(1),
            "shown": Out(1),
            "read_addr": Out(unsigned(config.address_width)),
            "read_last": Out(1),
            "word": In(unsigned(config.rows * ACTIVATION_BITS)),
            "o": Out(beat_signature(config)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.config.lanes * ACTIVATION_BITS
        depth = self.config.queue_depth
        m.submodules.walk = walk = _Walk(self.config, Field.SOURCE, self.config.address_width)
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=width + 1, depth=depth)

        # Reads never stall: a beat is read only if the queue will have room for it.
        outputs = Signal(2)
        room = Signal(range(depth + 1), init=depth)
        has_room = Signal()  # Even after a read in the cycle before.
        read, sent, sent_last = Signal(), Signal(), Signal()
        offered = Signal(2)
        latency = ActivationBuffer.latency
        arriving, lasts = Signal(latency), Signal(latency)
        groups = [walk.group]
        for stage in range(latency):
            groups.append(Signal.like(walk.group, name=f"group_{stage}"))
            m.d.sync += groups[-1].eq(groups[-2])
        m.d.comb += [
            walk.descriptor.eq(self.descriptor),
            walk.start.eq(self.start),
            read.eq(self.reading & has_room),
            walk.step.eq(read),
            self.read_addr.eq(walk.addr),
            self.read_last.eq(walk.pixel_last),
            queue.w_en.eq(arriving[-1]),
            queue.w_data[:width].eq(self.word.word_select(groups[-1], width)),
            queue.w_data[width].eq(lasts[-1]),
            self.o.valid.eq(queue.r_rdy),
            self.o.payload.data.eq(queue.r_data[:width]),
            self.o.payload.last.eq(queue.r_data[width]),
            sent.eq(self.o.valid & self.o.ready),
            queue.r_en.eq(sent),
            sent_last.eq(sent & self.o.payload.last),
            self.busy.eq(outputs != 0),
            self.shown.eq(~outputs[1] & (offered[1] | ~outputs[0])),
        ]
        m.d.sync += [
            outputs.eq(outputs + self.start - sent_last),
            offered.eq(Mux(sent_last, 0, Cat(self.o.valid, offered))),
            self.reading.eq(self.start | (self.reading & ~(read & walk.last))),
            arriving.eq((arriving << 1) | read),
            lasts.eq((lasts << 1) | walk.last),
            has_room.eq(room > 1),
            room.eq(Mux(read == sent, room, Mux(read, room - 1, room + 1))),
        ]
        return m
