"""Drain: reads finished accumulators, and says where their activations go."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.rtl.systolic.countdown import Countdown
from eieio.rtl.systolic.descriptor import DESCRIPTOR, bits, pair
from eieio.rtl.systolic.pass_counter import PassCounter

__all__ = ["Drain", "GroupInterface", "GroupSignature"]


class GroupInterface(wiring.PureInterface):
    """Interface of :class:`GroupSignature`."""

    valid: Signal
    last: Signal
    addr: Signal
    group: Signal
    parameter_addr: Signal


class GroupSignature(wiring.Signature):
    """What is known of a group of activations before it is computed.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Members
    -------
    valid : ``Out(1)``
        There is a group.
    last : ``Out(1)``
        It is the last one of the layer.
    addr, group : ``Out``
        Word of the activation buffer, and group in it, to write.
    parameter_addr : ``Out``
        Address of its biases and factors.
    """

    def __init__(self, config: SystolicConfig) -> None:
        super().__init__({
            "valid": Out(1),
            "last": Out(1),
            "addr": Out(unsigned(ceil_log2(config.activation_depth))),
            "group": Out(range(config.word_groups)),
            "parameter_addr": Out(unsigned(ceil_log2(config.parameter_depth))),
        })

    def create(self, *, path: tuple[str | int, ...] = (), src_loc_at: int = 0) -> GroupInterface:
        """Create an interface."""
        return GroupInterface(self, path=path, src_loc_at=1 + src_loc_at)


class Drain(wiring.Component):
    """Steps through the accumulators of each pass, a group of ``lanes`` columns a cycle.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer. Held while the layer is computed.
    start : ``In(1)``
        Begin a layer.
    enable : ``In(1)``
        The layer's accumulators are results as they are.
    pass_done : ``In(1)``
        A pass can be read from the next cycle on.
    bank_released : ``Out(1)``
        The last accumulators of a pass are being read.
    read_bank, read_addr : ``Out``
        Accumulators to read.
    read_group : ``Out``
        Group of columns to take of them; comes with ``o``.
    o : ``Out(GroupSignature(config))``
        Group of activations, one cycle after its read. ``last`` is that of the layer.
    """

    descriptor: data.View
    start: Signal
    enable: Signal
    pass_done: Signal
    bank_released: Signal
    read_bank: Signal
    read_addr: Signal
    read_group: Signal
    o: GroupInterface

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "enable": In(1),
            "pass_done": In(1),
            "bank_released": Out(1),
            "read_bank": Out(1),
            "read_addr": Out(unsigned(ceil_log2(config.accumulator_depth))),
            "read_group": Out(range(config.column_groups)),
            "o": Out(GroupSignature(config)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        descriptor = self.descriptor
        addr_width = len(self.o.addr)
        step, last_groups = pair(descriptor, Field.DESTINATION_STEP)
        destination = bits(descriptor, Field.DESTINATION, addr_width)
        parameters = bits(descriptor, Field.PARAMETERS, len(self.o.parameter_addr))
        m.submodules.passes = passes = PassCounter()
        m.d.comb += [passes.descriptor.eq(descriptor), passes.start.eq(self.start)]
        all_groups, groups = (Signal(range(config.column_groups + 1), name=name)
                              for name in ("all_groups", "groups"))
        m.d.sync += [
            all_groups.eq(Mux((descriptor[Field.OPERATION] & Flag.CHANNELWISE).any(),
                              config.channelwise_columns // config.lanes, config.column_groups)),
            groups.eq(Mux(passes.output_last, last_groups, all_groups)),
        ]

        # Group of columns, window, pass.
        pending = Signal(2)
        running = Signal()
        starts = Signal()
        column_group, window = Signal.like(self.read_group), Signal.like(self.read_addr)
        group_left = Countdown(len(groups), "group")
        window_left = Countdown(bits_for(config.accumulator_depth), "window")
        windows = passes.windows[:len(window_left.left)]
        group_last = group_left.last
        pass_last = Signal()
        idle = Signal()  # For a second cycle, in which it is known what the next pass is.
        m.d.comb += [
            starts.eq(~running & idle & (pending != 0)),
            passes.step.eq(pass_last),
            self.bank_released.eq(pass_last),
            self.read_addr.eq(window),
        ]
        m.d.sync += [
            pending.eq(pending + (self.pass_done & self.enable) - pass_last),
            idle.eq(~running),
        ]
        with m.If(~running):
            m.d.sync += [
                running.eq(starts),
                pass_last.eq(starts & (groups == 1) & (windows == 1)),
                *group_left.load(groups),
                *window_left.load(windows),
            ]
        with m.Else():
            m.d.sync += [
                running.eq(~pass_last),
                pass_last.eq(Mux(group_last, (groups == 1) & (window_left.left == 2),
                                 (group_left.left == 2) & window_left.last)),
                *group_left.step(),
                column_group.eq(column_group + 1),
            ]
            with m.If(group_last):
                m.d.sync += [
                    *group_left.load(groups),
                    *window_left.step(),
                    column_group.eq(0),
                    window.eq(window + 1),
                ]
            with m.If(pass_last):
                m.d.sync += [window.eq(0), self.read_bank.eq(~self.read_bank)]

        # Where it goes: the pixel, the word and the group of it; where the pass began, and where it
        # is at the end of a pixel.
        pixel, first_pixel = Signal(addr_width), Signal(addr_width)
        word, first_word = Signal(addr_width), Signal(addr_width)
        place, first_place = Signal.like(self.o.group), Signal.like(self.o.group)
        parameter = Signal.like(self.o.parameter_addr)
        first_parameter = Signal.like(parameter)
        next_word, next_place = Signal.like(word), Signal.like(place)
        end_word, end_place = Signal.like(word), Signal.like(place)
        end_parameter = Signal.like(parameter)
        m.d.comb += [next_word.eq(word), next_place.eq(place + 1)]
        with m.If(place == config.word_groups - 1):
            m.d.comb += [next_word.eq(word + 1), next_place.eq(0)]
        ended, output_ended = Signal(), Signal()  # In the cycle before.
        m.d.sync += [ended.eq(pass_last | self.start),
                     output_ended.eq(passes.output_last | self.start)]
        with m.If(running):
            m.d.sync += [word.eq(next_word), place.eq(next_place), parameter.eq(parameter + 1)]
            with m.If(group_last):
                m.d.sync += [
                    pixel.eq(pixel + step),
                    word.eq(first_word),
                    place.eq(first_place),
                    parameter.eq(first_parameter),
                    end_word.eq(next_word),
                    end_place.eq(next_place),
                    end_parameter.eq(parameter + 1),
                ]
        with m.If(ended):
            with m.If(output_ended):
                m.d.sync += [
                    first_pixel.eq(pixel),
                    *(signal.eq(0) for signal in (word, first_word, place, first_place)),
                    *(signal.eq(parameters) for signal in (parameter, first_parameter)),
                ]
            with m.Else():
                m.d.sync += [
                    pixel.eq(first_pixel),
                    *(signal.eq(end_word) for signal in (word, first_word)),
                    *(signal.eq(end_place) for signal in (place, first_place)),
                    *(signal.eq(end_parameter) for signal in (parameter, first_parameter)),
                ]
        with m.If(self.start):
            m.d.sync += [self.read_bank.eq(0), pixel.eq(destination)]
        m.d.sync += [
            self.o.valid.eq(running),
            self.o.last.eq(pass_last & passes.last),
            self.o.addr.eq(pixel + word),
            self.o.group.eq(place),
            self.o.parameter_addr.eq(parameter),
            self.read_group.eq(column_group),
        ]
        return m
