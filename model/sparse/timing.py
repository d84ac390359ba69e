"""Cycle model of the sparse engine: how long it must take, cycle for cycle, and why.

The engine is described by recurrences over the columns that are broadcast, not by stepping through
cycles. For column j of a column group, where the PEs p of the group work side by side::

    take[j]     = max(take[j-1] + 1 + (words without a nonzero in between),
                      fire[j - columns_ahead] + FIRE_TO_TAKE)
    fire[j]     = max(fire[j-1] + 1, take[j] + TAKE_TO_FIRE,
                      start[i, p] + START_TO_FIRE of the PEs that queue it, where column i
                      is as many places before j in PE p as it has)
    start[j, p] = max(end[j', p], fire[j] + FIRE_TO_START), where j' is the one before in PE p
    end[j, p]   = start[j, p] + (cycles to decode column j in PE p)

A column that is empty in a PE is not queued there, or takes a cycle if empty columns are not
skipped. A cycle decodes an entry, or a filler and the entry behind it if fillers are absorbed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.interval import Interval
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.csc import InterleavedCsc
from eieio.model.sparse.mapping import CompiledNetwork

__all__ = ["FIRST_TAKE", "LayerTiming", "LayerWork", "NetworkTimer", "StreamTiming",
           "inference_interval", "layer_lead", "output_cycles", "simulate_layer", "time_stream"]

#: Cycle of the first take, counted from the one before the layer's descriptor is read: descriptor,
#: start, activation buffer, its output register, and the word itself.
FIRST_TAKE = 6
#: From taking an activation to firing its column: which one it was, three stages of address, block
#: RAM, its output register, comparison of the pointers, admission by the PEs, that they are ready,
#: and that all are.
TAKE_TO_FIRE = 10
#: From firing a column to decoding its first entry: a register, activation queue, fetch, block RAM,
#: its output register, and the queue of pairs.
FIRE_TO_START = 6
#: From firing a column to taking another one by its credit.
FIRE_TO_TAKE = 2
#: From the start of a column, which frees its place, to firing one that takes it: a register,
#: admission, that the PE is ready, and that all are.
START_TO_FIRE = 4
#: From the cycle behind the last decode to that in which a PE can call itself idle.
END_TO_IDLE = 2
#: From there to the first read of an accumulator.
IDLE_TO_DRAIN = 5
#: From the last write of a layer to the first read of the next one's accumulators, at least.
WRITE_TO_DRAIN = 4
#: From an input's last beat to the cycle in which its inference begins; from there to the first
#: beat of the next input.
TO_BEGIN, TO_INPUT = 3, 2
#: From the last write of an inference to the beginning of the next one, if nothing is missing.
TO_NEXT = 1
#: From the last write, or the cycle in which the output before is out of the way, to the first beat
#: of the output; and from its last beat to that cycle.
TO_OUTPUT, TO_SENT = 5, 1
#: From there to the next input, if it has no memory of its own.
TO_OPEN = 1


@dataclass(frozen=True, eq=False)
class LayerWork:
    """What a layer's matrix asks of each PE, column by column, whatever the activations.

    Attributes
    ----------
    matrix : InterleavedCsc
        The matrix.
    config : SparseConfig
        The engine.
    decode : int64 array of shape (pes, group_columns)
        Cycles to decode each column, 0 if it is not queued.
    nonzeros : int64 array of shape (pes, group_columns)
        Nonzero weights in each column.
    entries : int64 array of shape (pes, group_columns)
        Entries in each column, fillers included.
    """

    matrix: InterleavedCsc
    config: SparseConfig
    decode: NDArray[np.int64]
    nonzeros: NDArray[np.int64]
    entries: NDArray[np.int64]

    @classmethod
    def of(cls, matrix: InterleavedCsc, config: SparseConfig) -> "LayerWork":
        """Count the work in a matrix."""
        entries = np.diff(matrix.pointers, axis=1)
        cell = np.repeat(np.arange(entries.size, dtype=np.int32), entries.ravel())
        real = np.flatnonzero(matrix.codes)
        cell = cell[real]
        nonzeros = np.bincount(cell, minlength=entries.size).reshape(entries.shape)
        if config.absorb_fillers:
            # Fillers in front of an entry go in pairs, the last of them with the entry.
            fillers = np.diff(real, prepend=-1) - 1
            decode = np.bincount(cell, weights=(fillers + 2) // 2, minlength=entries.size)
            decode = decode.astype(np.int64).reshape(entries.shape)
        else:
            decode = entries.copy()
        if not config.skip_empty_columns:
            np.maximum(decode, 1, out=decode)
        return cls(matrix, config, decode, nonzeros, entries)


@dataclass(frozen=True, eq=False)
class LayerTiming:
    """How long a layer takes, and why.

    Attributes
    ----------
    cycles : :class:`int`
        From the last write of the layer before, or the cycle in which the inference begins, to the
        write of its last activation.
    lead : :class:`int`
        How many cycles earlier it began than it would if it waited for that write.
    ideal : :class:`float`
        Nonzero weights that meet nonzero activations, divided by the number of PEs.
    products : int64 array of shape (pes,)
        Cycles in which a PE multiplies.
    filler_cycles : int64 array of shape (pes,)
        Cycles in which a PE decodes nothing but fillers.
    empty_cycles : int64 array of shape (pes,)
        Cycles in which a PE decodes an empty column.
    starved_cycles : int64 array of shape (pes,)
        Cycles in which a PE has nothing to decode although the layer has not been decoded
        everywhere: its queue is empty.
    entries : :class:`int`
        Entries that were decoded in all PEs, fillers included.
    broadcasts : :class:`int`
        Columns that were broadcast, in all column groups.
    blocked_cycles : :class:`int`
        Cycles in which a column waited for room in a queue, summed over column groups.
    overhead_cycles : :class:`int`
        Cycles before the first column is taken and after the last entry is decoded: start, drain
        and requantization; those are not counted twice that go to the layer before.
    """

    cycles: int
    lead: int
    ideal: float
    products: NDArray[np.int64]
    filler_cycles: NDArray[np.int64]
    empty_cycles: NDArray[np.int64]
    starved_cycles: NDArray[np.int64]
    entries: int
    broadcasts: int
    blocked_cycles: int
    overhead_cycles: int


def layer_lead(config: SparseConfig, words: int) -> int:
    """Tell how many cycles a layer begins before the last write of the one before.

    It does so when all accumulators have been read, and so many of its ``words`` have been written
    that the next layer, which may read one a cycle, does not overtake it. 0 words stand for the
    input of the network, which has arrived.
    """
    return min(words, _drain_to_write(config) + 2)


def simulate_layer(work: LayerWork, activations: NDArray[np.integer], words_before: int = 0
                   ) -> LayerTiming:
    """Run the cycle model over one layer.

    Parameters
    ----------
    work : LayerWork
        The layer's matrix.
    activations : integer array of shape (columns,)
        Source activations in the engine's order; only which of them are 0 matters.
    words_before : :class:`int`
        Words that the layer before writes; 0 if there is none.

    Returns
    -------
    LayerTiming
        Cycles and their causes.

    Raises
    ------
    InputError
        If the shape does not fit.
    """
    matrix, config = work.matrix, work.config
    rows, columns = matrix.shape
    if activations.shape != (columns,):
        raise InputError(f"Activations must have shape ({columns},), not {activations.shape}")
    groups = matrix.groups
    words = -(-columns // config.pes)
    lead = layer_lead(config, words_before)
    position = np.flatnonzero(activations)
    word, lane = np.divmod(position, config.pes)
    # Order within a word: by bank, in bit-reversed order of its number in the group, then by lane.
    number = lane % config.column_groups // groups
    reversed_number = np.zeros_like(number)
    for bit in range((config.column_groups // groups).bit_length() - 1):
        reversed_number = reversed_number << 1 | number >> bit & 1
    order: NDArray[np.intp] = np.lexsort((lane, reversed_number, word))

    # Times are from where the layer would begin without a lead.
    finished = WRITE_TO_DRAIN + lead if lead else 0
    blocked = 0
    decoded = 0
    entries = 0
    busy = np.zeros(config.pes, np.int64)
    products = np.zeros(config.pes, np.int64)
    empties = np.zeros(config.pes, np.int64)
    for group in range(groups):
        mine = order[lane[order] % groups == group]
        numbers = position[mine] // groups
        pes = slice(group, None, groups)
        group_end, group_decoded, group_blocked = _simulate_group(
            word[mine], work.decode[pes, numbers].T, words, config)
        finished = max(finished, group_end)
        decoded = max(decoded, group_decoded)
        blocked += group_blocked
        busy[pes] = work.decode[pes, numbers].sum(axis=1)
        products[pes] = work.nonzeros[pes, numbers].sum(axis=1)
        entries += int(work.entries[pes, numbers].sum())
        if not config.skip_empty_columns:
            empties[pes] = np.count_nonzero(work.entries[pes, numbers] == 0, axis=1)
    turns = -(-rows // config.pes) * config.pes_per_lane
    cycles = finished + turns - 1 + _drain_to_write(config) - lead
    overhead = cycles - (decoded - FIRST_TAKE if decoded else 0)
    return LayerTiming(
        cycles=cycles,
        lead=lead,
        ideal=float(products.sum()) / config.pes,
        products=products,
        filler_cycles=busy - products - empties,
        empty_cycles=empties,
        starved_cycles=cycles - overhead - busy,
        entries=entries,
        broadcasts=position.size,
        blocked_cycles=blocked,
        overhead_cycles=overhead,
    )


def _simulate_group(word: NDArray[np.int64], decode: NDArray[np.int64], words: int,
                    config: SparseConfig) -> tuple[int, int, int]:
    """Run the recurrences: first cycle of the drain, end of the last decode, blocked cycles.

    ``word`` holds the word of each column that is broadcast, ``decode`` the cycles that each PE
    needs for it, shape (columns, pes).
    """
    count = word.size
    if not count:
        return FIRST_TAKE + words + IDLE_TO_DRAIN, 0, 0
    empty_words = np.maximum(np.diff(word, prepend=-1) - 1, 0).tolist()
    pes = decode.shape[1]
    places, ahead = config.places, config.columns_ahead
    everyone = np.arange(pes)
    queued = decode > 0
    all_queued = decode.min(axis=1) > 0
    start = np.zeros((places, pes), np.int64)  # of the last columns in each PE
    place = np.zeros(pes, np.int64)
    end = np.zeros(pes, np.int64)
    fires = [0] * ahead
    take = FIRST_TAKE - 1
    fire = 0
    blocked = 0
    for j in range(count):
        take = max(take + 1 + empty_words[j], fires[j % ahead] + FIRE_TO_TAKE)
        unblocked = max(fire + 1, take + TAKE_TO_FIRE)
        oldest = start[place, everyone]
        if all_queued[j]:
            fire = max(unblocked, int(oldest.max()) + START_TO_FIRE)
            begin = np.maximum(end, fire + FIRE_TO_START)
            start[place, everyone] = begin
            end = begin + decode[j]
            place += 1
        else:
            mask = queued[j]
            fire = max(unblocked, int(oldest.max(where=mask, initial=0)) + START_TO_FIRE)
            begin = np.maximum(end, fire + FIRE_TO_START)
            start[place, everyone] = np.where(mask, begin, oldest)
            end = np.where(mask, begin + decode[j], end)
            place += mask
        place[place == places] = 0
        blocked += fire - unblocked
        fires[j % ahead] = fire
    scanned = take + 1 + words - 1 - int(word[-1])
    decoded = int(end.max())
    # The broadcast is idle two cycles after its last fire.
    finished = max(decoded + END_TO_IDLE, scanned, fire + 2) + IDLE_TO_DRAIN
    return finished, decoded, blocked


def _drain_to_write(config: SparseConfig) -> int:
    """From reading an accumulator to writing the activation.

    The read, a stage for each halving of the column groups, two for the bias, and requantization:
    11 stages and one for each part of at most 17 bits, and a sign, that the accumulator is
    multiplied in.
    """
    halvings = config.column_groups.bit_length() - 1
    parts = 1 + max(0, -(-(config.accumulator_width - 18) // 17))
    return 1 + halvings + 2 + 11 + parts


class NetworkTimer:
    """The cycle model over all layers of a compiled network.

    Parameters
    ----------
    compiled : CompiledNetwork
        Network to time. Its weights are looked through once.
    """

    def __init__(self, compiled: CompiledNetwork) -> None:
        self.compiled = compiled
        self._work = [LayerWork.of(layer.matrix, compiled.config) for layer in compiled.layers]

    def __call__(self, x: NDArray[np.integer], activations: list[NDArray[np.integer]]
                 ) -> list[LayerTiming]:
        """Time one inference.

        Parameters
        ----------
        x : integer array of shape (inputs,)
            Input of the network.
        activations : list of integer arrays of shape (outputs of the layer,)
            What each layer computes from it, as the golden model says.

        Returns
        -------
        list of LayerTiming
            One a layer. The cycles of an inference are the sum of theirs.
        """
        sources = [x, *activations[:-1]]
        pes = self.compiled.config.pes
        words = [0, *(-(-layer.matrix.shape[0] // pes) for layer in self.compiled.layers)]
        return [simulate_layer(work, self.compiled.to_engine(source[None], number)[0],
                               words[number])
                for number, (work, source) in enumerate(zip(self._work, sources, strict=True))]


def output_cycles(config: SparseConfig, output_beats: int) -> int:
    """Count the cycles from an output's first beat to its last: between words there is a pause."""
    return output_beats + (output_beats - 1) // (config.pes // config.io_lanes)


