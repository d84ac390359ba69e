"""Tile sequencer: when vectors enter the array, and which weights come with them."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.model.systolic.timing import phase_lead, slot_minimum
from eieio.rtl.systolic.descriptor import DESCRIPTOR, bits, pair

__all__ = ["TileSequencer"]


class TileSequencer(wiring.Component):
    """Steps through the slots of a layer.

    In a slot the vectors of a chunk meet one tile of weights, while the next one is loaded unless it
    is the same; a slot is as long as the longer of both takes. A pass is the slots that add up to
    one block of outputs of one chunk; it fills a bank of accumulators. With Winograd's transforms,
    the slots of a pass form phases, one for each block of channels, with a slot for each element of
    a transformed tile.

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
    bank_released : ``In(1)``
        The results of a pass have been read from their bank.
    phase_ready : ``In(1)``
        The transformed tiles of a phase can be read.
    vector_valid : ``Out(1)``
        A vector enters: the next one.
    vector_swap : ``Out(1)``
        It is the first one with the tile of weights loaded last.
    vector_last : ``Out(1)``
        It is the last one of a sweep over the accumulators.
    vector_element : ``Out(1)``
        It is the first one of an element of the transformed tiles.
    vector_phase : ``Out(1)``
        It is the first one of a phase.
    weight_valid : ``Out(1)``
        A row of weights enters.
    weight_addr : ``Out``
        Its address.
    bank_stall, phase_stall : ``Out(1)``
        The array waits for a bank, or for transformed tiles.
    phase_released : ``Out(1)``
        From now on words may be read that are to replace the transformed tiles of this phase.
    """

    descriptor: data.View
    start: Signal
    bank_released: Signal
    phase_ready: Signal
    vector_valid: Signal
    vector_swap: Signal
    vector_last: Signal
    vector_element: Signal
    vector_phase: Signal
    weight_valid: Signal
    weight_addr: Signal
    phase_released: Signal
    bank_stall: Signal
    phase_stall: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "bank_released": In(1),
            "phase_ready": In(1),
            "vector_valid": Out(1),
            "vector_swap": Out(1),
            "vector_last": Out(1),
            "vector_element": Out(1),
            "vector_phase": Out(1),
            "weight_valid": Out(1),
            "weight_addr": Out(unsigned(ceil_log2(config.weight_depth))),
            "phase_released": Out(1),
            "bank_stall": Out(1),
            "phase_stall": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        descriptor = self.descriptor
        loading, shortest = slot_minimum(config, load=True), slot_minimum(config, load=False)
        elements = config.transform.n ** 2 if config.winograd else 1
        slots, reuse = pair(descriptor, Field.SLOTS)
        outputs = pair(descriptor, Field.BLOCKS)[1]
        chunk_limit = pair(descriptor, Field.ROW_WINDOWS)[1]
        weights = bits(descriptor, Field.WEIGHTS, len(self.weight_addr))
        winograd = Signal()
        if config.winograd:
            m.d.comb += winograd.eq((descriptor[Field.OPERATION] & Flag.WINOGRAD).any())

        # Compute: the slot at hand.
        vectors, rest, following = Signal(16), Signal(32), Signal(16)
        vectors_left, period_left = Signal(16), Signal(16)
        slots_left, outputs_left = Signal(16), Signal(16)
        elements_left = Signal(range(elements + 1))
        slot_last, pass_last, chunk_last, phase_last, finished = (Signal() for _ in range(5))
        preload, waiting, running = Signal(), Signal(), Signal()
        pass_first, phase_first = Signal(), Signal()
        following_last = Signal()
        m.d.sync += [
            following.eq(Mux(rest < chunk_limit, rest, chunk_limit)),
            following_last.eq(rest <= chunk_limit),
        ]
        m.d.comb += [
            slot_last.eq(period_left == 1),
            pass_last.eq(slots_left == 1),
            phase_last.eq(elements_left == 1),
            chunk_last.eq(pass_last & (outputs_left == 1)),
            finished.eq(chunk_last & (rest == 0)),
        ]

        # Load: the slot after it. A tile is loaded from the start of a slot on.
        rows_left = Signal(range(config.rows + 1))
        tile, row = Signal.like(self.weight_addr), Signal.like(self.weight_addr)
        reuse_left, load_slots_left, load_outputs_left = Signal(16), Signal(16), Signal(16)
        next_tile = Signal.like(tile)
        m.d.comb += next_tile.eq(tile)
        load_chunk_last = (load_slots_left == 1) & (load_outputs_left == 1)
        with m.If(load_chunk_last):
            m.d.comb += next_tile.eq(weights)
        with m.Elif(reuse_left == 1):
            m.d.comb += next_tile.eq(tile + config.rows)
        m.d.comb += [self.weight_valid.eq(rows_left != 0), self.weight_addr.eq(row)]
        with m.If(self.weight_valid):
            m.d.sync += [row.eq(row + 1), rows_left.eq(rows_left - 1)]

        # A pass needs a bank that has been read, and a phase its tiles.
        banks_used = Signal(2)
        phases = Signal(2)
        pass_begins, phase_begins, begins, admitted = (Signal() for _ in range(4))
        no_bank, no_phase = Signal(), Signal()
        m.d.comb += [
            no_bank.eq(pass_first & (banks_used == 2)),
            no_phase.eq(winograd & phase_first & (phases == 0)),
            self.bank_stall.eq(waiting & no_bank),
            self.phase_stall.eq(waiting & no_phase & ~no_bank),
            admitted.eq(~no_bank & ~no_phase),
            begins.eq(admitted & (waiting | (running & slot_last & ~finished))),
            pass_begins.eq(begins & pass_first),
            phase_begins.eq(begins & phase_first & winograd),
        ]
        m.d.sync += [
            banks_used.eq(banks_used + pass_begins - self.bank_released),
            phases.eq(phases + self.phase_ready - phase_begins),
        ]
        # What the next slot is: of the state at hand when one ends, and held while one waits.
        held_pass, held_phase = Signal(), Signal()
        with m.If(waiting):
            m.d.comb += [pass_first.eq(held_pass), phase_first.eq(held_phase)]
        with m.Else():
            m.d.comb += [pass_first.eq(pass_last), phase_first.eq(phase_last)]

        # A tile that stays is not loaded again. Neither is one behind the last slot, which would be
        # taken for the next layer's.
        load, loaded, swap = Signal(), Signal(), Signal()
        m.d.comb += load.eq(Mux(
            load_chunk_last, ~Mux(running & chunk_last, following_last, rest == 0),
            reuse_left == 1))

        # The slot itself.
        first = Signal()  # Vector of the slot.
        new_vectors = Signal(16)
        current_phase_first = Signal()
        m.d.comb += [
            self.vector_valid.eq(running & (vectors_left != 0)),
            self.vector_swap.eq(first & swap),
            self.vector_element.eq(first),
            self.vector_phase.eq(first & current_phase_first),
            self.vector_last.eq((vectors_left == 1) & (phase_last | ~winograd)),
            new_vectors.eq(vectors),
        ]
        with m.If(running):
            m.d.sync += [first.eq(0), period_left.eq(period_left - 1)]
            with m.If(vectors_left != 0):
                m.d.sync += vectors_left.eq(vectors_left - 1)
        if config.winograd:
            # A word that is read now is written so much later that the reads left come first.
            lead = phase_lead(config)
            released = Signal()
            m.d.comb += self.phase_released.eq(
                running & winograd & ~released
                & (((elements_left == 2) & (period_left + vectors <= lead))
                   | ((elements_left == 1) & (vectors_left <= lead))))
            with m.If(phase_begins):
                m.d.sync += released.eq(0)
            with m.Elif(self.phase_released):
                m.d.sync += released.eq(1)
        with m.If(running & slot_last):
            # Another slot, though it may have to wait.
            m.d.sync += [
                slots_left.eq(Mux(pass_last, slots, slots_left - 1)),
                elements_left.eq(Mux(phase_last, elements, elements_left - 1)),
                held_pass.eq(pass_last),
                held_phase.eq(phase_last),
                running.eq(0),
                waiting.eq(~finished),
            ]
            with m.If(pass_last):
                m.d.sync += outputs_left.eq(outputs_left - 1)
            with m.If(chunk_last):
                m.d.comb += new_vectors.eq(following)
                m.d.sync += [outputs_left.eq(outputs), vectors.eq(following),
                             rest.eq(rest - following)]
        with m.If(preload & (rows_left == 1)):
            m.d.sync += [preload.eq(0), waiting.eq(1)]
        with m.If(begins):
            m.d.sync += [
                running.eq(1),
                waiting.eq(0),
                first.eq(1),
                current_phase_first.eq(phase_first & winograd),
                vectors_left.eq(new_vectors),
                period_left.eq(Mux(load, Mux(new_vectors > loading, new_vectors, loading),
                                   Mux(new_vectors > shortest, new_vectors, shortest))),
                swap.eq(loaded),
                loaded.eq(load),
                rows_left.eq(Mux(load, config.rows, 0)),
                tile.eq(next_tile),
                row.eq(next_tile),
                reuse_left.eq(Mux(reuse_left == 1, reuse, reuse_left - 1)),
                load_slots_left.eq(load_slots_left - 1),
            ]
            with m.If(load_slots_left == 1):
                m.d.sync += [load_slots_left.eq(slots),
                             load_outputs_left.eq(load_outputs_left - 1)]
                with m.If(load_outputs_left == 1):
                    m.d.sync += load_outputs_left.eq(outputs)
        with m.If(self.start):
            m.d.sync += [
                preload.eq(1),
                loaded.eq(1),
                rows_left.eq(config.rows),
                tile.eq(weights),
                row.eq(weights),
                reuse_left.eq(reuse),
                load_slots_left.eq(slots),
                load_outputs_left.eq(outputs),
                vectors.eq(chunk_limit),
                rest.eq(bits(descriptor, Field.WINDOWS) - chunk_limit),
                slots_left.eq(slots),
                outputs_left.eq(outputs),
                elements_left.eq(elements),
                held_pass.eq(1),
                held_phase.eq(1),
            ]
        return m
