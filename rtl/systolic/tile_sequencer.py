"""Tile sequencer: when vectors enter the array, and which weights come with them."""

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.model.systolic.timing import phase_lead, slot_minimum
from eieio.rtl.systolic.countdown import Countdown
from eieio.rtl.systolic.descriptor import DESCRIPTOR, WINDOWS_WIDTH, bits, pair

__all__ = ["TileSequencer"]


class TileSequencer(wiring.Component):
    """Steps through the slots of a layer.

    In a slot the vectors of a chunk meet one tile of weights, while the next one is loaded unless
    it is the same; a slot takes as long as the longer of both. A pass is the slots that add up to
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
        all_slots, reuse = pair(descriptor, Field.SLOTS)
        all_outputs = pair(descriptor, Field.BLOCKS)[1]
        chunk_limit = pair(descriptor, Field.ROW_WINDOWS)[1]
        weights = bits(descriptor, Field.WEIGHTS, len(self.weight_addr))
        winograd = Signal()
        if config.winograd:
            m.d.comb += winograd.eq((descriptor[Field.OPERATION] & Flag.WINOGRAD).any())

        # Compute: the slot at hand.
        width = bits_for(max(config.accumulator_depth, loading))
        vectors, following = Signal(width), Signal(width)
        rest, rest_none, following_last = Signal(WINDOWS_WIDTH), Signal(), Signal()
        # Cycles of a slot in which a tile is loaded, and in which none is.
        periods = [Signal(width, name=f"period_{kind}") for kind in ("kept", "loading")]
        next_periods = [Signal.like(signal, name=f"next_{signal.name}") for signal in periods]
        vectors_left, slot = Signal(width), Countdown(width, "period")
        slots, outputs = Countdown(16, "slots"), Countdown(16, "outputs")
        element = Countdown(bits_for(elements), "elements")
        chunk_last, finished = Signal(), Signal()
        preload, waiting, running = Signal(), Signal(), Signal()
        pass_first, phase_first = Signal(), Signal()
        m.d.sync += [
            following.eq(Mux(rest < chunk_limit, rest, chunk_limit)),
            following_last.eq(rest <= chunk_limit),
            rest_none.eq(rest == 0),
            *(period.eq(_maximum(following, least)) for period, least
              in zip(next_periods, (shortest, loading), strict=True)),
        ]
        m.d.comb += [
            chunk_last.eq(slots.last & outputs.last),
            finished.eq(chunk_last & rest_none),
        ]

        # Load: the slot after it. A tile is loaded from the start of a slot on.
        rows_left = Signal(range(config.rows + 1))
        row_last = Signal()
        tile, row = Signal.like(self.weight_addr), Signal.like(self.weight_addr)
        kept, load_slots, load_outputs = (
            Countdown(16, name) for name in ("reuse", "load_slots", "load_outputs"))
        next_tile = Signal.like(tile)
        m.d.comb += next_tile.eq(tile)
        load_chunk_last = load_slots.last & load_outputs.last
        with m.If(load_chunk_last):
            m.d.comb += next_tile.eq(weights)
        with m.Elif(kept.last):
            m.d.comb += next_tile.eq(tile + config.rows)
        m.d.comb += [self.weight_valid.eq(rows_left != 0), self.weight_addr.eq(row)]
        with m.If(self.weight_valid):
            m.d.sync += [row.eq(row + 1), rows_left.eq(rows_left - 1), row_last.eq(rows_left == 2)]

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
            begins.eq(admitted & (waiting | (running & slot.last & ~finished))),
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
            m.d.comb += [pass_first.eq(slots.last), phase_first.eq(element.last)]

        # A tile that stays is not loaded again. Neither is one behind the last slot, which would be
        # taken for the next layer's.
        load, loaded, swap = Signal(), Signal(), Signal()
        m.d.comb += load.eq(Mux(
            load_chunk_last, ~Mux(running & chunk_last, following_last, rest_none), kept.last))

        # The slot itself.
        first = Signal()  # Vector of the slot.
        vectors_last = Signal()
        current_phase_first = Signal()
        m.d.comb += [
            self.vector_valid.eq(running & (vectors_left != 0)),
            self.vector_swap.eq(first & swap),
            self.vector_element.eq(first),
            self.vector_phase.eq(first & current_phase_first),
            self.vector_last.eq(vectors_last & (element.last | ~winograd)),
        ]
        with m.If(running):
            m.d.sync += [first.eq(0), *slot.step(), vectors_last.eq(vectors_left == 2)]
            with m.If(vectors_left != 0):
                m.d.sync += vectors_left.eq(vectors_left - 1)
        if config.winograd:
            # A word that is read now is written so much later that the reads left come first.
            lead = phase_lead(config)
            released = Signal()
            m.d.comb += self.phase_released.eq(
                running & winograd & ~released
                & (((element.left == 2) & (slot.left + vectors <= lead))
                   | (element.last & (vectors_left <= lead))))
            with m.If(phase_begins):
                m.d.sync += released.eq(0)
            with m.Elif(self.phase_released):
                m.d.sync += released.eq(1)
        changes = Signal()  # To another chunk.
        m.d.comb += changes.eq(running & chunk_last)
        with m.If(running & slot.last):
            # Another slot, though it may have to wait.
            m.d.sync += [*slots.step(), *element.step()]
            m.d.sync += [
                held_pass.eq(slots.last),
                held_phase.eq(element.last),
                running.eq(0),
                waiting.eq(~finished),
            ]
            with m.If(element.last):
                m.d.sync += element.load(elements)
            with m.If(slots.last):
                m.d.sync += [*slots.load(all_slots), *outputs.step()]
            with m.If(chunk_last):
                m.d.sync += [
                    *outputs.load(all_outputs),
                    vectors.eq(following),
                    rest.eq(rest - following),
                    *(now.eq(then) for now, then in zip(periods, next_periods, strict=True)),
                ]
        with m.If(preload & row_last):
            m.d.sync += [preload.eq(0), waiting.eq(1)]
        with m.If(begins):
            m.d.sync += [
                running.eq(1),
                waiting.eq(0),
                first.eq(1),
                current_phase_first.eq(phase_first & winograd),
                vectors_left.eq(Mux(changes, following, vectors)),
                vectors_last.eq(Mux(changes, following, vectors) == 1),
                *slot.load(Mux(load, Mux(changes, next_periods[1], periods[1]),
                               Mux(changes, next_periods[0], periods[0]))),
                swap.eq(loaded),
                loaded.eq(load),
                rows_left.eq(Mux(load, config.rows, 0)),
                row_last.eq(config.rows == 1),
                tile.eq(next_tile),
                row.eq(next_tile),
                *kept.step(),
                *load_slots.step(),
            ]
            with m.If(kept.last):
                m.d.sync += kept.load(reuse)
            with m.If(load_slots.last):
                m.d.sync += [*load_slots.load(all_slots), *load_outputs.step()]
                with m.If(load_outputs.last):
                    m.d.sync += load_outputs.load(all_outputs)
        with m.If(self.start):
            m.d.sync += [
                preload.eq(1),
                loaded.eq(1),
                rows_left.eq(config.rows),
                tile.eq(weights),
                row.eq(weights),
                row_last.eq(config.rows == 1),
                *kept.load(reuse),
                *load_slots.load(all_slots),
                *load_outputs.load(all_outputs),
                vectors.eq(chunk_limit),
                *(period.eq(_maximum(chunk_limit, least)) for period, least
                  in zip(periods, (shortest, loading), strict=True)),
                rest.eq(bits(descriptor, Field.WINDOWS, WINDOWS_WIDTH) - chunk_limit),
                *slots.load(all_slots),
                *outputs.load(all_outputs),
                *element.load(elements),
                held_pass.eq(1),
                held_phase.eq(1),
            ]
        return m


def _maximum(value: Value, least: int) -> Value:
    return Mux(value > least, value, least)