def inference_interval(config: SparseConfig, cycles: float, input_beats: int, output_beats: int
                       ) -> Interval:
    """Return what an inference takes with its input and output, in a long stream.

    If activations are double-buffered, the next input is received, and the output before sent,
    while an inference is under way: the longest of the three decides.

    Parameters
    ----------
    config : SparseConfig
        Engine.
    cycles : :class:`float`
        Cycles of the inference.
    input_beats, output_beats : :class:`int`
        Beats of an input and of an output.
    """
    sent = output_cycles(config, output_beats)
    handshakes = TO_BEGIN - 1 + TO_OUTPUT + TO_SENT - 1 + TO_OPEN
    if not config.double_buffered:
        return Interval(input_beats, cycles, sent, handshakes)
    steady = max(cycles + TO_NEXT, input_beats + TO_BEGIN - 1 + TO_INPUT,
                 sent + TO_OUTPUT + TO_SENT - 1)
    return Interval(input_beats, cycles, sent, handshakes,
                    input_beats + cycles + sent + handshakes - steady)


@dataclass(frozen=True, eq=False)
class StreamTiming:
    """When the beats of a stream of inputs and outputs move, if sender and receiver never wait.

    Attributes
    ----------
    inputs : int64 array of shape (inferences,)
        Cycle of the first beat of each input, from that of the first on.
    outputs : int64 array of shape (inferences,)
        Cycle of the first beat of each output.
    """

    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]


def time_stream(config: SparseConfig, cycles: Sequence[int], input_beats: int, output_beats: int
                ) -> StreamTiming:
    """Tell when the beats of a stream move.

    Parameters
    ----------
    config : SparseConfig
        Engine.
    cycles : sequence of :class:`int`
        Cycles of each inference.
    input_beats, output_beats : :class:`int`
        Beats of an input and of an output.
    """
    sent = output_cycles(config, output_beats)
    inputs, outputs = [], []
    # First cycles in which an input is taken, an inference may begin, an output may go.
    taken = free = clear = 0
    for inference in cycles:
        inputs.append(taken)
        begin = max(taken + input_beats - 1 + TO_BEGIN, free)
        over = max(begin + inference, clear)
        free = over + TO_NEXT
        outputs.append(over + TO_OUTPUT)
        clear = outputs[-1] + sent - 1 + TO_SENT
        taken = begin + TO_INPUT if config.double_buffered else clear + TO_OPEN
    return StreamTiming(np.array(inputs, np.int64), np.array(outputs, np.int64))
