"""Sparse engine: runs the layers of a compressed network back to back."""

from functools import reduce
from operator import and_, or_
from typing import Any, cast

from amaranth.hdl import (
    Array,
    Cat,
    ClockDomain,
    ClockSignal,
    Const,
    DomainRenamer,
    Module,
    Mux,
    ResetSignal,
    Signal,
    Value,
    unsigned,
)
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.registers import ErrorCode
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.image_layout import Target
from eieio.rtl.emit import shared
from eieio.rtl.population_count import PopulationCount
from eieio.rtl.sparse.activation_bank import ActivationBank
from eieio.rtl.sparse.broadcast import Broadcast
from eieio.rtl.sparse.group_switch import GroupSwitch
from eieio.rtl.sparse.image_loader import image_loader
from eieio.rtl.sparse.output_lane import OutputLane
from eieio.rtl.sparse.partial_sum import PartialSum
from eieio.rtl.sparse.pe import ProcessingElement
from eieio.rtl.sparse.sequencer import Sequencer
from eieio.rtl.sparse.stream_adapter import InputPacker, OutputUnpacker, beat_signature
from eieio.rtl.vendor.register_copies import add_register_copies

__all__ = ["NEAR_PES", "SparseEngine", "engine_signature"]

# PEs that are driven from one register, close to them: no net of more loads crosses the engine.
NEAR_PES = 4

# Cycles from an image's last register on its way to the PEs: into their memories and the
# sequencer's, out of the latter, and to what the sequencer and the packer make of a descriptor.
_LOAD_LATENCY = 6


def engine_signature(config: SparseConfig) -> wiring.Signature:
    """Signature of a :class:`SparseEngine`."""
    return wiring.Signature({
        "image": In(stream.Signature(data.StructLayout({"data": 32, "last": 1}))),
        "i": In(beat_signature(config)),
        "o": Out(beat_signature(config)),
        "run": In(1),
        "receiving": Out(1),
        "waiting": Out(1),
        "begun": Out(1),
        "busy": Out(1),
        "error": Out(unsigned(4)),
        "clear_error": In(1),
        "cycles": Out(unsigned(32)),
        "blocked_cycles": Out(unsigned(32)),
        "macs": Out(unsigned(48)),
        "loading": Out(1),
        "loaded": Out(1),
        "running_cycles": Out(unsigned(32)),
        "running_macs": Out(unsigned(48)),
        "layer_done": Out(1),
        "word_valid": Out(1),
        "word_layer": Out(unsigned(max(1, ceil_log2(config.layer_depth)))),
        "word_addr": Out(unsigned(ceil_log2(config.activation_depth))),
        "word_data": Out(unsigned(config.pes * config.activation_width)),
    })


