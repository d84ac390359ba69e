"""Sequencer: runs the layers of an image one after the other, of one inference or of two."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
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

    With ``interleaved`` inferences two can be under way, in two *contexts* in turn. When the
    columns of a layer have been broadcast, a layer of the other one starts, if it may, 2 cycles
    later; so their layers alternate, and are drained in the order in which they started. Inferences
    end in the order in which they began.

    It also says who uses which activations. Inference k uses the memory k modulo their number: it
    takes the input and goes from buffer to buffer there, and the output is sent from there. There
    is one memory more than inferences under way, if they are double-buffered, and one otherwise.

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
        An inference may begin.
    idle : ``Out(1)``
        None is under way.
    entry : ``Out``
        Context of the next one.
    done : ``Out(1)``
        The output of an inference is handed over; pulse.
    sent : ``In(1)``
        No output is being sent. Not in the cycle after ``done``.
    computes : ``Out(1)``
        An inference is under way: from the cycle after ``begin`` to ``done``. A register.
    context, read_side, source : ``Out``
        Context whose columns are broadcast, memory of its activations, and buffer in it that holds
        the source. Context and memory are registers.
    tag : ``Out``
        Context whose columns were broadcast last: from the cycle after ``start`` on. A register.
    input_side, input_buffer, output_side, output_buffer : ``Out``
        Memories and buffers for the next input, and of the output that was handed over. Registers.
    layer : ``Out``
        Layer under way in each context: its columns are broadcast, and then its sums are read.
    start : ``Out(1)``
        Begin to broadcast the source activations; pulse.
    words, pointer_base, word_columns, group_bits : ``Out``
        What the layer's descriptor says, see
        :class:`eieio.model.sparse.image_layout.DescriptorField`; ``word_columns`` is the number of
        columns of each group in a word.
    drain_layer, drain_group_bits, multiplier, single_rounding, shift, minimum, maximum : ``Out``
        The same of the layer whose words are drained, until the last has been written. Registers.
    drain_context : ``Out``
        Its context. A register.
    input_beats, input_padding, output_beats : ``Out``
        Beats of an input and lanes that the last one has beyond it, of the first layer, and beats
        of an output by the layer whose words are drained, which is the last one until the cycle
        after ``done``.
    broadcasting : ``In(1)``
        Not all broadcasts have finished: from the cycle after ``start`` on.
    watched : ``Out``
        Context whose sums are drained next. A register.
    decoded : ``In(1)``
        All PEs have finished what was fired of it; in a context other than the one whose columns
        are broadcast, from 10 cycles after ``watched`` has changed.
    drain_valid, drain_banks, drain_addr, drain_bias_addr : ``Out``
        A word to drain, or the part of it whose turn it is: banks, for each turn those of each
        context, and row of the accumulators, address of the biases. Registers. ``drain_banks`` may
        be set without ``drain_valid``, to clear.
    first_bank : ``Out``
        Lowest of ``drain_banks``. A register.
    write_valid, write_side, write_buffer, write_addr : ``Out``
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
        Cycles since the inference of ``drain_context`` began, until its last word was written.
    """

    begin: Signal
    free: Signal
    idle: Signal
    entry: Signal
    done: Signal
    sent: Signal
    computes: Signal
    context: Signal
    tag: Signal
    read_side: Signal
    source: Signal
    input_side: Signal
    input_buffer: Signal
    output_side: Signal
    output_buffer: Signal
    layer: Signal
    start: Signal
    words: Signal
    pointer_base: Signal
    word_columns: Signal
    group_bits: Signal
    drain_layer: Signal
    drain_context: Signal
    drain_group_bits: Signal
    multiplier: Signal
    single_rounding: Signal
    shift: Signal
    minimum: Signal
    maximum: Signal
    input_beats: Signal
    input_padding: Signal
    output_beats: Signal
    broadcasting: Signal
    watched: Signal
    decoded: Signal
    drain_valid: Signal
    drain_banks: Signal
    drain_addr: Signal
    drain_bias_addr: Signal
    first_bank: Signal
    write_valid: Signal
    write_side: Signal
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
        context = range(config.contexts)
        side = range(config.activation_memories)
        # Nobody computes there before an output has come from elsewhere.
        last = config.activation_memories - 1
        super().__init__({
            "begin": In(1),
            "free": Out(1),
            "idle": Out(1),
            "entry": Out(context),
            "done": Out(1),
            "sent": In(1),
            "computes": Out(1),
            "context": Out(context),
            "tag": Out(context),
            "read_side": Out(side),
            "source": Out(1),
            "input_side": Out(side),
            "input_buffer": Out(1),
            "output_side": Out(side, init=last),  # pyright: ignore[reportCallIssue]
            "output_buffer": Out(1),
            "layer": Out(unsigned(ceil_log2(config.layer_depth))).array(config.contexts),
            "start": Out(1),
            "words": Out(unsigned(ceil_log2(config.activation_depth + 1))),
            "pointer_base": Out(unsigned(ceil_log2(config.pointer_depth // 2) + 1)),
            "word_columns": Out(unsigned(ceil_log2(config.pes + 1))),
            "group_bits": Out(unsigned(ceil_log2(groups).bit_length())),
            "drain_layer": Out(unsigned(ceil_log2(config.layer_depth))),
            "drain_context": Out(context),
            "drain_group_bits": Out(unsigned(ceil_log2(groups).bit_length())),
            "multiplier": Out(unsigned(31)),
            "single_rounding": Out(1),
            "shift": Out(unsigned(6)),
            "minimum": Out(signed(config.activation_width)),
            "maximum": Out(signed(config.activation_width)),
            "input_beats": Out(unsigned(beats_width(config))),
            "input_padding": Out(range(config.io_lanes)),
            "output_beats": Out(unsigned(beats_width(config))),
            "broadcasting": In(1),
            "watched": Out(context),
            "decoded": In(1),
            "drain_valid": Out(1),
            "drain_banks": Out(unsigned(groups * config.contexts * config.pes_per_lane)),
            "drain_addr": Out(unsigned(ceil_log2(config.accumulator_depth // groups))),
            "drain_bias_addr": Out(unsigned(ceil_log2(
                config.output_depth * config.pes_per_lane))),
            "first_bank": Out(unsigned(ceil_log2(groups))),
            "write_valid": Out(1),
            "write_side": Out(side),
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
        # Of the layer that is drained: the same, unless that of another inference is broadcast.
        drained_read = descriptors.read_port() if config.interleaved else read
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
            read.addr.eq(_of(self.context, self.layer)),
            self.loaded.eq(layers != 0),
        ]

        if config.interleaved:
            m.d.comb += [drained_read.en.eq(1),
                         drained_read.addr.eq(_of(self.watched, self.layer))]

        output_words, last_but_one = Signal(16), Signal(16)
        m.d.sync += last_but_one.eq(output_words - 2)
        bias_base = Signal(ceil_log2(config.output_depth))
        field = DescriptorField
        m.d.comb += [
            self.words.eq(read.data[field.WORDS][:16]),
            output_words.eq(drained_read.data[field.WORDS][16:]),
            self.pointer_base.eq(read.data[field.POINTER_BASE][:28]),
            self.group_bits.eq(read.data[field.POINTER_BASE][28:]),
            self.word_columns.eq(config.pes >> self.group_bits),
            bias_base.eq(drained_read.data[field.BIAS_BASE][:16]),
        ]
        if not config.interleaved:
            m.d.comb += self.output_beats.eq(read.data[field.OUTPUT_BEATS])
        # The next input is taken whichever layer is under way.
        with m.If(self.load_descriptor & (self.load_addr == field.INPUT_BEATS)):
            m.d.sync += [
                self.input_beats.eq(self.load_data),
                self.input_padding.eq(self.load_data[24:]),
            ]

        # Contexts: whether an inference is under way, whether it has layers that have not started,
        # whether the next of them may, and whether one started that has not been drained.
        contexts = config.contexts
        memories = config.activation_memories
        active, pending, ready, started = (
            Signal(contexts, name=name) for name in ("active", "pending", "ready", "started"))
        side = [Signal.like(self.read_side, name=f"side_{number}") for number in range(contexts)]
        source = [Signal(name=f"source_{number}") for number in range(contexts)]
        last_layer = Signal(contexts)
        m.d.comb += [
            last_layer.eq(Cat(layer == layers - 1 for layer in self.layer)),
            self.read_side.eq(_of(self.context, side)),
            self.source.eq(_of(self.context, source)),
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
        writing = Signal()
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
        drain_group_bits = drained_read.data[field.POINTER_BASE][28:][:len(self.group_bits)]
        m.d.comb += position.eq(word << drain_group_bits)
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
                self.drain_banks.eq((1 << groups * contexts * turns) - 1),
                self.drain_addr.eq(clear_addr),
                clear_addr.eq(Mux(clear_last, 0, clear_addr + 1)),
                clearing.eq(~clear_last),
                self.clean.eq(clear_last),
            ]
        with m.Elif(draining):
            m.d.sync += [
                self.drain_banks.eq(((1 << (1 << drain_group_bits)) - 1)
                                    << Cat(position[:levels], self.watched, turn)),
                self.drain_addr.eq(position[levels:]),
            ]
        with m.Else():
            m.d.sync += clearing.eq(self.clear & ~self.clean)

        # The last products are stored 3 cycles after the PEs become idle.
        finished = Signal()
        m.d.sync += finished.eq(
            self.decoded & ~(self.broadcasting & (self.context == self.watched))
            & _of(self.watched, started))
        # While words are on their way, or an output waits, another layer may be under way, but not
        # drain.
        ending = Signal()
        with m.If(_of(self.watched, started) & ~writing & ~ending):
            m.d.sync += [
                self.drain_layer.eq(_of(self.watched, self.layer)),
                self.drain_context.eq(self.watched),
                self.drain_group_bits.eq(drain_group_bits),
                self.write_side.eq(_of(self.watched, side)),
                self.write_buffer.eq(~_of(self.watched, source)),
                self.shift.eq(drained_read.data[field.BIAS_BASE][16:]),
                Cat(self.multiplier, self.single_rounding).eq(
                    drained_read.data[field.MULTIPLIER]),
                self.minimum.eq(drained_read.data[field.MINIMUM]),
                self.maximum.eq(drained_read.data[field.MAXIMUM]),
            ]
            if config.interleaved:
                m.d.sync += self.output_beats.eq(drained_read.data[field.OUTPUT_BEATS])

        # The drain, and what comes of it: the next layer may start, or the output is handed over.
        opening, opened, opens_layer = Signal(), Signal(), Signal()
        over = Signal()
        m.d.comb += [
            opens_layer.eq(opening & (opens | opened)),
            self.done.eq(ending & (self.layer_done | over) & self.sent),
        ]
        m.d.sync += [
            opened.eq((draining | opening) & (opened | opens)),
            over.eq(ending & (self.layer_done | over) & ~self.sent),
        ]
        with m.If(opens_layer):
            m.d.sync += [opening.eq(0), ready.bit_select(self.drain_context, 1).eq(1)]
        with m.If(~draining):
            m.d.sync += [word.eq(0), drain_last.eq(output_words <= 1),
                         draining.eq(finished & ~writing & ~ending)]
        with m.Elif(turn_last):
            m.d.sync += [word.eq(word + 1), drain_last.eq(word == last_but_one)]
            with m.If(drain_last):
                m.d.sync += [
                    draining.eq(0),
                    started.bit_select(self.watched, 1).eq(0),
                    ending.eq(_of(self.watched, last_layer)),
                    opening.eq(~_of(self.watched, last_layer)),
                ]
                for number in range(contexts):
                    with m.If(~last_layer[number] & (self.watched == number)):
                        m.d.sync += [self.layer[number].eq(self.layer[number] + 1),
                                     source[number].eq(~source[number])]
        output_buffers = Signal(memories)  # of the last output in each memory
        with m.If(self.done):
            m.d.sync += [
                ending.eq(0),
                active.bit_select(self.drain_context, 1).eq(0),
                self.output_side.eq(self.write_side),
                self.output_buffer.eq(self.write_buffer),
                output_buffers.bit_select(self.write_side, 1).eq(self.write_buffer),
            ]
            for number in range(contexts):
                with m.If(self.drain_context == number):
                    m.d.sync += self.layer[number].eq(0)

        # An inference begins.
        begins, cleared, next_side = Signal(), Signal(), Signal.like(self.input_side)
        m.d.comb += [
            self.free.eq(cleared & ~_of(self.entry, active)),
            self.idle.eq(cleared & ~active.any()),
            self.computes.eq(active.any()),
            begins.eq(self.begin & self.free),
            next_side.eq(Mux(self.input_side == memories - 1, 0, self.input_side + 1)),
        ]
        with m.If(begins):
            m.d.sync += [
                self.clean.eq(0),
                self.entry.eq(self.entry + 1),
                self.input_side.eq(next_side),
                self.input_buffer.eq(~output_buffers.bit_select(next_side, 1)),
            ]
            for bits in (active, pending, ready):
                m.d.sync += bits.bit_select(self.entry, 1).eq(1)
            for number in range(contexts):
                with m.If(self.entry == number):
                    m.d.sync += [side[number].eq(self.input_side),
                                 source[number].eq(self.input_buffer)]

        counts = [Signal.like(self.cycles, name=f"cycles_{number}") for number in range(contexts)]
        m.d.comb += self.cycles.eq(_of(self.drain_context, counts))
        for number, count in enumerate(counts):
            with m.If(begins & (self.entry == number)):
                m.d.sync += count.eq(0)
            with m.Elif(active[number] & ~(over & (self.drain_context == number))):
                m.d.sync += count.eq(count + 1)

        # Whose columns are broadcast.
        goes = Signal()
        m.d.comb += goes.eq(_of(self.context, pending) & (
            _of(self.context, ready) | (opens_layer & (self.drain_context == self.context))))
        with m.FSM() as fsm:
            m.d.comb += cleared.eq(~(fsm.ongoing("CLEAR") | fsm.ongoing("CLEARED")))
            with m.State("CLEAR"):
                with m.If(clear_last):
                    m.next = "CLEARED"
            with m.State("CLEARED"):
                m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(goes):
                    m.next = "START"
                with m.Elif(begins):
                    m.d.sync += self.context.eq(self.entry)
                    m.next = "DESCRIPTOR"
            with m.State("DESCRIPTOR"):
                with m.If(goes):
                    m.next = "START"
                with m.Else():
                    m.next = "WAIT"
            with m.State("START"):
                m.d.comb += self.start.eq(1)
                m.d.sync += [
                    started.bit_select(self.context, 1).eq(1),
                    ready.bit_select(self.context, 1).eq(0),
                    self.tag.eq(self.context),
                ]
                with m.If(_of(self.context, last_layer)):
                    m.d.sync += pending.bit_select(self.context, 1).eq(0)
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(~self.broadcasting):
                    m.next = "WAIT"
                    if config.interleaved:
                        with m.If(_of(~self.context, pending) | begins):
                            m.d.sync += self.context.eq(~self.context)
                            m.next = "DESCRIPTOR"
        if config.interleaved:
            with m.If(~_of(self.watched, started) & _of(~self.watched, started) & ~draining):
                m.d.sync += self.watched.eq(~self.watched)
        return m


def _of(context: Value, values: Any) -> Value:
    """Choose what is of one context."""
    values = list(values)
    return Mux(context[0], values[1], values[0]) if len(values) > 1 else values[0]
