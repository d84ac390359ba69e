"""Cycle model of the sparse engine: how long it must take, cycle for cycle, and why.

The columns of a layer are in :mod:`eieio.model.sparse.broadcast_timing`; two inferences that are
under way at a time in :mod:`eieio.model.sparse.interleaving`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.interval import Interval
from eieio.model.sparse.broadcast_timing import (
    FIRST_TAKE,
    LayerInputs,
    LayerWork,
    PeQueues,
    broadcast_group,
    layer_columns,
)
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.mapping import CompiledNetwork

__all__ = ["LayerTiming", "NetworkTimer", "StreamTiming", "drain_to_write", "inference_interval",
           "layer_lead", "output_cycles", "simulate_layer", "time_stream"]

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
    return min(words, drain_to_write(config) + 2)


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
    rows, _ = matrix.shape
    lead = layer_lead(config, words_before)

    # Times are from where the layer would begin without a lead.
    finished = WRITE_TO_DRAIN + lead if lead else 0
    blocked = 0
    decoded = 0
    entries = 0
    busy = np.zeros(config.pes, np.int64)
    products = np.zeros(config.pes, np.int64)
    empties = np.zeros(config.pes, np.int64)
    queues = PeQueues(config)
    for group, columns in enumerate(layer_columns(work, activations)):
        numbers = columns.numbers
        pes = slice(group, None, matrix.groups)
        broadcast = broadcast_group(columns, queues, group, matrix.groups)
        finished = max(finished, broadcast.finished + IDLE_TO_DRAIN)
        decoded = max(decoded, broadcast.decoded)
        blocked += broadcast.blocked
        busy[pes] = work.decode[pes, numbers].sum(axis=1)
        products[pes] = work.nonzeros[pes, numbers].sum(axis=1)
        entries += int(work.entries[pes, numbers].sum())
        if not config.skip_empty_columns:
            empties[pes] = np.count_nonzero(work.entries[pes, numbers] == 0, axis=1)
    turns = -(-rows // config.pes) * config.pes_per_lane
    cycles = finished + turns - 1 + drain_to_write(config) - lead
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
        broadcasts=int(np.count_nonzero(activations)),
        blocked_cycles=blocked,
        overhead_cycles=overhead,
    )


def drain_to_write(config: SparseConfig) -> int:
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
        words = [0, *self._output_words]
        return [simulate_layer(work, source, words[number]) for number, (work, source) in enumerate(
            zip(self._work, self._sources(x, activations), strict=True))]

    def inputs(self, x: NDArray[np.integer], activations: list[NDArray[np.integer]]
               ) -> list[LayerInputs]:
        """Return what one inference broadcasts, layer by layer, for models of several of them."""
        return [LayerInputs(layer_columns(work, source), words) for work, source, words in zip(
            self._work, self._sources(x, activations), self._output_words, strict=True)]

    @property
    def _output_words(self) -> list[int]:
        pes = self.compiled.config.pes
        return [-(-layer.matrix.shape[0] // pes) for layer in self.compiled.layers]

    def _sources(self, x: NDArray[np.integer], activations: list[NDArray[np.integer]]
                 ) -> list[NDArray[np.integer]]:
        return [self.compiled.to_engine(source[None], number)[0]
                for number, source in enumerate([x, *activations[:-1]])]


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
