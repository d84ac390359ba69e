"""Residual addition: two tensors of the activation buffer, each rescaled."""

from amaranth.hdl import Array, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.graph.quantized_graph import ADD_LEFT_SHIFT
from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.program import Field
from eieio.rtl.emit import shared
from eieio.rtl.requantize import Requantize
from eieio.rtl.systolic.activation_buffer import ActivationBuffer
from eieio.rtl.systolic.descriptor import DESCRIPTOR, bits, last_word
from eieio.rtl.systolic.drain import GroupInterface, GroupSignature
from eieio.rtl.systolic.output_lanes import ACCUMULATOR_WIDTH
from eieio.rtl.winograd.delay import delayed

__all__ = ["Residual"]

# Bits of an operand without its zero point and shifted, and no fewer than its rescaled number has.
_WIDTH = ACTIVATION_BITS + 1 + ADD_LEFT_SHIFT


class Residual(wiring.Component):
    """Reads two tensors word by word, and adds them in groups of ``lanes``.

    Both are shifted and rescaled as :class:`eieio.model.graph.quantized_graph.Add` says; the
    sums are those that the output lanes rescale.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer. Held while the layer is computed.
    start : ``In(1)``
        Begin.
    read_addr, read_last : ``Out``
        Word to read, and whether it is the last one of its pixel.
    word : ``In``
        Its activations, two cycles later.
    o : ``Out(GroupSignature(config))``
        Group of activations. ``last`` is that of the layer.
    o_sums : ``Out(data.ArrayLayout(signed(32), lanes))``
        Its sums, two cycles later.
    """

    descriptor: data.View
    start: Signal
    read_addr: Signal
    read_last: Signal
    word: Signal
    o: GroupInterface
    o_sums: data.View

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        logic = config.requantize_multipliers == "lut"
        self._rescale = [(_Rescale(logic=logic), _Rescale(logic=logic))
                         for _ in range(config.lanes)]
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "read_addr": Out(unsigned(config.address_width)),
            "read_last": Out(1),
            "word": In(unsigned(config.rows * ACTIVATION_BITS)),
            "o": Out(GroupSignature(config)),
            "o_sums": Out(data.ArrayLayout(signed(ACCUMULATOR_WIDTH), config.lanes)),
        })

    def elaborate(self, platform: object) -> Module:
        assert ActivationBuffer.latency == 2, "Operands are taken from the buffer in fixed cycles"
        m = Module()
        config = self.config
        descriptor = self.descriptor
        group_width = config.lanes * ACTIVATION_BITS
        period = max(2, config.word_groups)

        # Read a word of each tensor in turn, every `period` cycles.
        running = Signal()
        words_left, phase = Signal(32), Signal(range(period))
        first, second = Signal.like(self.read_addr), Signal.like(self.read_addr)
        destination = Signal.like(self.o.addr)
        phase_last = Signal()
        pixel_word = Signal.like(self.read_addr)  # which of its pixel's the word is
        m.d.comb += [
            self.read_last.eq(pixel_word == last_word(descriptor)[:len(pixel_word)]),
            phase_last.eq(phase == period - 1),
            self.read_addr.eq(Mux(phase == 0, first, second)),
        ]
        with m.If(running):
            m.d.sync += phase.eq(phase + 1)
            with m.If(phase_last):
                m.d.sync += [
                    phase.eq(0),
                    first.eq(first + 1),
                    second.eq(second + 1),
                    destination.eq(destination + 1),
                    pixel_word.eq(Mux(self.read_last, 0, pixel_word + 1)),
                    words_left.eq(words_left - 1),
                    running.eq(words_left != 1),
                ]
        with m.If(self.start):
            m.d.sync += [
                running.eq(1),
                phase.eq(0),
                pixel_word.eq(0),
                first.eq(bits(descriptor, Field.SOURCE, len(first))),
                second.eq(bits(descriptor, Field.SECOND_SOURCE, len(second))),
                destination.eq(bits(descriptor, Field.DESTINATION, len(destination))),
                words_left.eq(bits(descriptor, Field.WINDOWS)),
            ]

        # Both words are there four cycles after the first was read, and are taken by group.
        arrived = Signal(4)
        m.d.sync += arrived.eq((arrived << 1) | (running & (phase == 0)))
        waiting = Signal.like(self.word)
        operands = [Signal.like(self.word, name=f"operand_{number}") for number in range(2)]
        addrs = [destination]
        lasts = [words_left == 1]
        for stage in range(4):
            addr = Signal.like(destination, name=f"addr_{stage}")
            last = Signal(name=f"last_{stage}")
            m.d.sync += [addr.eq(addrs[-1]), last.eq(lasts[-1])]
            addrs.append(addr)
            lasts.append(last)
        taken_addr, taken_last = Signal.like(destination), Signal()
        group = Signal(range(config.word_groups))
        grouping = Signal()
        with m.If(arrived[1]):
            m.d.sync += waiting.eq(self.word)
        m.d.sync += group.eq(group + 1)
        with m.If(arrived[2]):
            m.d.sync += [
                operands[0].eq(waiting),
                operands[1].eq(self.word),
                taken_addr.eq(addrs[3]),
                taken_last.eq(lasts[3]),
                group.eq(0),
                grouping.eq(1),
            ]
        with m.Elif(group == config.word_groups - 1):
            m.d.sync += grouping.eq(0)
        m.d.comb += self.o.parameter_addr.eq(
            bits(descriptor, Field.PARAMETERS, len(self.o.parameter_addr)))
        # As late as two cycles before the sums.
        delay = self._rescale[0][0].latency
        for output, value in (
                (self.o.valid, grouping), (self.o.addr, taken_addr), (self.o.group, group),
                (self.o.last, grouping & taken_last & (group == config.word_groups - 1))):
            m.d.comb += output.eq(delayed(m, value, delay, f"late_{output.name}"))

        # Rescale and add.
        shifts = (descriptor[Field.ADD_OPERANDS][0:6], descriptor[Field.ADD_OPERANDS][8:14])
        zero_points = (descriptor[Field.ADD_OPERANDS][16:24].as_signed(),
                       descriptor[Field.ADD_OPERANDS][24:32].as_signed())
        multipliers = (bits(descriptor, Field.FIRST_MULTIPLIER, 31),
                       bits(descriptor, Field.SECOND_MULTIPLIER, 31))
        limit = 1 << (_WIDTH - 1)
        chosen = [Array(operand.word_select(number, group_width)
                        for number in range(config.word_groups))[group] for operand in operands]
        for lane, rescales in enumerate(self._rescale):
            scaled = []
            for number, rescale in enumerate(rescales):
                m.submodules[f"rescale_{lane}_{number}"] = shared(rescale, platform)
                activation = chosen[number].word_select(lane, ACTIVATION_BITS).as_signed()
                centred = Signal(signed(ACTIVATION_BITS + 1), name=f"centred_{lane}_{number}",
                                 reset_less=True)
                m.d.sync += centred.eq(activation - zero_points[number])
                m.d.comb += [
                    rescale.acc.eq(centred.shift_left(ADD_LEFT_SHIFT)),
                    rescale.multiplier.eq(multipliers[number]),
                    rescale.shift.eq(shifts[number]),
                    rescale.single_rounding.eq(Const(0)),
                    rescale.zero_point.eq(Const(0)),
                    rescale.minimum.eq(-limit),
                    rescale.maximum.eq(limit - 1),
                ]
                scaled.append(rescale.output)
            total = Signal(signed(ACCUMULATOR_WIDTH), name=f"total_{lane}", reset_less=True)
            m.d.sync += total.eq(scaled[0] + scaled[1])
            m.d.comb += self.o_sums[lane].eq(total)
        return m


class _Rescale(Requantize):
    module_name = "residual_rescale"

    def __init__(self, *, logic: bool) -> None:
        super().__init__(accumulator_width=_WIDTH, output_width=_WIDTH, logic=logic)