class SparseEngine(wiring.Component):
    """Takes an image once, then an input vector at a time, and returns an output vector for each.

    An inference begins when its whole input has arrived and ``run`` is 1, and runs all layers of
    the image without the host in between. If it is ``double_buffered``, the next input is taken and
    the output before sent meanwhile, and the next inference begins when both are done; if it is
    ``interleaved``, when the one before the last and the output before that are done. Otherwise
    input, inference and output follow one another. An image may be loaded whenever no inference is
    under way, and replaces the one before.

    Source: Han et al., "EIE: Efficient Inference Engine on Compressed Deep Neural Network",
    ISCA 2016; the differences are in ``docs/architecture.md``.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration.

    Members
    -------
    image : ``In(stream)``
        ``data`` (32 bits) and ``last``; see :mod:`eieio.model.sparse.image_layout`.
    i : ``In(stream)``
        ``data`` (``io_lanes`` activations, the first in the lowest bits) and ``last``. What the
        last beat has beyond the input does not matter.
    o : ``Out(stream)``
        ``data`` (``io_lanes`` activations, the first in the lowest bits) and ``last``. What the
        last beat has beyond the output is no part of it.
    run : ``In(1)``
        Begin an inference as soon as there is an input.
    receiving : ``Out(1)``
        An input has begun, and neither is it complete nor does ``error`` show that it was refused.
        From the cycle after its first beat on, without a gap.
    waiting : ``Out(1)``
        An input is complete, and its inference has not begun.
    begun : ``Out(1)``
        An inference began in the cycle before.
    busy : ``Out(1)``
        An inference is under way or an output is being sent.
    error : ``Out(ErrorCode)``
        First error since reset or ``clear_error``.
    clear_error : ``In(1)``
        Return ``error`` to ``NONE``, unless something is refused in this cycle.
    cycles : ``Out(32)``
        Cycles of the inference, from the one in which it began to the one in which the last
        requantized activation was written. This and the next two are of the inference whose output
        is or was sent last; they change 3 cycles before an output is offered.
    blocked_cycles : ``Out(32)``
        Cycles in which a column waited for room in a queue, summed over column groups.
    macs : ``Out(48)``
        Multiplications of the inference, without fillers.
    loading : ``Out(1)``
        A word of an image has been taken, and ``loaded`` and ``error`` do not show yet what came of
        it. From the cycle after the word on, without a gap.
    loaded : ``Out(1)``
        A whole image has been taken, it has layers to run, and nothing of it was refused.
    running_cycles, running_macs : ``Out``
        Monitor: cycles and multiplications of the inference under way whose words are written, or
        were last.
    layer_done : ``Out(1)``
        A layer's last activations are being written.
    word_valid, word_layer, word_addr, word_data : ``Out``
        Monitor: a word of ``pes`` requantized activations is being written.
    """

    image: stream.Interface
    i: stream.Interface
    o: stream.Interface
    run: Signal
    receiving: Signal
    waiting: Signal
    begun: Signal
    busy: Signal
    error: Signal
    clear_error: Signal
    cycles: Signal
    blocked_cycles: Signal
    macs: Signal
    loading: Signal
    loaded: Signal
    running_cycles: Signal
    running_macs: Signal
    layer_done: Signal
    word_valid: Signal
    word_layer: Signal
    word_addr: Signal
    word_data: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = self.parameters = config
        super().__init__(engine_signature(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        groups = config.column_groups
        levels = ceil_log2(groups)
        width = config.activation_width

        banks = [ActivationBank(config) for _ in range(groups)]
        broadcasts = [Broadcast(config) for _ in range(groups)]
        pes = [ProcessingElement(config) for _ in range(config.pes)]
        partial_sums = [PartialSum(config) for _ in range(config.pes // groups if levels else 0)]
        lanes = [OutputLane(config) for _ in range(config.output_lanes)]
        for name, components in (("bank", banks), ("broadcast", broadcasts),
                                 ("partial_sum", partial_sums), ("lane", lanes)):
            for number, component in enumerate(components):
                m.submodules[f"{name}_{number}"] = shared(component, platform)
        # The PEs are reset two cycles late: after the last that a broadcast may send them, and
        # before their accumulators are cleared.
        reset = Signal(reset_less=True)
        m.d.sync += reset.eq(ResetSignal())
        chunks = range(-(-config.pes // NEAR_PES))
        for chunk, near in enumerate(
                add_register_copies(m, "reset", platform, reset, len(chunks))):
            domain = f"pes_{chunk}"
            m.domains += ClockDomain(domain, local=True)
            m.d.comb += [ClockSignal(domain).eq(ClockSignal()), ResetSignal(domain).eq(near)]
            for number in range(chunk * NEAR_PES, config.pes)[:NEAR_PES]:
                m.submodules[f"pe_{number}"] = DomainRenamer(domain)(
                    cast(Any, shared(pes[number], platform)))
        m.submodules.switch = switch = GroupSwitch(config)
        m.submodules.loader = loader = image_loader(config)
        m.submodules.packer = packer = InputPacker(config)
        m.submodules.unpacker = unpacker = OutputUnpacker(config)
        write_latency = 2 + levels + lanes[0].latency
        m.submodules.sequencer = sequencer = Sequencer(config, write_latency=write_latency)

        # Streams, and what they may do when.
        wiring.connect(m, wiring.flipped(self.image), loader.i)
        wiring.connect(m, wiring.flipped(self.i), packer.i)
        wiring.connect(m, unpacker.o, wiring.flipped(self.o))
        with m.If(packer.done):
            m.d.sync += self.waiting.eq(1)
        with m.Elif(sequencer.begin & sequencer.free):
            m.d.sync += self.waiting.eq(0)
        # Between two vectors or images, an image that waits goes first, but not into an inference.
        open_ = Signal()
        idle = Signal()
        image_first = Signal()
        sent = Signal()
        # A new image needs some cycles until it has arrived everywhere, and its descriptors can be
        # read.
        arrives = Signal()
        arriving = Signal(len(chunks) + _LOAD_LATENCY)
        arriving_somewhere = Signal()
        m.d.comb += arrives.eq(loader.begun | loader.busy | loader.valid)
        m.d.sync += [
            arriving.eq(Cat(arrives, arriving)),
            arriving_somewhere.eq(arrives | arriving.any()),
        ]
        with m.If(~(packer.busy | loader.begun | loader.busy | (self.i.valid & self.i.ready)
                    | (self.image.valid & self.image.ready))):
            m.d.sync += image_first.eq(self.image.valid)
        usable = Signal()
        m.d.sync += [
            open_.eq(~self.waiting & ~packer.done
                     & (1 if config.double_buffered else sequencer.free & sent)),
            idle.eq(sequencer.idle & ~self.waiting & ~packer.done & sent),
            usable.eq(sequencer.loaded & ~arriving.any() & ~sequencer.clearing),
        ]
        m.d.comb += [
            # What an image left in accumulators that it never drained does not outlive it.
            sequencer.clear.eq(idle & image_first),
            loader.enable.eq(idle & image_first & sequencer.clean),
            packer.enable.eq(open_ & ~image_first & usable),
            packer.beats.eq(sequencer.input_beats),
            packer.padding.eq(sequencer.input_padding),
            sequencer.begin.eq(self.waiting & self.run),
            unpacker.beats.eq(sequencer.output_beats),
            sent.eq(~(unpacker.start | unpacker.busy)),
            sequencer.sent.eq(sent),
            self.receiving.eq(packer.busy),
            self.busy.eq(~(sequencer.idle & sent)),
            self.running_cycles.eq(sequencer.cycles),
            self.loading.eq(loader.busy | arriving_somewhere),
            self.loaded.eq(usable),
        ]

        m.d.sync += unpacker.start.eq(sequencer.done)

        # Loading. From a few PEs to the next few an image goes through registers: a net to all of
        # them would be the longest of the engine.
        load = data.View(_load_layout(config), Cat(
            loader.valid, loader.target, loader.unit[:ceil_log2(config.pes)], loader.addr,
            loader.data))
        for first in range(0, config.pes, NEAR_PES):
            following = Signal(_load_layout(config), name=f"load_{first}")
            m.d.sync += following.eq(load)
            for number in range(first, min(first + NEAR_PES, config.pes)):
                pe = pes[number]
                # The loader has seen to it that there is such a unit.
                mine = load.valid & (load.unit == number)
                m.d.comb += [
                    pe.load_addr.eq(following.addr),
                    pe.load_data.eq(following.data),
                ]
                m.d.sync += [
                    pe.load_entries.eq(mine & (load.target == Target.ENTRIES)),
                    pe.load_pointers.eq(mine & (load.target == Target.POINTERS)),
                    pe.load_codebook.eq(load.valid & (load.target == Target.CODEBOOK)),
                ]
                lane_number, turn = config.output_lane(number)
                if turn == config.pes_per_lane - 1:
                    # Here come the loads of all its PEs, one after the other.
                    turns = [load.valid & (load.unit == number - before * groups)
                             for before in reversed(range(config.pes_per_lane))]
                    _load_lane(m, lanes[lane_number], turns, load, following)
            if first == 0:
                m.d.comb += [
                    sequencer.load_addr.eq(following.addr),
                    sequencer.load_data.eq(following.data),
                ]
            load = following
        m.d.sync += [
            sequencer.load_descriptor.eq(loader.valid & (loader.target == Target.DESCRIPTORS)),
            sequencer.load_layers.eq(loader.valid & (loader.target == Target.LAYERS)),
            # What is left of the image before, and half of a refused one, must not run.
            sequencer.unload.eq(loader.begun | (loader.error != ErrorCode.NONE)),
        ]

        # Broadcast.
        m.d.comb += switch.group_bits.eq(sequencer.group_bits)
        for c, (bank, broadcast) in enumerate(zip(banks, broadcasts, strict=True)):
            ready = Signal(3, name=f"ready_{c}")
            m.d.sync += ready.eq(reduce(and_, (pe.ready for pe in pes[c::groups])))
            m.d.comb += [
                bank.start.eq(sequencer.start),
                bank.step.eq(switch.bank_step[c]),
                bank.take.eq(switch.bank_take[c]),
                bank.read_side.eq(sequencer.read_side),
                bank.read_buffer.eq(sequencer.source),
                switch.bank_found[c].eq(bank.found),
                switch.bank_several[c].eq(bank.several),
                switch.bank_lane[c].eq(bank.lane),
                switch.bank_activation[c].eq(bank.activation),
                switch.pe_ready[c].eq(ready),
                broadcast.start.eq(sequencer.start & (c < 1 << sequencer.group_bits)),
                broadcast.words.eq(sequencer.words),
                broadcast.pointer_base.eq(sequencer.pointer_base),
                broadcast.word_columns.eq(sequencer.word_columns),
                broadcast.found.eq(switch.found[c]),
                broadcast.several.eq(switch.several[c]),
                broadcast.offset.eq(switch.offset[c]),
                broadcast.activation.eq(switch.activation[c]),
                switch.take[c].eq(broadcast.take),
                switch.step[c].eq(broadcast.step),
                broadcast.ready.eq(switch.ready[c]),
            ]
        layout = _column_layout(config)
        for c in range(groups):
            index = Signal(broadcasts[c].column_index.shape(), name=f"index_{c}")
            column = Signal(layout, name=f"column_{c}")
            # Not chosen but masked: with no descriptor loaded, a choice would be undefined in a
            # four-state simulation, and so would the PEs be for ever.
            for group_bits in range(levels + 1):
                broadcast = broadcasts[c % (1 << group_bits)]
                with m.If(sequencer.group_bits == group_bits):
                    m.d.comb += [
                        column.valid.eq(broadcast.column_valid),
                        index.eq(broadcast.column_index),
                        column.fire.eq(broadcast.fire),
                        column.activation.eq(broadcast.fire_activation),
                    ]
            m.d.comb += [
                column.even_addr.eq((index + 1) >> 1),
                column.odd_addr.eq(index >> 1),
                column.odd.eq(index[0]),
                *([column.tag.eq(sequencer.tag)] if config.interleaved else []),
            ]
            mine = pes[c::groups]
            for copy, register in enumerate(add_register_copies(
                    m, f"pe_column_{c}", platform, column.as_value(),
                    -(-len(mine) // NEAR_PES))):
                near = data.View(layout, register)
                for pe in mine[copy * NEAR_PES:][:NEAR_PES]:
                    m.d.comb += [
                        pe.column_valid.eq(near.valid),
                        pe.column_even_addr.eq(near.even_addr),
                        pe.column_odd_addr.eq(near.odd_addr),
                        pe.column_odd.eq(near.odd),
                        pe.fire.eq(near.fire),
                        pe.fire_activation.eq(near.activation),
                        *([pe.tag.eq(near.tag)] if config.interleaved else []),
                    ]
        m.d.comb += [
            sequencer.decoded.eq(Cat(pe.idle for pe in pes).all()),
            sequencer.broadcasting.eq(Cat(broadcast.busy for broadcast in broadcasts).any()),
        ]

        # Counters of each inference under way.
        begun = Signal(config.contexts)
        m.d.sync += [
            self.begun.eq(sequencer.begin & sequencer.free),
            begun.eq((sequencer.begin & sequencer.free) << sequencer.entry),
        ]
        blocked = sum((broadcast.blocked for broadcast in broadcasts), Const(0))
        products = [PopulationCount(config.pes) for _ in range(config.contexts)]
        # The last products are counted before the output is offered.
        assert products[0].latency < write_latency
        running_blocked, running_macs = (
            [Signal.like(like, name=f"{like.name}_{context}") for context in range(config.contexts)]
            for like in (self.blocked_cycles, self.macs))
        for context, count in enumerate(products):
            m.submodules[f"products_{context}"] = count
            m.d.comb += count.i.eq(Cat(pe.multiplies[context] for pe in pes))
            with m.If(begun[context]):
                m.d.sync += [running_blocked[context].eq(0), running_macs[context].eq(0)]
            with m.Else():
                m.d.sync += running_macs[context].eq(running_macs[context] + count.o)
                with m.If(sequencer.context == context):
                    m.d.sync += running_blocked[context].eq(running_blocked[context] + blocked)
        m.d.comb += self.running_macs.eq(Array(running_macs)[sequencer.drain_context])
        # The next inference may begin when an output is handed over, and not earlier.
        with m.If(unpacker.start):
            m.d.sync += [
                self.cycles.eq(self.running_cycles),
                self.blocked_cycles.eq(Array(running_blocked)[sequencer.drain_context]),
                self.macs.eq(self.running_macs),
            ]

        # Drain. What holds during a layer arrives a cycle later than the layer begins.
        first_bank = Signal.like(sequencer.first_bank)
        near_first_bank = Signal.like(sequencer.first_bank)
        m.d.sync += [near_first_bank.eq(sequencer.first_bank), first_bank.eq(near_first_bank)]
        bias_addr = sequencer.drain_bias_addr
        for stage in range(levels):
            delayed = Signal.like(bias_addr, name=f"bias_addr_{stage}")
            m.d.sync += delayed.eq(bias_addr)
            bias_addr = delayed
        layout = _drain_layout(config)
        drain = Signal(layout)
        # What goes to a PE's accumulators within the cycle has a register for each PE.
        drain_addrs = add_register_copies(m, "pe_drain_addr", platform, sequencer.drain_addr,
                                          config.pes)
        drain_banks = [
            add_register_copies(m, f"pe_drain_banks_{turn}" if config.pes_per_lane > 1
                                else "pe_drain_banks", platform,
                                sequencer.drain_banks.word_select(
                                    turn, groups * config.contexts),
                                config.output_lanes)
            for turn in range(config.pes_per_lane)]
        m.d.comb += [
            drain.bias_addr.eq(bias_addr),
            drain.layer.eq(Cat(sequencer.layer)),
            *([drain.watched.eq(sequencer.watched)] if config.interleaved else []),
            *(() if config.per_channel else [drain.multiplier.eq(sequencer.multiplier)]),
            drain.single_rounding.eq(sequencer.single_rounding),
            *(() if config.per_channel else [drain.shift.eq(sequencer.shift)]),
            drain.minimum.eq(sequencer.minimum),
            drain.maximum.eq(sequencer.maximum),
        ]
        drains = [data.View(layout, register) for register in add_register_copies(
            m, "pe_drain", platform, drain.as_value(), len(chunks))]
        sums: list[list[Value]] = [[] for _ in lanes]
        for number, (pe, drain_addr) in enumerate(zip(pes, drain_addrs, strict=True)):
            near = drains[number // NEAR_PES]
            lane_number, turn = config.output_lane(number)
            lane = lanes[lane_number]
            m.d.comb += [
                pe.layer.eq(near.layer),
                *([pe.watched.eq(near.watched)] if config.interleaved else []),
                pe.drain.eq(drain_banks[turn][lane_number]),
                pe.drain_addr.eq(drain_addr),
            ]
            if levels:
                partial_sum = partial_sums[number // groups]
                m.d.comb += partial_sum.banks[number % groups].eq(pe.sums)
                sums[lane_number].append(partial_sum.sums[number % groups])
            else:
                sums[lane_number].append(pe.sums[0])
            if turn:
                continue
            m.d.comb += [
                lane.bias_addr.eq(near.bias_addr),
                *(() if config.per_channel else [lane.multiplier.eq(near.multiplier)]),
                lane.single_rounding.eq(near.single_rounding),
                *(() if config.per_channel else [lane.shift.eq(near.shift)]),
                lane.minimum.eq(near.minimum),
                lane.maximum.eq(near.maximum),
            ]
        # Whose turn it is follows the sums.
        turn = sequencer.drain_bias_addr[:ceil_log2(config.pes_per_lane)]
        for stage in range(2 + levels):
            delayed = Signal.like(turn, name=f"turn_{stage}")
            m.d.sync += delayed.eq(turn)
            turn = delayed
        for lane, shared_sums in zip(lanes, sums, strict=True):
            m.d.comb += lane.sum.eq(Array(shared_sums)[turn] if len(shared_sums) > 1
                                    else shared_sums[0])
        for partial_sum in partial_sums:
            m.d.comb += [
                partial_sum.group_bits.eq(sequencer.drain_group_bits),
                partial_sum.first_bank.eq(first_bank),
            ]

        # Activations: written by input and drain, read by broadcast and output.
        sent_word = Cat(
            banks[number % groups].output_word.word_select(number // groups, width)
            for number in range(config.pes))
        m.d.comb += [
            self.word_valid.eq(sequencer.write_valid),
            self.word_layer.eq(sequencer.drain_layer),
            self.word_addr.eq(sequencer.write_addr),
            self.word_data.eq(Cat(*self._activations(m, lanes))),
            self.layer_done.eq(sequencer.layer_done),
            unpacker.word.eq(sent_word),
        ]
        for c, bank in enumerate(banks):
            m.d.comb += [
                bank.write_valid.eq(sequencer.write_valid),
                bank.write_side.eq(sequencer.write_side),
                bank.write_buffer.eq(sequencer.write_buffer),
                bank.write_addr.eq(sequencer.write_addr),
                bank.write_data.eq(Cat(self.word_data.word_select(number, width)
                                       for number in range(c, config.pes, groups))),
                bank.computes.eq(sequencer.computes),
                bank.input_valid.eq(packer.write_valid),
                bank.input_side.eq(sequencer.input_side),
                bank.input_buffer.eq(sequencer.input_buffer),
                bank.input_addr.eq(packer.write_addr),
                bank.input_data.eq(Cat(packer.write_data.word_select(number, width)
                                       for number in range(c, config.pes, groups))),
                bank.output_step.eq(unpacker.bank_step),
                bank.output_side.eq(sequencer.output_side),
                bank.output_buffer.eq(sequencer.output_buffer),
                bank.output_addr.eq(unpacker.bank_addr),
            ]

        with m.If(self.clear_error | (self.error == ErrorCode.NONE)):
            m.d.sync += self.error.eq(loader.error | packer.error)
        return m

    def _activations(self, m: Module, lanes: list[OutputLane]) -> list[Value]:
        """Return the activations of a word: those of earlier turns wait for those of the last."""
        late: list[list[Value]] = []
        for number, lane in enumerate(lanes):
            mine: list[Value] = [lane.activation]
            for turn in reversed(range(self.config.pes_per_lane - 1)):
                earlier = Signal.like(lane.activation, name=f"activation_{number}_{turn}",
                                      reset_less=True)
                m.d.sync += earlier.eq(mine[-1])
                mine.append(earlier)
            late.append(mine[::-1])
        return [late[lane][turn] for lane, turn in map(self.config.output_lane,
                                                       range(self.config.pes))]


def _load_lane(m: Module, lane: OutputLane, turns: list[Value], load: Any, following: Any) -> None:
    """Load a lane with what is for one of its PEs: ``turns`` tell for which."""
    bits = ceil_log2(len(turns))
    turn = Signal(bits)
    mine = reduce(or_, turns)
    m.d.sync += [
        turn.eq(reduce(or_, (Mux(chosen, number, 0) for number, chosen in enumerate(turns)))),
        lane.load_valid.eq(mine & (load.target == Target.BIASES)),
    ]
    addr = Cat(turn, following.addr)
    if lane.config.per_channel:
        # Multiplier and shift have the lowest bit of an address.
        m.d.sync += lane.load_factor.eq(mine & (load.target == Target.FACTORS))
        factor_addr = Cat(following.addr[0], turn, following.addr[1:])
        addr = Mux(lane.load_factor, factor_addr, addr) if bits else factor_addr
    m.d.comb += [lane.load_addr.eq(addr), lane.load_data.eq(following.data)]


def _load_layout(config: SparseConfig) -> data.StructLayout:
    """Lay out an element of an image on its way to a memory."""
    return data.StructLayout({
        "valid": 1, "target": 4, "unit": ceil_log2(config.pes), "addr": 32, "data": 32})


def _column_layout(config: SparseConfig) -> data.StructLayout:
    """Lay out what a broadcast sends to its PEs."""
    addr_width = ceil_log2(config.pointer_depth // 2)
    return data.StructLayout({
        "valid": 1, "even_addr": addr_width, "odd_addr": addr_width, "odd": 1, "fire": 1,
        "activation": config.activation_width, **({"tag": 1} if config.interleaved else {})})


def _drain_layout(config: SparseConfig) -> data.StructLayout:
    """Lay out what the sequencer sends to PEs and output lanes."""
    fields = {
        "bias_addr": ceil_log2(config.output_depth * config.pes_per_lane),
        "layer": config.contexts * ceil_log2(config.layer_depth),
        **({"watched": 1} if config.interleaved else {}),
        "multiplier": 31,
        "single_rounding": 1,
        "shift": 6,
        "minimum": config.activation_width,
        "maximum": config.activation_width,
    }
    if config.per_channel:
        del fields["multiplier"], fields["shift"]
    return data.StructLayout(fields)
