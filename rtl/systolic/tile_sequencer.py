"""Tile sequencer: when vectors enter the array, and which weights come with them."""

from typing import Any

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

    While a slot is computed, registers find out all about the next one, for which even the shortest
    slot leaves time. All that is left to its beginning is whether there is a bank and a phase.

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
    weight_row, weight_share : ``Out``
        With a depthwise unit: its number in the tile, and which part of a word's channels the tile
        is for, if channels are computed one by one. Such a tile has a single row of weights, those
        of its diagonal.
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
    weight_row: Signal
    weight_share: Signal
    phase_released: Signal
    bank_stall: Signal
    phase_stall: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        self._shares = config.rows // config.channelwise_columns
        diagonal: dict[str, Any] = {}
        if config.depthwise_lanes:
            diagonal = {"weight_row": Out(range(config.rows)),
                        "weight_share": Out(range(self._shares))}
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
            **diagonal,
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

        # What the next slot is, from the second cycle of this one on: its chunk ...
        width = bits_for(max(config.accumulator_depth, loading))
        vectors, following = Signal(width), Signal(width)
        vectors_one = Signal()
        rest, rest_none = Signal(WINDOWS_WIDTH), Signal()
        # Cycles of a slot in which a tile is loaded, and in which none is.
        periods = [Signal(width, name=f"period_{kind}") for kind in ("kept", "loading")]
        next_periods = [Signal.like(signal, name=f"next_{signal.name}") for signal in periods]
        m.d.sync += [
            following.eq(Mux(rest < chunk_limit, rest, chunk_limit)),
            rest_none.eq(rest == 0),
            vectors_one.eq(vectors == 1),
            *(period.eq(_maximum(following, least)) for period, least
              in zip(next_periods, (shortest, loading), strict=True)),
        ]
        # ... and its place in the loops.
        slots, outputs, kept = (Countdown(16, name) for name in ("slots", "outputs", "reuse"))
        element = Countdown(bits_for(elements), "elements")
        pass_first, phase_first, exists = Signal(), Signal(), Signal()
        begun = Signal()  # A slot began in the cycle before.
        with m.If(begun):
            m.d.sync += [
                pass_first.eq(slots.last),
                phase_first.eq(element.last),
                *slots.step(),
                *element.step(),
                *kept.step(),
            ]
            with m.If(kept.last):
                m.d.sync += kept.load(reuse)
            with m.If(element.last):
                m.d.sync += element.load(elements)
            with m.If(slots.last):
                m.d.sync += [*slots.load(all_slots), *outputs.step()]
            with m.If(slots.last & outputs.last):
                m.d.sync += [
                    *outputs.load(all_outputs),
                    exists.eq(~rest_none),
                    vectors.eq(following),
                    rest.eq(rest - following),
                    *(now.eq(then) for now, then in zip(periods, next_periods, strict=True)),
                ]

        # The tile behind the next slot's, which is loaded from the start of that slot on. A tile
        # that stays is not loaded again. Neither is one behind the last slot, which would be taken
        # for the next layer's.
        load = Signal()
        tile, next_tile = Signal.like(self.weight_addr), Signal.like(self.weight_addr)
        m.d.sync += [load.eq(kept.last), next_tile.eq(tile)]
        tile_rows: Value | int = config.rows
        diagonal = (descriptor[Field.OPERATION] & Flag.CHANNELWISE).any()
        if config.depthwise_lanes:
            tile_rows = Mux(diagonal, 1, config.rows)
        with m.If(kept.last):
            m.d.sync += next_tile.eq(tile + tile_rows)
        with m.If(slots.last & outputs.last):
            m.d.sync += [load.eq(~rest_none), next_tile.eq(weights)]

        # A pass needs a bank that has been read, and a phase its tiles.
        banks_used = Signal(2)  # At most two.
        phases = Signal(2)
        preload, due, running = Signal(), Signal(), Signal()
        begins, no_bank, no_phase = Signal(), Signal(), Signal()
        slot = Countdown(width, "period")
        m.d.comb += [
            no_bank.eq(pass_first & banks_used[1]),
            no_phase.eq(winograd & phase_first & (phases == 0)),
            begins.eq(due & ~no_bank & ~no_phase),
            self.bank_stall.eq(due & ~running & no_bank),
            self.phase_stall.eq(due & ~running & no_phase & ~no_bank),
        ]
        m.d.sync += [
            begun.eq(begins),
            banks_used.eq(banks_used + (begins & pass_first) - self.bank_released),
            phases.eq(phases + self.phase_ready - (begins & phase_first & winograd)),
        ]

        # The slot itself.
        valid, first, swap, loaded = Signal(), Signal(), Signal(), Signal()
        vectors_left = Countdown(width, "vectors")
        current_phase_first, sweep_last = Signal(), Signal()
        m.d.comb += [
            self.vector_valid.eq(valid),
            self.vector_swap.eq(first & swap),
            self.vector_element.eq(first),
            self.vector_phase.eq(first & current_phase_first),
            self.vector_last.eq(vectors_left.last & sweep_last),
        ]
        m.d.sync += first.eq(begins)
        with m.If(valid):
            m.d.sync += [*vectors_left.step(), valid.eq(~vectors_left.last)]
        with m.If(running):
            m.d.sync += slot.step()
        with m.If(slot.last):
            m.d.sync += running.eq(0)
        with m.If(running & exists & (slot.left == 2)):
            m.d.sync += due.eq(1)

        # Its weights.
        rows_left = Countdown(bits_for(config.rows), "rows")
        row = Signal.like(self.weight_addr)
        fetching = Signal()
        m.d.comb += [self.weight_valid.eq(fetching), self.weight_addr.eq(row)]
        with m.If(fetching):
            m.d.sync += [row.eq(row + 1), *rows_left.step(), fetching.eq(~rows_left.last)]
        with m.If(preload & ~fetching):
            m.d.sync += [preload.eq(0), due.eq(1)]
        with m.If(begins):
            m.d.sync += [
                due.eq(0),
                running.eq(1),
                valid.eq(1),
                current_phase_first.eq(phase_first & winograd),
                sweep_last.eq(element.last | ~winograd),
                vectors_left.left.eq(vectors),
                vectors_left.last.eq(vectors_one),
                slot.left.eq(Mux(load, periods[1], periods[0])),
                swap.eq(loaded),
                loaded.eq(load),
                fetching.eq(load),
                *rows_left.load(config.rows),
                tile.eq(next_tile),
                row.eq(next_tile),
            ]
        if config.depthwise_lanes:
            self._add_diagonals(m, diagonal, fetching, begins, slots.last, outputs.last, row)
        if config.winograd:
            # A word that is read now is written so much later that the reads left come first.
            lead = phase_lead(config)
            released, element_before_last, element_last = Signal(), Signal(), Signal()
            with m.If(begins):
                m.d.sync += [element_before_last.eq(element.left == 2),
                             element_last.eq(element.last)]
            m.d.comb += self.phase_released.eq(
                running & winograd & ~released
                & ((element_before_last & (slot.left + vectors <= lead))
                   | (element_last & (vectors_left.left <= lead))))
            with m.If(begins & phase_first):
                m.d.sync += released.eq(0)
            with m.Elif(self.phase_released):
                m.d.sync += released.eq(1)

        with m.If(self.start):
            m.d.sync += [
                preload.eq(1),
                loaded.eq(1),
                fetching.eq(1),
                *rows_left.load(config.rows),
                tile.eq(weights),
                row.eq(weights),
                vectors.eq(chunk_limit),
                *(period.eq(_maximum(chunk_limit, least)) for period, least
                  in zip(periods, (shortest, loading), strict=True)),
                rest.eq(bits(descriptor, Field.WINDOWS, WINDOWS_WIDTH) - chunk_limit),
                *slots.load(all_slots),
                *outputs.load(all_outputs),
                *kept.load(reuse),
                *element.load(elements),
                pass_first.eq(1),
                phase_first.eq(1),
                exists.eq(1),
            ]
        return m

    def _add_diagonals(self, m: Module, diagonal: Value, fetching: Signal, begins: Signal,
                       slot_last: Signal, output_last: Signal, row: Signal) -> None:
        """Read one row for all rows of a tile, and say which part of a word it is for."""
        share, number = self.weight_share, self.weight_row
        next_share = Signal.like(share)
        m.d.sync += next_share.eq(share)
        with m.If(slot_last):
            m.d.sync += next_share.eq(
                Mux(output_last | (share == self._shares - 1), 0, share + 1))
        with m.If(fetching):
            m.d.sync += number.eq(number + 1)
            with m.If(diagonal & ~begins):
                m.d.sync += row.eq(row)
        with m.If(begins):
            m.d.sync += [number.eq(0), share.eq(next_share)]
        with m.If(self.start):
            m.d.sync += [number.eq(0), share.eq(0)]


def _maximum(value: Value, least: int) -> Value:
    return Mux(value > least, value, least)
