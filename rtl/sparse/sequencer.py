"""Sequencer: runs the layers of an image one after the other."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.image_layout import DESCRIPTOR_FIELDS, DescriptorField
from eieio.rtl.sparse.stream_adapter import beats_width

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Holds the layer descriptors and steps through a layer's phases.

    An inference begins in the cycle in which ``begin`` is 1 and the sequencer is free. For each
    layer it spends a cycle on ``start``, for the first one also one on the descriptor; runs until
    all broadcasts and PEs have finished, and the words of the layer before are written; and drains
    the accumulators, a word a cycle from 4 cycles later on. The next layer starts when all
    accumulators have been read and the first word has been written: it does not read words faster
    than they are written. When the last word of all has been written, the output is handed over
    once the one before has been sent. After reset it clears the accumulators before it is free, and
    later when it is told to.

    It also says who uses which activations. While an inference is under way in the memory ``side``,
    the other memory, if there is one, holds the output before and takes the next input, in buffers
    of their own. At ``done`` they change places.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.
    write_latency : :class:`int`
        Cycles from ``drain_valid`` to the write of the drained word, at least 1.

    Members
    -------
    begin : ``In(1)``
        Begin an inference.
    free : ``Out(1)``
        No inference is under way.
    done : ``Out(1)``
        The output of an inference is handed over; pulse.
    sent : ``In(1)``
        No output is being sent. Not in the cycle after ``done``.
    side, computes : ``Out(1)``
        Memory of the inference under way, or of the next one; whether one is under way, from the
        cycle after ``begin`` to ``done``. Registers.
    source : ``Out(1)``
        Buffer in it that holds the source activations; the other is the destination.
    input_buffer, output_buffer : ``Out(1)``
        Buffers for the next input, and of the output that was handed over. Registers.
    layer : ``Out``
        Layer under way: its columns are broadcast, and then its sums are read.
    start : ``Out(1)``
        Begin to broadcast the source activations; pulse.
    words, pointer_base, word_columns, group_bits : ``Out``
        What the layer's descriptor says, see
        :class:`eieio.model.sparse.image_layout.DescriptorField`; ``word_columns`` is the number of
        columns of each group in a word.
    drain_layer, drain_group_bits, multiplier, single_rounding, shift, minimum, maximum : ``Out``
        The same of the layer whose words are drained, until the last has been written. Registers.
    input_beats, input_padding, output_beats : ``Out``
        Beats of an input and lanes that the last one has beyond it, of the first layer, and beats
        of an output of the layer under way, which is the last one until the cycle after ``done``.
    finished : ``In(1)``
        All broadcasts and PEs have finished.
    drain_valid, drain_banks, drain_addr, drain_bias_addr : ``Out``
        A word to drain, or the part of it whose turn it is: banks, for each turn, and row of the
        accumulators, address of the biases. Registers. ``drain_banks`` may be set without
        ``drain_valid``, to clear.
    first_bank : ``Out``
        Lowest of ``drain_banks``. A register.
    write_valid, write_buffer, write_addr : ``Out``
        A drained word arrives at the activation banks.
    layer_done : ``Out(1)``
        It is the layer's last.
    load_descriptor, load_layers, load_addr, load_data : ``In``
        Write a word of a descriptor, or the number of layers.
    unload : ``In(1)``
        Forget the number of layers.
    loaded : ``Out(1)``
        There are layers. Not after reset.
    clear : ``In(1)``
        Clear the accumulators, if they are not clean. Only while free, and hold until they are.
    clean : ``Out(1)``
        No inference has begun since they were cleared. A register.
    clearing : ``Out(1)``
        They are being cleared: no inference may begin. A register.
    cycles : ``Out(32)``
        Cycles since the inference began, until the last word was written.
    """

    begin: Signal
    free: Signal
    done: Signal
    sent: Signal
    side: Signal
    computes: Signal
    input_buffer: Signal
    output_buffer: Signal
    source: Signal
    layer: Signal
    start: Signal
    words: Signal
    pointer_base: Signal
    word_columns: Signal
    group_bits: Signal
    drain_layer: Signal
    drain_group_bits: Signal
    multiplier: Signal
    single_rounding: Signal
    shift: Signal
    minimum: Signal
    maximum: Signal
    input_beats: Signal
    input_padding: Signal
    output_beats: Signal
    finished: Signal
    drain_valid: Signal
    drain_banks: Signal
    drain_addr: Signal
    drain_bias_addr: Signal
    first_bank: Signal
    write_valid: Signal
    write_buffer: Signal
    write_addr: Signal
    layer_done: Signal
    load_descriptor: Signal
    load_layers: Signal
    load_addr: Signal
    load_data: Signal
    unload: Signal
    loaded: Signal
    clear: Signal
    clean: Signal
    clearing: Signal
    cycles: Signal

    def __init__(self, config: SparseConfig, *, write_latency: int) -> None:
        self.config = config
        self._write_latency = write_latency
        groups = config.column_groups
        super().__init__({
            "begin": In(1),
            "free": Out(1),
            "done": Out(1),
            "sent": In(1),
            "side": Out(1),
            "computes": Out(1),
            "input_buffer": Out(1),
            "output_buffer": Out(1),
            "source": Out(1),
            "layer": Out(unsigned(ceil_log2(config.layer_depth))),
            "start": Out(1),
            "words": Out(unsigned(ceil_log2(config.activation_depth + 1))),
            "pointer_base": Out(unsigned(ceil_log2(config.pointer_depth // 2) + 1)),
            "word_columns": Out(unsigned(ceil_log2(config.pes + 1))),
            "group_bits": Out(unsigned(ceil_log2(groups).bit_length())),
            "drain_layer": Out(unsigned(ceil_log2(config.layer_depth))),
            "drain_group_bits": Out(unsigned(ceil_log2(groups).bit_length())),
            "multiplier": Out(unsigned(31)),
            "single_rounding": Out(1),
            "shift": Out(unsigned(6)),
            "minimum": Out(signed(config.activation_width)),
            "maximum": Out(signed(config.activation_width)),
            "input_beats": Out(unsigned(beats_width(config))),
            "input_padding": Out(range(config.io_lanes)),
            "output_beats": Out(unsigned(beats_width(config))),
            "finished": In(1),
            "drain_valid": Out(1),
            "drain_banks": Out(unsigned(groups * config.pes_per_lane)),
            "drain_addr": Out(unsigned(ceil_log2(config.accumulator_depth // groups))),
            "drain_bias_addr": Out(unsigned(ceil_log2(
                config.output_depth * config.pes_per_lane))),
            "first_bank": Out(unsigned(ceil_log2(groups))),
            "write_valid": Out(1),
            "write_buffer": Out(1),
            "write_addr": Out(unsigned(ceil_log2(config.activation_depth))),
            "layer_done": Out(1),
            "load_descriptor": In(1),
            "load_layers": In(1),
            "load_addr": In(unsigned(32)),
            "load_data": In(unsigned(32)),
            "unload": In(1),
            "loaded": Out(1),
            "clear": In(1),
            "clean": Out(1),
            "clearing": Out(1),
            "cycles": Out(unsigned(32)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        groups = config.column_groups
        levels = ceil_log2(groups)
        rows = config.accumulator_depth // groups

        m.submodules.descriptors = descriptors = memory.Memory(
            shape=data.ArrayLayout(unsigned(32), DESCRIPTOR_FIELDS), depth=config.layer_depth,
            init=[])
        write = descriptors.write_port(granularity=1)
        read = descriptors.read_port()
        layers = Signal(range(config.layer_depth + 1))
        with m.If(self.load_layers):
            m.d.sync += layers.eq(self.load_data)
        with m.If(self.unload):
            m.d.sync += layers.eq(0)
        m.d.comb += [
            write.en.eq(self.load_descriptor << self.load_addr[:3]),
            write.addr.eq(self.load_addr >> 3),
            *(write.data[number].eq(self.load_data) for number in range(DESCRIPTOR_FIELDS)),
            read.en.eq(1),
            read.addr.eq(self.layer),
            self.loaded.eq(layers != 0),
        ]

        output_words, last_but_one = Signal(16), Signal(16)
        m.d.sync += last_but_one.eq(output_words - 2)
        bias_base = Signal(ceil_log2(config.output_depth))
        field = DescriptorField
        m.d.comb += [
            self.words.eq(read.data[field.WORDS][:16]),
            output_words.eq(read.data[field.WORDS][16:]),
            self.pointer_base.eq(read.data[field.POINTER_BASE][:28]),
            self.group_bits.eq(read.data[field.POINTER_BASE][28:]),
            self.word_columns.eq(config.pes >> self.group_bits),
            bias_base.eq(read.data[field.BIAS_BASE][:16]),
            self.output_beats.eq(read.data[field.OUTPUT_BEATS]),
        ]
        # The next input is taken whichever layer is under way.
        with m.If(self.load_descriptor & (self.load_addr == field.INPUT_BEATS)):
            m.d.sync += [
                self.input_beats.eq(self.load_data),
                self.input_padding.eq(self.load_data[24:]),
            ]

        # Drained words, on their way to the activation banks.
        word = Signal(16)
        drain_last = Signal()
        draining = Signal()
        turns = config.pes_per_lane
        turn = Signal(range(turns))
        turn_last = Signal()
        m.d.comb += turn_last.eq(turn == turns - 1)
        with m.If(draining):
            m.d.sync += turn.eq(turn + 1)
        m.d.sync += self.drain_valid.eq(draining)
        drained = Signal(self._write_latency)
        drained_last = Signal(self._write_latency + 1)
        whole = Signal()  # Its word's last part.
        m.d.sync += [
            whole.eq(draining & turn_last),
            drained.eq(Cat(whole, drained)),
            drained_last.eq(Cat(draining & turn_last & drain_last, drained_last)),
        ]
        m.d.comb += [
            self.write_valid.eq(drained[-1]),
            self.layer_done.eq(drained_last[-1]),
        ]
        writing, opened = Signal(), Signal()
        m.d.comb += writing.eq(whole | drained.any())
        # The next layer reads at most a word a cycle. It begins so that it meets the last one when
        # that has been written: with shared lanes, as many words later as there are more turns.
        opens = Signal()
        if turns == 1:
            m.d.comb += opens.eq(self.write_valid)
        else:
            elapsed, to_open = Signal(16 + ceil_log2(turns)), Signal(16 + ceil_log2(turns))
            opening = Signal(self._write_latency + 1)
            m.d.sync += [
                elapsed.eq(Mux(draining, elapsed + 1, 0)),
                to_open.eq(output_words * (turns - 1)),
                opening.eq(Cat(draining & (elapsed == to_open), opening)),
            ]
            m.d.comb += opens.eq(opening[-1])
        # They come in order.
        with m.If(self.layer_done):
            m.d.sync += self.write_addr.eq(0)
        with m.Elif(self.write_valid):
            m.d.sync += self.write_addr.eq(self.write_addr + 1)

        position = Signal(16 + levels)
        m.d.comb += position.eq(word << self.group_bits)
        m.d.sync += [
            self.first_bank.eq(position[:levels]),
            self.drain_bias_addr.eq(Cat(turn, (bias_base + word)[:len(bias_base)])),
            self.drain_banks.eq(0),
        ]
        clearing = Signal(init=1)
        clear_addr = Signal(range(rows))
        clear_last = Signal()
        m.d.comb += [clear_last.eq(clear_addr == rows - 1), self.clearing.eq(clearing)]
        with m.If(clearing):
            m.d.sync += [
                self.drain_banks.eq((1 << groups * turns) - 1),
                self.drain_addr.eq(clear_addr),
                clear_addr.eq(Mux(clear_last, 0, clear_addr + 1)),
                clearing.eq(~clear_last),
                self.clean.eq(clear_last),
            ]
        with m.Elif(draining):
            m.d.sync += [
                self.drain_banks.eq(
                    ((1 << (1 << self.group_bits)) - 1) << Cat(position[:levels], turn)),
                self.drain_addr.eq(position[levels:]),
            ]
        with m.Else():
            m.d.sync += clearing.eq(self.clear & ~self.clean)

        running = Signal()
        # The last products are stored 3 cycles after the PEs become idle.
        finished = Signal()
        m.d.sync += finished.eq(self.finished & running)
        # While words are on their way, another layer may be under way, but not drain.
        with m.If(running & ~writing):
            m.d.sync += [
                self.drain_layer.eq(self.layer),
                self.drain_group_bits.eq(self.group_bits),
                self.write_buffer.eq(~self.source),
                self.shift.eq(read.data[field.BIAS_BASE][16:]),
                Cat(self.multiplier, self.single_rounding).eq(read.data[field.MULTIPLIER]),
                self.minimum.eq(read.data[field.MINIMUM]),
                self.maximum.eq(read.data[field.MAXIMUM]),
            ]
        counting = Signal()
        with m.If(counting):
            m.d.sync += self.cycles.eq(self.cycles + 1)

        def hand_over() -> None:
            m.d.comb += self.done.eq(1)
            m.d.sync += [
                self.layer.eq(0),
                self.side.eq(~self.side),
                self.computes.eq(0),
                self.output_buffer.eq(self.write_buffer),
            ]
            m.next = "FREE"

        with m.FSM() as fsm:
            m.d.comb += [
                running.eq(fsm.ongoing("RUN")),
                counting.eq(~(clearing | self.free | fsm.ongoing("CLEARED")
                              | fsm.ongoing("HAND OVER"))),
            ]
            with m.State("CLEAR"):
                with m.If(clear_last):
                    m.next = "CLEARED"
            with m.State("CLEARED"):
                m.next = "FREE"
            with m.State("FREE"):
                m.d.comb += self.free.eq(1)
                with m.If(self.begin):
                    m.d.sync += [
                        self.cycles.eq(0),
                        self.clean.eq(0),
                        self.computes.eq(1),
                        self.source.eq(self.input_buffer),
                        self.input_buffer.eq(~self.output_buffer),
                    ]
                    m.next = "DESCRIPTOR"
            with m.State("DESCRIPTOR"):
                m.next = "START"
            with m.State("START"):
                m.d.comb += self.start.eq(1)
                m.next = "RUN"
            with m.State("RUN"):
                m.d.sync += [word.eq(0), drain_last.eq(output_words <= 1), opened.eq(0)]
                with m.If(finished & ~writing):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.comb += draining.eq(1)
                m.d.sync += opened.eq(opened | opens)
                with m.If(turn_last):
                    m.d.sync += [word.eq(word + 1), drain_last.eq(word == last_but_one)]
                with m.If(turn_last & drain_last):
                    with m.If(self.layer == layers - 1):
                        m.next = "WRITE"
                    with m.Else():
                        m.d.sync += [self.layer.eq(self.layer + 1), self.source.eq(~self.source)]
                        m.next = "OPEN"
            with m.State("OPEN"):
                with m.If(opens | opened):
                    m.next = "START"
            with m.State("WRITE"):
                with m.If(self.layer_done):
                    m.next = "HAND OVER"
                    with m.If(self.sent):
                        hand_over()
            with m.State("HAND OVER"):
                with m.If(self.sent):
                    hand_over()
        return m
