"""Stream adapters: input beats to activation words, activation words to output beats."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from eieio.model.registers import ErrorCode
from eieio.model.sparse.config import SparseConfig

__all__ = ["InputPacker", "OutputUnpacker", "beat_signature", "beats_width"]


def beats_width(config: SparseConfig) -> int:
    """Bits that count the beats of the largest vector that has room in the engine."""
    return bits_for(config.activation_depth * config.pes // config.io_lanes)


def beat_signature(config: SparseConfig) -> stream.Signature:
    """Signature of the input and output streams of activations."""
    return stream.Signature(data.StructLayout({
        "data": config.io_lanes * config.activation_width,
        "last": 1,
    }))


class InputPacker(wiring.Component):
    """Collects beats into words of ``pes`` activations, and writes each as soon as it is whole.

    Activations that the last word lacks are written as 0, and so is what the last beat has beyond
    the vector. An input of the wrong length is reported and dropped; the next one starts afresh.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Members
    -------
    i : ``In(beat_signature(config))``
        Input vectors, each ended by ``last``.
    enable : ``In(1)``
        Beats are accepted, but for the two cycles behind the last one of a vector.
    beats, padding : ``In``
        Beats of a vector, and lanes that the last one has beyond it. Held from two cycles before
        ``enable`` on.
    busy : ``Out(1)``
        A vector has begun and not ended, or ended two cycles ago at most.
    write_valid, write_addr, write_data : ``Out``
        Word to write.
    done : ``Out(1)``
        The last word of a whole vector is being written.
    error : ``Out(ErrorCode)``
        Not ``NONE`` for one cycle when a vector is refused.
    """

    i: stream.Interface
    enable: Signal
    beats: Signal
    padding: Signal
    busy: Signal
    write_valid: Signal
    write_addr: Signal
    write_data: Signal
    done: Signal
    error: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = config
        super().__init__({
            "i": In(beat_signature(config)),
            "enable": In(1),
            "beats": In(unsigned(beats_width(config))),
            "padding": In(range(config.io_lanes)),
            "busy": Out(1),
            "write_valid": Out(1),
            "write_addr": Out(unsigned(ceil_log2(config.activation_depth))),
            "write_data": Out(unsigned(config.pes * config.activation_width)),
            "done": Out(1),
            "error": Out(unsigned(4)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats_per_word = self.config.pes // self.config.io_lanes
        beat_width = self.config.io_lanes * self.config.activation_width

        # A beat is taken into a register first. What follows the last one waits for two cycles,
        # until it has been looked at, and `enable` had time to follow. What it has beyond the
        # vector goes no further: it would be taken for columns of other layers.
        accepted = Signal()
        payload = Signal.like(self.i.payload)
        open_ = Signal()
        last = payload.last
        closing = Signal()
        m.d.comb += [
            self.i.ready.eq(self.enable & ~(accepted & last) & ~closing),
            self.busy.eq(open_ | accepted | closing),
        ]
        m.d.sync += [
            accepted.eq(self.i.valid & self.i.ready),
            closing.eq(accepted & last),
        ]
        lanes, width = self.config.io_lanes, self.config.activation_width
        padded = Signal(lanes)
        m.d.sync += padded.eq(Cat(self.padding >= lanes - lane for lane in range(lanes)))
        with m.If(self.i.ready):
            m.d.sync += payload.last.eq(self.i.payload.last)
            for lane in range(lanes):
                m.d.sync += payload.data.word_select(lane, width).eq(
                    Mux(self.i.payload.last & padded[lane], 0,
                        self.i.payload.data.word_select(lane, width)))

        beat = Signal(range(beats_per_word))
        addr = Signal.like(self.write_addr)
        left = Signal.like(self.beats)
        left_is_one = Signal()
        dropping = Signal()
        with m.If(~open_):
            m.d.sync += [left.eq(self.beats), left_is_one.eq(self.beats == 1)]
        m.d.sync += [self.write_valid.eq(0), self.done.eq(0), self.error.eq(ErrorCode.NONE)]
        with m.If(accepted):
            m.d.sync += [
                open_.eq(~last),
                left.eq(left - 1),
                left_is_one.eq(left == 2),
                beat.eq(beat + 1),
                self.write_addr.eq(addr),
            ]
            for number in range(beats_per_word):
                part = self.write_data.word_select(number, beat_width)
                with m.If(beat == number):
                    m.d.sync += part.eq(payload.data)
                with m.Elif(beat == 0):
                    m.d.sync += part.eq(0)
            with m.If((beat == beats_per_word - 1) | last):
                m.d.sync += [
                    self.write_valid.eq(~dropping),
                    beat.eq(0),
                    addr.eq(addr + 1),
                ]
            with m.If(last):
                m.d.sync += [addr.eq(0), dropping.eq(0), self.done.eq(~dropping & left_is_one)]
                with m.If(~dropping & ~left_is_one):
                    m.d.sync += [
                        self.error.eq(ErrorCode.INPUT_SHORT),
                        self.write_valid.eq(0),
                    ]
            with m.Elif(~dropping & left_is_one):
                m.d.sync += [
                    self.error.eq(ErrorCode.INPUT_LONG),
                    self.write_valid.eq(0),
                    dropping.eq(1),
                ]
        return m


class OutputUnpacker(wiring.Component):
    """Sends words of ``pes`` activations as beats.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Members
    -------
    start : ``In(1)``
        Begin a vector.
    beats : ``In``
        Beats of a vector, at least 1. Held while busy.
    busy : ``Out(1)``
        Beats are still to be sent. Between words there is a pause of a cycle.
    bank_step, bank_addr : ``Out``
        To the activation banks: read a word.
    word : ``In``
        What they show.
    o : ``Out(beat_signature(config))``
        Output vectors, each ended by ``last``.
    """

    start: Signal
    beats: Signal
    busy: Signal
    bank_step: Signal
    bank_addr: Signal
    word: Signal
    o: stream.Interface

    def __init__(self, config: SparseConfig) -> None:
        self.config = config
        super().__init__({
            "start": In(1),
            "beats": In(unsigned(beats_width(config))),
            "busy": Out(1),
            "bank_step": Out(1),
            "bank_addr": Out(unsigned(ceil_log2(config.activation_depth))),
            "word": In(unsigned(config.pes * config.activation_width)),
            "o": Out(beat_signature(config)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats_per_word = self.config.pes // self.config.io_lanes
        beat_width = self.config.io_lanes * self.config.activation_width

        beat = Signal(range(beats_per_word))
        left = Signal.like(self.beats)
        left_is_one, none_left = Signal(), Signal()
        # Cycles in which the banks step: twice for the first word.
        stepping, again = Signal(), Signal()
        free = Signal()
        m.d.comb += [
            self.bank_step.eq(stepping),
            free.eq(~self.o.valid | self.o.ready),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.start):
            m.d.sync += self.bank_addr.eq(0)
        with m.Elif(stepping):
            m.d.sync += self.bank_addr.eq(self.bank_addr + 1)
        with m.If(self.start):
            m.d.sync += [
                self.busy.eq(1),
                left.eq(self.beats),
                left_is_one.eq(self.beats == 1),
                none_left.eq(0),
                beat.eq(0),
                again.eq(1),
                stepping.eq(1),
            ]
        with m.Elif(stepping):
            m.d.sync += [again.eq(0), stepping.eq(again)]
        with m.Elif(self.busy & free):
            with m.If(none_left):
                m.d.sync += self.busy.eq(0)
            with m.Else():
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.payload.data.eq(self.word.word_select(beat, beat_width)),
                    self.o.payload.last.eq(left_is_one),
                    left.eq(left - 1),
                    left_is_one.eq(left == 2),
                    none_left.eq(left_is_one),
                    beat.eq(beat + 1),
                ]
                with m.If((beat == beats_per_word - 1) & ~left_is_one):
                    m.d.sync += [beat.eq(0), stepping.eq(1)]
        return m
