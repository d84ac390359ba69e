"""Stream ports: input beats to the activation buffer, and the activation buffer to output beats."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.registers import ErrorCode
from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.program import Field
from eieio.rtl.systolic.activation_buffer import ActivationBuffer
from eieio.rtl.systolic.countdown import Countdown
from eieio.rtl.systolic.descriptor import DESCRIPTOR, bits, pair

__all__ = ["InputPort", "OutputPort", "beat_signature"]


def beat_signature(config: SystolicConfig) -> stream.Signature:
    """Signature of the input and output streams of activations."""
    return stream.Signature(data.StructLayout({
        "data": config.lanes * ACTIVATION_BITS,
        "last": 1,
    }))


class _Walk(wiring.Component):
    """Goes through the groups of a tensor's pixels in the activation buffer."""

    descriptor: data.View
    start: Signal
    step: Signal
    addr: Signal
    group: Signal
    pixel_last: Signal
    last: Signal

    def __init__(self, config: SystolicConfig, base: Field) -> None:
        self.config = config
        self.base = base
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "step": In(1),
            "addr": Out(unsigned(ceil_log2(config.activation_depth))),
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
    """Writes the beats of an input to where the descriptor says.

    An input of the wrong length is reported and dropped; the next one starts afresh.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the input. Held while beats are accepted.
    start : ``In(1)``
        Prepare for an input.
    enable : ``In(1)``
        Beats are accepted.
    i : ``In(beat_signature(config))``
        Inputs, each ended by ``last``.
    busy : ``Out(1)``
        An input has begun and not ended.
    closing : ``Out(1)``
        One has ended, and what came of it does not show yet.
    write_valid, write_addr, write_group, write_data : ``Out``
        Group to write.
    done : ``Out(1)``
        A whole input has been written, or is being written in this cycle: two cycles after its
        last beat, and no other is accepted until then.
    error : ``Out(ErrorCode)``
        Not ``NONE`` for one cycle when an input is refused.
    """

    descriptor: data.View
    start: Signal
    enable: Signal
    i: stream.Interface
    busy: Signal
    closing: Signal
    write_valid: Signal
    write_addr: Signal
    write_group: Signal
    write_data: Signal
    done: Signal
    error: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "enable": In(1),
            "i": In(beat_signature(config)),
            "busy": Out(1),
            "closing": Out(1),
            "write_valid": Out(1),
            "write_addr": Out(unsigned(ceil_log2(config.activation_depth))),
            "write_group": Out(range(config.word_groups)),
            "write_data": Out(config.lanes * ACTIVATION_BITS),
            "done": Out(1),
            "error": Out(unsigned(4)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walk = walk = _Walk(self.config, Field.DESTINATION)
        accepted = Signal()
        ended = Signal(2)
        beat_valid = Signal()
        beat = Signal.like(self.i.payload, reset_less=True)
        last = beat.last
        dropping, restart = Signal(), Signal()
        m.d.comb += [
            self.closing.eq(ended.any()),
            self.i.ready.eq(self.enable & ~self.closing),
            accepted.eq(self.i.valid & self.i.ready),
            walk.descriptor.eq(self.descriptor),
            walk.start.eq(self.start | restart),
            walk.step.eq(beat_valid & ~dropping),
        ]
        with m.If(accepted):
            m.d.sync += self.busy.eq(~self.i.payload.last)
        m.d.sync += [
            ended.eq(Cat(accepted & self.i.payload.last, ended)),
            beat_valid.eq(accepted),
            beat.eq(self.i.payload),
            self.write_valid.eq(beat_valid & ~dropping),
            self.write_addr.eq(walk.addr),
            self.write_group.eq(walk.group),
            self.write_data.eq(beat.data),
            self.done.eq(0),
            self.error.eq(ErrorCode.NONE),
            restart.eq(0),
        ]
        with m.If(beat_valid):
            with m.If(last):
                m.d.sync += [
                    dropping.eq(0),
                    restart.eq(dropping | ~walk.last),
                    self.done.eq(~dropping & walk.last),
                ]
                with m.If(~dropping & ~walk.last):
                    m.d.sync += self.error.eq(ErrorCode.INPUT_SHORT)
            with m.Elif(walk.last & ~dropping):
                m.d.sync += [dropping.eq(1), self.error.eq(ErrorCode.INPUT_LONG)]
        return m


class OutputPort(wiring.Component):
    """Sends the beats of an output from where the descriptor says.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the output. Held while busy.
    start : ``In(1)``
        Send an output.
    busy : ``Out(1)``
        Beats are still to be sent.
    read_addr, read_last : ``Out``
        Word to read, and whether it is needed for the last channels of its pixel.
    word : ``In``
        Its activations, :attr:`ActivationBuffer.latency` cycles later.
    o : ``Out(beat_signature(config))``
        Outputs, each ended by ``last``.
    """

    descriptor: data.View
    start: Signal
    busy: Signal
    read_addr: Signal
    read_last: Signal
    word: Signal
    o: stream.Interface

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "busy": Out(1),
            "read_addr": Out(unsigned(ceil_log2(config.activation_depth))),
            "read_last": Out(1),
            "word": In(unsigned(config.rows * ACTIVATION_BITS)),
            "o": Out(beat_signature(config)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.config.lanes * ACTIVATION_BITS
        depth = 8
        m.submodules.walk = walk = _Walk(self.config, Field.SOURCE)
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=width + 1, depth=depth)

        # Reads never stall: a beat is read only if the queue will have room for it.
        reading, started = Signal(), Signal()
        room = Signal(range(depth + 1), init=depth)
        has_room = Signal()  # Even after a read in the cycle before.
        read, sent = Signal(), Signal()
        latency = ActivationBuffer.latency
        arriving, lasts = Signal(latency), Signal(latency)
        groups = [walk.group]
        for stage in range(latency):
            groups.append(Signal.like(walk.group, name=f"group_{stage}"))
            m.d.sync += groups[-1].eq(groups[-2])
        m.d.comb += [
            walk.descriptor.eq(self.descriptor),
            walk.start.eq(self.start),
            read.eq(reading & has_room),
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
            self.busy.eq(started),
        ]
        m.d.sync += [
            started.eq(self.start | (started & ~(sent & self.o.payload.last))),
            reading.eq(self.start | (reading & ~(read & walk.last))),
            arriving.eq((arriving << 1) | read),
            lasts.eq((lasts << 1) | walk.last),
            has_room.eq(room > 1),
            room.eq(Mux(read == sent, room, Mux(read, room - 1, room + 1))),
        ]
        return m
