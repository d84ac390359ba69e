"""Depthwise unit: windows over single channels, all their products in a cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.rtl.systolic.depthwise_sequencer import DepthwiseSequencer
from eieio.rtl.systolic.depthwise_sums import DepthwiseSums
from eieio.rtl.systolic.depthwise_weights import DepthwiseWeights
from eieio.rtl.systolic.depthwise_window import DepthwiseWindow
from eieio.rtl.systolic.descriptor import DESCRIPTOR
from eieio.rtl.systolic.drain import GroupInterface, GroupSignature
from eieio.rtl.systolic.output_lanes import ACCUMULATOR_WIDTH
from eieio.rtl.winograd.delay import delayed

__all__ = ["Depthwise"]

# Cycles from a group's place to its sums.
_GROUP_LATENCY = 2


class Depthwise(wiring.Component):
    """Computes a layer of windows over single channels, ``depthwise_lanes`` sums a cycle.

    The words of a block of channels come pixel by pixel, a step each; a window is complete with
    its last element. What follows takes fixed times, and nothing ever waits behind a step.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration, with a depthwise unit.
    weight_latency : :class:`int`
        Cycles from a row of weights' address to its weights.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from the turn of a window's last group, in the sequencer, to its place.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer. Held while the layer is computed, and a cycle before.
    start : ``In(1)``
        Begin.
    read_addr, read_last : ``Out``
        Word of activations to read, and whether it is the last one of its pixel.
    word : ``In``
        Its activations, as late as the activation buffer's words.
    row_addr : ``Out``
        Row of weights to read.
    row : ``In(data.ArrayLayout(signed(weight_width), columns))``
        Its weights, as late as the weight buffer's rows.
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
    row_addr: Signal
    row: data.View
    o: GroupInterface
    o_sums: data.View

    def __init__(self, config: SystolicConfig, weight_latency: int) -> None:
        self.config = config
        self.weight_latency = weight_latency
        self._sums = DepthwiseSums(config)
        # A window's first group has its turn a cycle after the step that completes it.
        self._wait = DepthwiseWindow.latency - 1
        self.latency = self._wait + self._sums.latency + 1 - _GROUP_LATENCY
        self.parameters = config, weight_latency
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "read_addr": Out(unsigned(config.address_width)),
            "read_last": Out(1),
            "word": In(unsigned(config.rows * ACTIVATION_BITS)),
            "row_addr": Out(unsigned(ceil_log2(config.weight_depth))),
            "row": In(data.ArrayLayout(signed(config.weight_width), config.columns)),
            "o": Out(GroupSignature(config)),
            "o_sums": Out(data.ArrayLayout(signed(ACCUMULATOR_WIDTH), config.lanes)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.sequencer = sequencer = DepthwiseSequencer(config)
        m.submodules.weights = weights = DepthwiseWeights(config, self.weight_latency)
        m.submodules.window = window = DepthwiseWindow(config)
        m.submodules.sums = sums = self._sums

        wait = self._wait
        m.d.comb += [
            sequencer.descriptor.eq(self.descriptor),
            sequencer.start.eq(self.start),
            sequencer.weights_ready.eq(weights.ready),
            self.read_addr.eq(sequencer.read_addr),
            self.read_last.eq(sequencer.read_last),
            weights.descriptor.eq(self.descriptor),
            weights.start.eq(self.start),
            weights.fetch.eq(sequencer.block_begins & ~sequencer.last_block),
            weights.taken.eq(sequencer.block_begins),
            self.row_addr.eq(weights.row_addr),
            weights.row.eq(self.row),
            window.step.eq(sequencer.step),
            window.column.eq(sequencer.column),
            window.complete.eq(sequencer.complete),
            window.word.eq(self.word),
            window.index.eq(delayed(m, sequencer.index, wait, "index", reset_less=True)),
            window.inside.eq(delayed(m, sequencer.inside, wait, "inside", reset_less=True)),
            weights.index.eq(window.index),
            weights.bank.eq(delayed(m, sequencer.bank, wait, "bank", reset_less=True)),
            sums.i_activations.eq(window.o),
            sums.i_weights.eq(weights.o),
        ]
        # Held while a layer is computed.
        m.d.sync += [
            window.linear.eq((self.descriptor[Field.OPERATION] & Flag.LINEAR).any()),
            window.padding.eq(self.descriptor[Field.QUANTIZATION][:ACTIVATION_BITS]),
        ]

        # A group of sums of a window is added to that of the windows before, if all are added up.
        # Until it is needed again at least a window's steps are taken, which are several.
        total = Signal()
        m.d.sync += total.eq((self.descriptor[Field.OPERATION] & Flag.TOTAL).any())
        later = wait + sums.latency
        lanes, share = config.depthwise_lanes, config.lanes // config.depthwise_lanes
        index = delayed(m, window.index, sums.latency, "sum_index", reset_less=True)
        adding = delayed(m, total & ~sequencer.first, later, "adding", reset_less=True)
        m.submodules.totals = totals = memory.Memory(
            shape=unsigned(lanes * ACCUMULATOR_WIDTH), depth=config.depthwise_groups, init=[],
            attrs={"ram_style": "distributed"})
        before, after = totals.read_port(domain="comb"), totals.write_port()
        wide = Signal(data.ArrayLayout(signed(ACCUMULATOR_WIDTH), lanes), reset_less=True)
        for lane in range(lanes):
            old = before.data.word_select(lane, ACCUMULATOR_WIDTH).as_signed()
            m.d.sync += wide[lane].eq(sums.o[lane] + Mux(adding, old, 0))
        m.d.comb += [
            before.addr.eq(index),
            after.addr.eq(delayed(m, index, 1, "total_index", reset_less=True)),
            after.data.eq(wide.as_value()),
            after.en.eq(delayed(m, sequencer.valid, later + 1, "sum_valid")),
        ]

        # Groups of the output lanes are of one or several of the unit's, which come in turn.
        group: Value = wide.as_value()
        if share > 1:
            earlier = Signal((share - 1) * lanes * ACCUMULATOR_WIDTH, reset_less=True)
            group = Cat(earlier, group)
            m.d.sync += earlier.eq(group[-len(earlier):])
        m.d.comb += self.o_sums.as_value().eq(group)
        for name in self.o.signature.members:
            m.d.comb += getattr(self.o, name).eq(
                delayed(m, getattr(sequencer.o, name), self.latency,
                        f"late_{name}", reset_less=name not in ("valid", "last")))
        return m
