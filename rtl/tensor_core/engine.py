"""The tensor core with its memories: runs the operators of a network back to back."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.registers import ErrorCode
from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.engine_timing import MAXIMUM, SLOTS, sum_latency
from eieio.model.tensor_core.program import DESCRIPTOR_WORDS, Field, Target
from eieio.rtl.emit import shared
from eieio.rtl.image_loader import ImageLoader
from eieio.rtl.tensor_core.activation_memory import READ_LATENCY, ActivationMemory
from eieio.rtl.tensor_core.drain import Drain
from eieio.rtl.tensor_core.matrix_step import MatrixStep
from eieio.rtl.tensor_core.narrow import order_key
from eieio.rtl.tensor_core.operand_reader import OperandReader
from eieio.rtl.tensor_core.program_sequencer import ProgramSequencer
from eieio.rtl.tensor_core.step_sequencer import StepSequencer
from eieio.rtl.vendor.block_ram import add_block_ram
from eieio.rtl.winograd.delay import delayed

__all__ = ["TensorCoreEngine", "beat_signature"]

_WIDTH = 16

# Cycles from a step to its operands in front of the matrix step.
_OPERANDS = 2

# Cycles from the last word of an image to ``error`` and ``loaded``.
_LOAD_CYCLES = 4

# Beats of the output that wait or are on their way.
_OUTPUT_DEPTH = 8


def beat_signature(config: TensorCoreConfig) -> stream.Signature:
    """Signature of the streams of inputs and outputs."""
    return stream.Signature(data.StructLayout({"data": _WIDTH * config.products, "last": 1}))


class TensorCoreEngine(wiring.Component):
    """Takes an image once, then an input at a time, and returns an output for each.

    An inference begins when its whole input has arrived and ``run`` is 1. Input, inference and
    output follow one another; an image may be loaded in between, and replaces the one before.

    Parameters
    ----------
    config : :class:`TensorCoreConfig`
        Configuration.

    Members
    -------
    image : ``In(stream)``
        ``data`` (32 bits) and ``last``; see :mod:`eieio.model.tensor_core.program`.
    i, o : ``In(stream)``, ``Out(stream)``
        ``data`` (``products`` numbers of 16 bits, the first in the lowest bits) and ``last``. What
        is beyond the last number of an input is ignored, and 0 in an output.
    run : ``In(1)``
        Begin an inference as soon as there is an input.
    receiving : ``Out(1)``
        An input has begun, and is not complete.
    waiting : ``Out(1)``
        An input is complete, and its inference has not begun.
    busy : ``Out(1)``
        An inference is under way or its output is being sent.
    loading : ``Out(1)``
        An image has begun, and neither ``loaded`` nor ``error`` shows what came of it.
    loaded : ``Out(1)``
        A whole image has been taken, and nothing of it was refused.
    error : ``Out(ErrorCode)``
        First error since reset or ``clear_error``.
    clear_error : ``In(1)``
        Return ``error`` to ``NONE``.
    cycles : ``Out(32)``
        Cycles of the inference up to its last descriptor that is done.
    macs : ``Out(48)``
        Multiplications of the inference, those with padding and in unused columns included.
    operand_stalls, sum_stalls : ``Out(32)``
        Cycles of it in which no step began for want of an operand; for want of a sum, or of a place
        for results.
    layer_done : ``Out(1)``
        The last results of a descriptor are being written.
    word_mask, word_layer, word_addr, word_data : ``Out``
        Monitor: results that are being written; which of them, descriptor, address of the first.
    """

    image: stream.Interface
    i: stream.Interface
    o: stream.Interface
    run: Signal
    receiving: Signal
    waiting: Signal
    busy: Signal
    loading: Signal
    loaded: Signal
    error: Signal
    clear_error: Signal
    cycles: Signal
    macs: Signal
    operand_stalls: Signal
    sum_stalls: Signal
    layer_done: Signal
    word_mask: Signal
    word_layer: Signal
    word_addr: Signal
    word_data: Signal

    def __init__(self, config: TensorCoreConfig) -> None:
        self.config = self.parameters = config
        self._step = MatrixStep(config.step)
        super().__init__({
            "image": In(stream.Signature(data.StructLayout({"data": 32, "last": 1}))),
            "i": In(beat_signature(config)), "o": Out(beat_signature(config)),
            "run": In(1), "receiving": Out(1), "waiting": Out(1), "busy": Out(1),
            "loading": Out(1), "loaded": Out(1), "error": Out(unsigned(4)), "clear_error": In(1),
            "cycles": Out(unsigned(32)), "macs": Out(unsigned(48)),
            "operand_stalls": Out(unsigned(32)), "sum_stalls": Out(unsigned(32)),
            "layer_done": Out(1), "word_mask": Out(config.columns),
            "word_layer": Out(unsigned(ceil_log2(config.program_depth))),
            "word_addr": Out(unsigned(ceil_log2(config.activation_depth))),
            "word_data": Out(unsigned(_WIDTH * config.columns)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.sequencer = sequencer = ProgramSequencer(config)
        m.submodules.activations = activations = ActivationMemory(config)
        m.submodules.reader = reader = OperandReader(config)
        m.submodules.steps = steps = StepSequencer(config)
        m.submodules.drain = drain = Drain(config)
        descriptor = sequencer.descriptor
        for component in (reader, steps, drain):
            m.d.comb += [component.descriptor.eq(descriptor),
                         component.start.eq(sequencer.start)]
        maximum = descriptor[Field.MAXIMUM][0]
        form = config.factor_format
        m.d.comb += [
            steps.ready.eq(reader.ready), steps.flags.eq(reader.flags),
            reader.release.eq(steps.release), steps.drained.eq(drain.drained),
            activations.fill.eq(Mux(maximum, form.infinity | 1 << _WIDTH - 1, 0)),
        ]
        weights, biases = self._load(m, platform, sequencer, activations, reader, drain)

        # Operands: a row of activations for each row of the step, tiles of weights and biases.
        slots = []
        for row in range(config.rows):
            m.submodules[f"operands_{row}"] = places = memory.Memory(
                shape=unsigned(_WIDTH * config.products), depth=SLOTS, init=[])
            write, read = places.write_port(), places.read_port()
            operand = Signal(data.ArrayLayout(_WIDTH, config.products), name=f"operand_{row}",
                             reset_less=True)
            m.d.comb += [
                write.addr.eq(reader.write_slot), write.en.eq(reader.write_row[row]),
                write.data.eq(activations.row.as_value()), read.addr.eq(reader.slot),
            ]
            m.d.sync += operand.as_value().eq(read.data)
            slots.append(operand)
        for unit in weights:
            m.d.comb += unit.read_addr.eq(steps.weight_addr)
        for column in biases:
            m.d.comb += column.read_addr.eq(steps.bias_addr)

        # Sums: read by a step, and written by the one that began before.
        lanes = config.rows * config.columns
        sums = add_block_ram(m, "sums", platform, width=32 * lanes, depth=config.accumulators,
                             output_register=False)
        m.submodules.step = shared(self._step, platform)
        step = self._step
        first = delayed(m, steps.first, 1, "first", reset_less=True)
        addend = Signal(32 * lanes, reset_less=True)
        m.d.comb += sums.read_addr.eq(steps.sum_addr)
        m.d.sync += addend.eq(Mux(first, Cat(
            *(column.read_data for column in biases)).replicate(config.rows), sums.read_data))
        flat = Cat(unit.read_data for unit in weights)
        m.d.comb += [
            step.i_valid.eq(delayed(m, steps.step & ~maximum, _OPERANDS, "step_valid")),
            step.i_half.eq(0), step.i_c.as_value().eq(addend),
            *(step.i_a[row].eq(operand) for row, operand in enumerate(slots)),
            *(step.i_b[product][column].eq(
                flat.word_select(column * config.products + product, _WIDTH))
              for product in range(config.products) for column in range(config.columns)),
        ]
        behind = sum_latency(config) - 1
        assert behind == step.latency + _OPERANDS
        last = delayed(m, steps.last, behind, "step_last", reset_less=True)
        written_addr = delayed(m, steps.sum_addr, behind, "written_addr", reset_less=True)
        m.d.comb += [
            sums.write_en.eq(step.o_valid & ~last), sums.write_addr.eq(written_addr),
            sums.write_data.eq(step.o_d.as_value()),
            steps.written.eq(step.o_valid), steps.written_addr.eq(written_addr),
        ]

        # Maxima: one after the other in registers.
        begun = delayed(m, steps.step & maximum, _OPERANDS, "maximum_valid")
        opened = delayed(m, steps.first, _OPERANDS, "maximum_first", reset_less=True)
        closed = delayed(m, steps.step & maximum & steps.last, MAXIMUM - 1, "maximum_last")
        largest = [Signal(_WIDTH, name=f"largest_{lane}", reset_less=True)
                   for lane in range(lanes)]
        for lane, signal in enumerate(largest):
            number = slots[lane // config.columns][lane % config.columns]
            with m.If(begun & (opened | (order_key(number) > order_key(signal)))):
                m.d.sync += signal.eq(number)
        m.d.comb += [
            drain.i_valid.eq(Mux(maximum, closed, step.o_valid & last)),
            drain.i.as_value().eq(Mux(maximum, Cat(
                Cat(signal, Const(0, 32 - _WIDTH)) for signal in largest), step.o_d.as_value())),
            sequencer.done.eq(drain.done), sequencer.run.eq(self.run),
            self.layer_done.eq(drain.done), self.word_layer.eq(sequencer.layer),
            self.word_addr.eq(drain.write_addr), self.word_mask.eq(drain.write_mask),
            self.word_data.eq(drain.write_row.as_value()),
        ]

        elapsed = Signal(32)
        m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(drain.done):
            m.d.sync += self.cycles.eq(elapsed + 1)
        with m.If(steps.step & ~maximum):
            m.d.sync += self.macs.eq(self.macs + config.multipliers)
        m.d.sync += [self.operand_stalls.eq(self.operand_stalls + steps.operand_stall),
                     self.sum_stalls.eq(self.sum_stalls + steps.sum_stall)]
        with m.If(sequencer.begin):
            m.d.sync += [elapsed.eq(0), self.cycles.eq(0), self.macs.eq(0),
                         self.operand_stalls.eq(0), self.sum_stalls.eq(0)]
        return m

    def _load(self, m: Module, platform: object, sequencer: ProgramSequencer,
              activations: ActivationMemory, reader: OperandReader, drain: Drain
              ) -> tuple[list, list]:
        """Connect the streams; return the memories of weights and of biases."""
        config = self.config
        units = config.columns * config.products // 2
        m.submodules.loader = loader = ImageLoader(
            ((units, config.weight_depth), (config.columns, config.bias_depth),
             (1, config.program_depth * DESCRIPTOR_WORDS), (1, 4), (1, 1)),
            layers_target=Target.LAYERS, layers_maximum=config.program_depth)
        wiring.connect(m, wiring.flipped(self.image), loader.i)
        weights, biases = (
            [add_block_ram(m, f"{name}_{unit}", platform, width=32, depth=depth,
                           output_register=registered) for unit in range(count)]
            for name, count, depth, registered in (
                ("weights", units, config.weight_depth, True),
                ("biases", config.columns, config.bias_depth, False)))
        for target, rams in ((Target.WEIGHTS, weights), (Target.BIASES, biases)):
            for unit, ram in enumerate(rams):
                m.d.comb += [
                    ram.write_en.eq(loader.valid & (loader.target == target)
                                    & (loader.unit == unit)),
                    ram.write_addr.eq(loader.addr), ram.write_data.eq(loader.data),
                ]
        words = len(activations.read_addr) - ceil_log2(config.products)
        last_input, last_output, first_output = (
            Signal(words, name=name) for name in ("last_input", "last_output", "first_output"))
        last_lanes = Signal(range(config.products + 1))
        ending = Signal(_LOAD_CYCLES)
        m.d.sync += ending.eq(Cat(loader.busy, ending))
        m.d.comb += [
            self.loading.eq(loader.busy | ending.any()),
            loader.enable.eq(~self.receiving & ~self.waiting & ~self.busy),
            sequencer.load_en.eq(loader.valid & (loader.target == Target.DESCRIPTORS)),
            sequencer.load_addr.eq(loader.addr), sequencer.load_data.eq(loader.data),
            sequencer.load_layers.eq(loader.valid & (loader.target == Target.LAYERS)),
        ]
        with m.If(loader.valid & (loader.target == Target.ENDS)):
            with m.Switch(loader.addr):
                for number, signal in enumerate((last_input, last_output, first_output,
                                                 last_lanes)):
                    with m.Case(number):
                        m.d.sync += signal.eq(loader.data)
        with m.If(loader.begun | (loader.error != ErrorCode.NONE)):
            m.d.sync += self.loaded.eq(0)
        with m.Elif(sequencer.load_layers):
            m.d.sync += self.loaded.eq(1)

        # Input: as many beats as there are, or it is refused.
        refused = Signal(4)
        beat = Signal(words)
        accepted, dropping, complete = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(sequencer.receiving & self.loaded & ~self.loading),
            accepted.eq(self.i.valid & self.i.ready),
            complete.eq(accepted & self.i.payload.last & ~dropping & (beat == last_input)),
            sequencer.received.eq(complete),
            self.waiting.eq(sequencer.waiting),
            self.busy.eq(~sequencer.receiving & ~sequencer.waiting),
        ]
        with m.If(accepted):
            m.d.sync += [beat.eq(beat + 1), self.receiving.eq(~self.i.payload.last)]
            with m.If(~self.i.payload.last & (beat == last_input)):
                m.d.sync += dropping.eq(1)
            with m.If(self.i.payload.last):
                m.d.sync += [beat.eq(0), dropping.eq(0)]
                with m.If(~complete):
                    m.d.comb += refused.eq(
                        Mux(dropping, ErrorCode.INPUT_LONG, ErrorCode.INPUT_SHORT))
        with m.If(self.clear_error | (self.error == ErrorCode.NONE)):
            m.d.sync += self.error.eq(loader.error | refused)
        taken = Signal()
        m.d.comb += [
            taken.eq(accepted & ~dropping),
            activations.write_addr.eq(Mux(
                taken, Cat(Const(0, ceil_log2(config.products)), beat), drain.write_addr)),
            activations.write_mask.eq(Mux(taken, -1, drain.write_mask)),
            activations.write_row.as_value().eq(
                Mux(taken, self.i.payload.data, drain.write_row.as_value())),
        ]

        # Output: a beat is read only if there will be room for it.
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(
            width=_WIDTH * config.products + 1, depth=_OUTPUT_DEPTH)
        place, left = Signal(words), Signal(words)
        reading, sent = Signal(), Signal()
        room = Signal(range(_OUTPUT_DEPTH + 1), init=_OUTPUT_DEPTH)
        read, final = Signal(), Signal()
        numbers = config.products
        m.d.comb += [
            read.eq(sequencer.sending & reading & (room != 0)), final.eq(left == 0),
            activations.read_addr.eq(Mux(sequencer.sending, Cat(
                Const(0, ceil_log2(numbers)), place), reader.read_addr)),
            activations.read_mask.eq(Mux(sequencer.sending, Mux(
                final, Cat(last_lanes > lane for lane in range(numbers)), (1 << numbers) - 1),
                reader.read_mask)),
            queue.w_en.eq(delayed(m, read, READ_LATENCY, "read")),
            queue.w_data.eq(Cat(activations.row.as_value(),
                                delayed(m, final, READ_LATENCY, "final", reset_less=True))),
            Cat(self.o.payload.data, self.o.payload.last).eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy), queue.r_en.eq(self.o.valid & self.o.ready),
            sent.eq(self.o.valid & self.o.ready), sequencer.sent.eq(sent & self.o.payload.last),
        ]
        m.d.sync += room.eq(room + sent - read)
        with m.If(read):
            m.d.sync += [place.eq(place + 1), left.eq(left - 1), reading.eq(~final)]
        with m.If(~sequencer.sending):
            m.d.sync += [place.eq(first_output), left.eq(last_output), reading.eq(1)]
        return weights, biases
