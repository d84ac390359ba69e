"""Systolic engine: runs the layers of an 8-bit network back to back."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.registers import ErrorCode
from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.program import DESCRIPTOR_WORDS, Field, Flag, Operation, Target
from eieio.model.systolic.timing import (
    FETCH,
    GROUP,
    PIXEL_LATENCY,
    READ,
    START,
    VECTOR_LATENCY,
    WINDOW,
)
from eieio.rtl.image_loader import ImageLoader
from eieio.rtl.systolic.accumulators import Accumulators
from eieio.rtl.systolic.activation_buffer import ActivationBuffer
from eieio.rtl.systolic.array import SystolicArray
from eieio.rtl.systolic.depthwise import Depthwise
from eieio.rtl.systolic.drain import Drain, GroupInterface, GroupSignature
from eieio.rtl.systolic.input_memory import InputMemory
from eieio.rtl.systolic.output_lanes import ACCUMULATOR_WIDTH, OutputLanes
from eieio.rtl.systolic.program_sequencer import ProgramSequencer
from eieio.rtl.systolic.residual import Residual
from eieio.rtl.systolic.stream_port import InputPort, OutputPort, beat_signature
from eieio.rtl.systolic.tile_sequencer import TileSequencer
from eieio.rtl.systolic.weight_buffer import WeightBuffer
from eieio.rtl.systolic.window_reader import WindowReader
from eieio.rtl.systolic.winograd_drain import WinogradDrain
from eieio.rtl.systolic.winograd_input import WinogradInput
from eieio.rtl.winograd.delay import delayed

__all__ = ["SystolicEngine"]

# Cycles from a group to its accumulators.
_GROUP_LATENCY = 2

# Cycles from when the loader looks at a word until the memories have it: the loader's register, one
# that finds the target, one that finds the unit, and the memory. `loaded` follows within them.
_LOAD_LATENCY = 4


class SystolicEngine(wiring.Component):
    """Takes an image once, then an input at a time, and returns an output for each.

    An inference begins when its whole input has arrived and ``run`` is 1, and runs all layers of
    the program without the host in between. With an input memory the next input arrives meanwhile,
    and the output of the inference before is sent; an inference begins when a beat of that output
    has been offered. Without one, input, inference and output follow one another. An image may be
    loaded whenever no input waits, no inference is under way and no output is being sent, and
    replaces the one before.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Members
    -------
    image : ``In(stream)``
        ``data`` (32 bits) and ``last``; see :mod:`eieio.model.systolic.program`.
    i : ``In(stream)``
        ``data`` (``lanes`` activations of 8 bits, the first in the lowest bits) and ``last``: the
        pixels of the input, each in as many beats as its channels need.
    o : ``Out(stream)``
        ``data`` (``lanes`` activations of 8 bits, the first in the lowest bits) and ``last``: the
        pixels of the output, each in as many beats as its channels need.
    run : ``In(1)``
        Begin an inference as soon as there is an input.
    receiving : ``Out(1)``
        An input has begun, and neither is it complete nor does ``error`` show that it was refused.
        From the cycle after its first beat on, without a gap.
    waiting : ``Out(1)``
        An input is complete, and its inference has not begun.
    begun : ``Out(1)``
        An inference is under way, or its output is being read. It rises with each.
    busy : ``Out(1)``
        An inference is under way or its output is being sent.
    loading : ``Out(1)``
        A word of an image has been taken, and ``loaded`` and ``error`` do not show yet what came of
        it. From the cycle after the word on, without a gap.
    loaded : ``Out(1)``
        A complete, accepted image is in the engine.
    error : ``Out(ErrorCode)``
        First error since reset or ``clear_error``.
    clear_error : ``In(1)``
        Return ``error`` to ``NONE``, unless something is refused in this cycle.
    cycles : ``Out(32)``
        Cycles of the inference, from the one in which it began to the one in which the last
        activations were written. Holds until the next inference's first layer is done.
    macs : ``Out(48)``
        Multiplications of the array in the inference, those of padding and unused columns included.
    accumulator_stalls, transform_stalls : ``Out(32)``
        Cycles of the inference in which the array waited for a bank of accumulators, and for
        transformed tiles.
    layer_done : ``Out(1)``
        A layer's last activations are being written.
    word_valid, word_layer, word_addr, word_group, word_data : ``Out``
        Monitor: a group of ``lanes`` activations is being written.
    """

    image: stream.Interface
    i: stream.Interface
    o: stream.Interface
    run: Signal
    receiving: Signal
    waiting: Signal
    begun: Signal
    busy: Signal
    loading: Signal
    loaded: Signal
    error: Signal
    clear_error: Signal
    cycles: Signal
    macs: Signal
    accumulator_stalls: Signal
    transform_stalls: Signal
    layer_done: Signal
    word_valid: Signal
    word_layer: Signal
    word_addr: Signal
    word_group: Signal
    word_data: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "image": In(stream.Signature(data.StructLayout({"data": 32, "last": 1}))),
            "i": In(beat_signature(config)),
            "o": Out(beat_signature(config)),
            "run": In(1),
            "receiving": Out(1),
            "waiting": Out(1),
            "begun": Out(1),
            "busy": Out(1),
            "loading": Out(1),
            "loaded": Out(1),
            "error": Out(unsigned(4)),
            "clear_error": In(1),
            "cycles": Out(unsigned(32)),
            "macs": Out(unsigned(48)),
            "accumulator_stalls": Out(unsigned(32)),
            "transform_stalls": Out(unsigned(32)),
            "layer_done": Out(1),
            "word_valid": Out(1),
            "word_layer": Out(unsigned(ceil_log2(config.program_depth))),
            "word_addr": Out(unsigned(ceil_log2(config.activation_depth))),
            "word_group": Out(range(config.word_groups)),
            "word_data": Out(unsigned(config.lanes * ACTIVATION_BITS)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        #: Word to read, of the activation buffer or of the input memory behind it.
        self._read_addr = Signal(config.address_width)
        m.submodules.sequencer = sequencer = ProgramSequencer(config)
        m.submodules.activation_buffer = buffer = ActivationBuffer(config)
        m.submodules.weight_buffer = weights = WeightBuffer(config)
        m.submodules.input_port = input_port = InputPort(config)
        m.submodules.output_port = output_port = OutputPort(config)
        m.submodules.reader = reader = WindowReader(config)
        m.submodules.tiles = tiles = TileSequencer(config)
        m.submodules.array = array = SystolicArray(config)
        m.submodules.accumulators = accumulators = Accumulators(config)
        m.submodules.drain = drain = Drain(config)
        m.submodules.lanes = lanes = OutputLanes(config)

        descriptor = sequencer.descriptor
        for component in (buffer, input_port, output_port, reader, tiles, accumulators, drain,
                          lanes):
            m.d.comb += component.descriptor.eq(descriptor)
        operation = Signal(4)
        m.d.comb += operation.eq(descriptor[Field.OPERATION])
        compute = Signal()
        m.d.sync += compute.eq(sequencer.fetched & (operation == Operation.COMPUTE))
        m.d.comb += [reader.start.eq(compute), tiles.start.eq(compute)]
        # What comes behind the array may start later.
        m.d.sync += accumulators.start.eq(compute)
        m.d.comb += drain.start.eq(accumulators.start)
        sending, adding, winograd = Signal(), Signal(), Signal()
        m.d.sync += [
            input_port.start.eq(sequencer.fetched & (operation == Operation.INPUT)),
            output_port.start.eq(sequencer.fetched & (operation == Operation.OUTPUT)),
            sending.eq(operation == Operation.OUTPUT),
            adding.eq(operation == Operation.ADD),
        ]
        if config.winograd:
            m.d.sync += winograd.eq((descriptor[Field.OPERATION] & Flag.WINOGRAD).any())

        halves = self._connect_streams(m, sequencer, input_port, output_port, weights, lanes)
        word: Value = buffer.word
        if config.input_depth:
            word = self._connect_input_memory(m, input_port, buffer, halves, descriptor)

        assert reader.latency + buffer.latency + 1 == PIXEL_LATENCY
        assert accumulators.latency == READ

        # Words on their way to the array: of the image, or what padding is.
        stepped = Signal()
        m.d.sync += stepped.eq(tiles.vector_valid)
        m.d.comb += reader.step.eq(stepped)
        inside = delayed(m, reader.o_inside, buffer.latency, "inside")
        padding = descriptor[Field.QUANTIZATION][:ACTIVATION_BITS]
        pixels = [Mux(inside, word.word_select(row, ACTIVATION_BITS), padding).as_signed()
                  for row in range(config.rows)]
        vector = Signal(data.ArrayLayout(signed(config.activation_width), config.rows),
                        reset_less=True)
        for row in range(config.rows):
            m.d.sync += vector[row].eq(pixels[row])
        m.d.comb += [
            array.i_activations.eq(vector),
            array.i_valid.eq(delayed(m, tiles.vector_valid, VECTOR_LATENCY, "vector_valid")),
            array.i_swap.eq(delayed(m, tiles.vector_swap, VECTOR_LATENCY, "vector_swap")),
            array.i_last.eq(delayed(m, tiles.vector_last, VECTOR_LATENCY, "vector_last")),
            weights.read_addr.eq(
                delayed(m, tiles.weight_addr, VECTOR_LATENCY - weights.latency, "weight_addr",
                        reset_less=True)),
            array.w_valid.eq(delayed(m, tiles.weight_valid, VECTOR_LATENCY, "weight_valid")),
            array.w_weights.eq(weights.weights if not config.depthwise_lanes else
                               self._diagonals(m, tiles, weights, descriptor)),
            accumulators.i_valid.eq(array.o_valid),
            accumulators.i_last.eq(array.o_last),
            accumulators.i_sums.eq(array.o_sums),
            accumulators.read_bank.eq(drain.read_bank),
            accumulators.read_addr.eq(drain.read_addr),
            drain.enable.eq(~winograd),
            drain.pass_done.eq(accumulators.pass_done),
            tiles.bank_released.eq(drain.bank_released),
        ]

        # Groups of activations, from what computes them to where they are written. Those of the
        # drain are known before their accumulators are there.
        group = GroupSignature(config).create()
        for name in group.signature.members:
            m.d.comb += getattr(group, name).eq(
                delayed(m, getattr(drain.o, name), GROUP, f"drained_{name}",
                        reset_less=name not in ("valid", "last")))
        group_index = delayed(m, drain.read_group, GROUP, "drained_index", reset_less=True)
        chosen = Signal(data.ArrayLayout(signed(ACCUMULATOR_WIDTH), config.lanes), reset_less=True)
        # One bit for each group of columns selects faster than its number does.
        group_width = config.lanes * config.accumulator_width
        drained: Value = Const(0, group_width)
        for number in range(config.column_groups):
            selected = Signal(name=f"selected_{number}")
            m.d.sync += selected.eq(group_index == number)
            drained |= Mux(selected, accumulators.o_accumulators.as_value().word_select(
                number, group_width), 0)
        for lane in range(config.lanes):
            m.d.sync += chosen[lane].eq(
                drained.word_select(lane, config.accumulator_width).as_signed())
        groups = [(group, chosen.as_value())]
        if config.winograd:
            groups.append(self._connect_winograd(m, winograd, reader, tiles, vector, pixels,
                                                 drain, accumulators, descriptor))
        read: Value = Mux(sending, Cat(output_port.read_addr, output_port.read_last),
                          Cat(reader.o_addr, reader.o_last_word))
        by_channel = Signal()
        computed: Value = winograd
        if config.depthwise_lanes:
            m.submodules.depthwise = unit = Depthwise(config, weights.latency)
            # One cycle less, as writes are counted from the one behind their place.
            assert unit.latency == WINDOW + (config.depthwise_taps - 1).bit_length() + 1
            m.d.sync += [by_channel.eq(operation == Operation.DEPTHWISE),
                         unit.start.eq(sequencer.fetched & (operation == Operation.DEPTHWISE))]
            m.d.comb += [unit.descriptor.eq(descriptor), unit.word.eq(word),
                         unit.row.eq(weights.weights)]
            with m.If(by_channel):
                m.d.comb += weights.read_addr.eq(unit.row_addr)
            computed = Mux(by_channel, len(groups), winograd)
            groups.append((unit.o, unit.o_sums.as_value()))
            read = Mux(by_channel, Cat(unit.read_addr, unit.read_last), read)
        if config.residual:
            m.submodules.residual = residual = Residual(config)
            m.d.sync += residual.start.eq(sequencer.fetched & (operation == Operation.ADD))
            m.d.comb += [residual.descriptor.eq(descriptor), residual.word.eq(word)]
            groups.append((residual.o, residual.o_sums.as_value()))
            read = Mux(adding, Cat(residual.read_addr, residual.read_last), read)
        m.d.comb += [
            Cat(self._read_addr, buffer.read_last).eq(read),
            buffer.read_addr.eq(self._read_addr),
            output_port.word.eq(word),
        ]

        source = Signal(range(len(groups)))
        m.d.sync += source.eq(Mux(adding, len(groups) - 1, computed))
        valid, last = Signal(), Signal()
        addr, place = Signal.like(self.word_addr), Signal.like(self.word_group)
        with m.Switch(source):
            for number, (entry, sums) in enumerate(groups):
                with m.Case(number):
                    m.d.comb += [
                        valid.eq(entry.valid),
                        last.eq(entry.last),
                        addr.eq(entry.addr),
                        place.eq(entry.group),
                        lanes.parameter_addr.eq(entry.parameter_addr),
                        lanes.i.as_value().eq(sums),
                    ]
        write_latency = _GROUP_LATENCY + lanes.latency
        m.d.comb += [
            self.word_valid.eq(delayed(m, valid, write_latency, "group_valid")),
            self.word_addr.eq(delayed(m, addr, write_latency, "group_addr", reset_less=True)),
            self.word_group.eq(
                delayed(m, place, write_latency, "group_place", reset_less=True)),
            self.layer_done.eq(delayed(m, last, write_latency, "group_last")),
            self.word_data.eq(lanes.o.as_value()),
            self.word_layer.eq(sequencer.layer - 1),
            sequencer.computed.eq(self.layer_done),
        ]
        if config.code_width:
            # The next codebook is copied while the last sums are requantized, or while the first
            # descriptor is fetched.
            assert weights.start_latency <= min(write_latency + START, FETCH)
            m.d.comb += [weights.start.eq(last | sequencer.follows_end),
                         weights.layer.eq(sequencer.following)]
        written = Mux(self.word_valid, 1 << self.word_group, 0)
        writes: tuple[Value, ...] = written, self.word_addr, self.word_data
        if not config.input_depth:
            writes = (written | input_port.write_groups,
                      Mux(self.word_valid, self.word_addr, input_port.write_addr),
                      Mux(self.word_valid, self.word_data,
                          input_port.write_data[:len(self.word_data)]))
        m.d.comb += [port.eq(value) for port, value in zip(
            (buffer.write_groups, buffer.write_addr, buffer.write_data), writes, strict=True)]

        # Counters.
        elapsed = Signal(32)
        m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(self.layer_done):
            m.d.sync += self.cycles.eq(elapsed + 1)
        bank_stall, phase_stall = Signal(), Signal()
        m.d.sync += [
            bank_stall.eq(tiles.bank_stall),
            phase_stall.eq(tiles.phase_stall),
            self.accumulator_stalls.eq(self.accumulator_stalls + bank_stall),
            self.transform_stalls.eq(self.transform_stalls + phase_stall),
        ]
        with m.If(stepped):
            m.d.sync += self.macs.eq(self.macs + config.pes)
        with m.If(sequencer.begin):
            m.d.sync += [elapsed.eq(0), self.macs.eq(0), self.accumulator_stalls.eq(0),
                         self.transform_stalls.eq(0)]
        return m

    def _diagonals(self, m: Module, tiles: TileSequencer, weights: WeightBuffer,
                   descriptor: data.View) -> Value:
        """Make the rows of a tile of single channels of the row that holds its diagonal."""
        config = self.config
        columns = config.channelwise_columns
        # Which column of the array a row's only weight is for.
        column = Signal(signed(ceil_log2(config.rows) + 2), reset_less=True)
        m.d.sync += column.eq(tiles.weight_row - tiles.weight_share * columns)
        late = delayed(m, column, VECTOR_LATENCY - 2, "diagonal", reset_less=True).as_signed()
        direct, used = Signal(), Signal(config.columns, reset_less=True)
        m.d.sync += [
            direct.eq(~(descriptor[Field.OPERATION] & Flag.CHANNELWISE).any()),
            used.eq(Cat(direct | (late == number if number < columns else Const(0))
                        for number in range(config.columns))),
        ]
        return weights.weights.as_value() & Cat(
            bit.replicate(config.weight_width) for bit in used)

    def _connect_streams(self, m: Module, sequencer: ProgramSequencer, input_port: InputPort,
                         output_port: OutputPort, weights: WeightBuffer,
                         lanes: OutputLanes) -> "_Halves":
        """Connect the streams, and say what they may do when.

        Returns what inputs are where.
        """
        config = self.config
        memories = {
            Target.WEIGHTS: (weights.units, config.weight_depth),
            Target.BIASES: (config.lanes, config.parameter_depth),
            Target.MULTIPLIERS: (config.lanes, config.parameter_depth),
            Target.SHIFTS: (config.lanes, config.parameter_depth),
            Target.DESCRIPTORS: (1, config.program_depth * DESCRIPTOR_WORDS),
            Target.LAYERS: (1, 1),
        }
        if config.code_width:
            memories[Target.CODEBOOKS] = 1, config.codebooks << config.code_width
        m.submodules.loader = loader = ImageLoader(
            tuple(memories[target] for target in sorted(memories)), layers_target=Target.LAYERS,
            layers_maximum=config.program_depth)
        wiring.connect(m, wiring.flipped(self.image), loader.i)
        wiring.connect(m, wiring.flipped(self.i), input_port.i)
        wiring.connect(m, output_port.o, wiring.flipped(self.o))

        # Between two inputs or images, an image that waits goes first. Of both streams at most one
        # is open, which none has been for a cycle before the other one is. An image's stream is
        # closed until its end has had its effect.
        receiving, idle = Signal(), Signal()
        halves = _Halves(m, input_port.done, sequencer.begin, sequencer.busy, sequencer.unload,
                         double=config.input_depth > 0)
        arriving = Signal(_LOAD_LATENCY)
        input_under_way, image_ends, image_ended = Signal(), Signal(), Signal(2)
        m.d.comb += [
            receiving.eq(sequencer.taking & halves.room & ~input_port.done),
            idle.eq((sequencer.idle & ~halves.waiting & ~input_port.closing & ~output_port.busy)
                    | sequencer.unloaded),
            input_under_way.eq(input_port.busy | (self.i.valid & self.i.ready)),
            image_ends.eq(self.image.valid & self.image.ready & self.image.payload.last),
        ]
        m.d.sync += [
            image_ended.eq(Cat(image_ends, image_ended)),
            arriving.eq(Cat(loader.busy, arriving)),
            loader.enable.eq(idle & (loader.busy | self.image.valid) & ~input_port.enable
                             & ~input_port.busy & ~image_ends & ~image_ended.any()),
            input_port.enable.eq(receiving & (input_under_way | ~self.image.valid)
                                 & ~loader.enable & ~loader.busy & ~loader.begun),
        ]
        m.d.comb += [
            sequencer.waiting.eq(halves.waiting & output_port.shown),
            sequencer.run.eq(self.run),
            sequencer.sent.eq(~(output_port.reading if config.input_depth else output_port.busy)),
            sequencer.loading.eq(loader.busy | loader.valid),
            # What is left of the image before, and half of a refused one, must not run.
            sequencer.unload.eq(loader.begun | (loader.error != ErrorCode.NONE)),
            sequencer.load_descriptor.eq(loader.valid & (loader.target == Target.DESCRIPTORS)),
            sequencer.load_layers.eq(loader.valid & (loader.target == Target.LAYERS)),
            sequencer.load_addr.eq(loader.addr),
            sequencer.load_data.eq(loader.data),
            self.receiving.eq(input_port.busy | input_port.closing),
            self.waiting.eq(halves.waiting),
            self.begun.eq(sequencer.busy),
            self.busy.eq(sequencer.busy | output_port.busy),
            self.loading.eq(loader.busy | arriving.any()),
            self.loaded.eq(sequencer.loaded & ~loader.busy),
        ]

        # Two registers between the loader and the memories: one finds the target, one the unit.
        unit = Signal(range(max(2, *(units for units, _ in memories.values()))))
        addr, word = Signal(32, reset_less=True), Signal(32, reset_less=True)
        m.d.sync += [unit.eq(loader.unit), addr.eq(loader.addr), word.eq(loader.data)]
        late_addr, late_word = (Signal.like(signal, reset_less=True) for signal in (addr, word))
        m.d.sync += [late_addr.eq(addr), late_word.eq(word)]
        loads = {Target.WEIGHTS: weights.load_valid, Target.BIASES: lanes.load_biases,
                 Target.MULTIPLIERS: lanes.load_multipliers, Target.SHIFTS: lanes.load_shifts}
        if config.code_width:
            loads[Target.CODEBOOKS] = weights.load_codebook
        for target, load in loads.items():
            chosen = Signal(name=f"load_{target.name.lower()}")
            m.d.sync += [chosen.eq(loader.valid & (loader.target == target)),
                         load.eq(chosen << unit)]
        m.d.comb += [
            weights.load_addr.eq(late_addr),
            weights.load_data.eq(late_word),
            lanes.load_addr.eq(late_addr),
            lanes.load_data.eq(late_word),
        ]

        with m.If(self.clear_error | (self.error == ErrorCode.NONE)):
            m.d.sync += self.error.eq(loader.error | input_port.error)
        return halves

    def _connect_input_memory(self, m: Module, input_port: InputPort, buffer: ActivationBuffer,
                              halves: "_Halves", descriptor: data.View) -> Value:
        """Put the input memory behind the addresses of the activation buffer.

        Returns what is read, of whichever has it.
        """
        m.submodules.input_memory = memory = InputMemory(self.config)
        there = self._read_addr[-1]
        m.d.comb += [
            memory.descriptor.eq(descriptor),
            memory.read_half.eq(halves.read),
            memory.write_half.eq(halves.written),
            memory.read_addr.eq(self._read_addr),
            memory.read_last.eq(buffer.read_last),
            memory.read_here.eq(there),
            buffer.read_here.eq(~there),
            memory.write_groups.eq(input_port.write_groups),
            memory.write_addr.eq(input_port.write_addr),
            memory.write_data.eq(input_port.write_data),
        ]
        word = Signal.like(buffer.word)
        m.d.comb += word.eq(buffer.word | memory.word)
        return word

    def _connect_winograd(self, m: Module, winograd: Signal, reader: WindowReader,
                          tiles: TileSequencer, vector: data.View, pixels: list[Value],
                          drain: Drain, accumulators: Accumulators,
                          descriptor: data.View) -> tuple[GroupInterface, Value]:
        """Put Winograd's transforms in front of the array, and behind its accumulators."""
        config = self.config
        m.submodules.transform = transform = WinogradInput(
            config.winograd, config.rows, config.winograd_tiles)
        # As long as the reader and the buffer take for a word.
        assert transform.read_latency + 1 == PIXEL_LATENCY

        # The reader is ahead of the array, as far as there is room for the phases.
        active, reading = Signal(), Signal()
        room = Signal(2)
        taken = Signal()
        step = Signal()
        m.d.comb += [
            step.eq(winograd & reading),
            taken.eq(active & (room != 0) & (~reading | (reader.phase_last & ~reader.last))),
        ]
        m.d.sync += room.eq(room + tiles.phase_released - taken)
        with m.If(reading & reader.phase_last):
            m.d.sync += reading.eq(0)
            with m.If(reader.last):
                m.d.sync += active.eq(0)
        with m.If(taken):
            m.d.sync += reading.eq(1)
        with m.If(tiles.start):
            m.d.sync += [active.eq((descriptor[Field.OPERATION] & Flag.WINOGRAD).any()),
                         room.eq(2)]
        pixel = Signal(config.rows * ACTIVATION_BITS, reset_less=True)
        m.d.sync += pixel.eq(Cat(pixels))
        phase = Signal()
        m.d.sync += [
            phase.eq(phase ^ transform.read_begin),
            transform.read_valid.eq(tiles.vector_valid & winograd),
            transform.read_first.eq(tiles.vector_element),
            transform.read_begin.eq(tiles.vector_phase),
        ]
        with m.If(winograd):
            m.d.comb += reader.step.eq(step)
            for row in range(config.rows):
                m.d.sync += vector[row].eq(
                    transform.o_word.word_select(row, transform.data_width).as_signed())
        m.d.comb += [
            transform.i_valid.eq(delayed(m, step, PIXEL_LATENCY, "pixel_valid")),
            transform.i_last.eq(
                delayed(m, step & reader.phase_last, PIXEL_LATENCY, "pixel_last")),
            transform.i_word.eq(pixel),
            transform.read_phase.eq(phase),
            tiles.phase_ready.eq(transform.phase_done),
        ]

        m.submodules.winograd_drain = winograd_drain = WinogradDrain(config)
        m.d.comb += [
            winograd_drain.descriptor.eq(descriptor),
            winograd_drain.start.eq(drain.start),
            winograd_drain.enable.eq(winograd),
            winograd_drain.pass_done.eq(accumulators.pass_done),
            winograd_drain.i_accumulators.eq(accumulators.o_accumulators),
        ]
        with m.If(winograd):
            m.d.comb += [
                accumulators.read_bank.eq(winograd_drain.read_bank),
                accumulators.read_addr.eq(winograd_drain.read_addr),
                tiles.bank_released.eq(winograd_drain.bank_released),
            ]
        return winograd_drain.o, winograd_drain.o_sums.as_value()


class _Halves:
    """Which inputs are in memory.

    Parameters
    ----------
    m : :class:`Module`
        Module to add it to.
    done, begin : :class:`Signal`
        An input is complete; and an inference begins in the next cycle.
    busy : :class:`Signal`
        An inference is under way.
    forget : :class:`Signal`
        An image begins, and so there is none.
    double : :class:`bool`
        Whether there is room for a second input.

    Attributes
    ----------
    waiting, room : :class:`Signal`
        There is an input whose inference has not begun, and room for one that comes.
    read, written : :class:`Signal`
        Half of the input of the inference that is under way, or comes next; and of the input that
        arrives.
    """

    def __init__(self, m: Module, done: Signal, begin: Signal, busy: Signal, forget: Signal, *,
                 double: bool) -> None:
        complete = Signal(2, name="complete_inputs")
        self.waiting = Signal(name="input_waiting")
        self.room = Signal(name="input_room")
        self.read, self.written = Signal(name="read_half"), Signal(name="written_half")
        m.d.sync += complete.eq(complete + done - begin)
        one = ~complete[1] & ~busy
        m.d.comb += [
            self.waiting.eq(complete != 0),
            self.room.eq((complete == 0) | one if double else (complete == 0) & ~busy),
        ]
        if double:
            busy_before = Signal(name="inference_before")
            m.d.sync += [self.written.eq(self.written ^ done), busy_before.eq(busy)]
            # An inference that has ended leaves its half to another input.
            with m.If(busy_before & ~busy):
                m.d.sync += self.read.eq(~self.read)
        with m.If(forget):
            m.d.sync += [complete.eq(0), self.read.eq(0), self.written.eq(0)]
