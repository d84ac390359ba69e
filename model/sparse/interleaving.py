"""Cycle model of two interleaved inferences: when their layers start, are drained and written.

Layers of two inferences share broadcasts, PEs and output lanes. Each of these serves them in the
order in which they start; and when a layer's columns have been broadcast, one of the other
inference is next, if it has any left. Within an inference a layer starts when the one before has
been drained, as far as :func:`~eieio.model.sparse.timing.layer_lead` says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.sparse.broadcast_timing import LayerInputs, PeQueues, broadcast_group
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.timing import (
    IDLE_TO_DRAIN,
    TO_BEGIN,
    TO_INPUT,
    TO_NEXT,
    TO_OUTPUT,
    TO_SENT,
    WRITE_TO_DRAIN,
    StreamTiming,
    drain_to_write,
    layer_lead,
    output_cycles,
)

__all__ = ["InterleavedTiming", "steady_interval", "stream_interleaved",
           "time_interleaved"]

#: From the cycle in which broadcasts are idle to that in which the other inference's layer could
#: have begun.
_IDLE_TO_BEGIN = 1


@dataclass(frozen=True, eq=False)
class InterleavedTiming:
    """When inferences did what. Cycles count from one for all of them.

    Attributes
    ----------
    begins, hand_overs : int64 arrays of shape (inferences,)
        Cycles in which each began, and in which its output was handed over.
    written : int64 array of shape (inferences, layers)
        Cycles in which each layer's last activation was written.
    blocked : int64 array of shape (inferences,)
        Cycles in which a column waited for room in a queue, summed over column groups.
    """

    begins: NDArray[np.int64]
    hand_overs: NDArray[np.int64]
    written: NDArray[np.int64]
    blocked: NDArray[np.int64]

    @property
    def cycles(self) -> NDArray[np.int64]:
        """Cycles of each inference, as the engine counts them: its latency."""
        return self.written[:, -1] - self.begins

    @property
    def layer_cycles(self) -> NDArray[np.int64]:
        """Cycles of each layer, shape (inferences, layers): from one's last write to the next's."""
        return np.diff(self.written, axis=1, prepend=self.begins[:, None])


def time_interleaved(config: SparseConfig, inferences: Sequence[Sequence[LayerInputs]],
                     begin: Callable[[int, int], int], hand_over: Callable[[int, int], int]
                     ) -> InterleavedTiming:
    """Run the cycle model over inferences of one network.

    Parameters
    ----------
    config : SparseConfig
        An engine whose inferences are interleaved.
    inferences : sequence of sequences of LayerInputs
        The layers of each inference.
    begin : callable
        Tells the cycle in which an inference begins: takes its number and the first cycle in which
        it may.
    hand_over : callable
        Tells the cycle in which an output is handed over: takes the inference's number and the
        cycle of its last write. Called in the order of the inferences.
    """
    count, layers = len(inferences), len(inferences[0])
    begins, hand_overs, blocked = (np.zeros(count, np.int64) for _ in range(3))
    written = np.zeros((count, layers), np.int64)
    queues = PeQueues(config)
    free = [0, 0]  # First cycle in which an inference may begin in each of two contexts.
    begun = 0
    waiting: dict[int, tuple[int, int, int]] = {}  # by context: inference, layer, cycle to begin

    def next_begin() -> int | None:
        return begin(begun, free[begun % 2]) if begun < count else None

    upcoming = next_begin()

    def begin_next() -> None:
        nonlocal begun, upcoming
        assert upcoming is not None
        begins[begun] = upcoming
        waiting[begun % 2] = begun, 0, upcoming
        begun += 1
        # The one after the next needs the context of one that has not been handed over.
        upcoming = None

    context = 1  # whose layer was broadcast last
    idle = -_IDLE_TO_BEGIN - 1
    drained = -WRITE_TO_DRAIN  # Cycle of the last write, or hand-over, before.
    for _ in range(count * layers):
        other = 1 - context
        if upcoming is None and begun < count and begun % 2 not in waiting:
            upcoming = next_begin()
        if other in waiting or (upcoming is not None and upcoming <= idle + _IDLE_TO_BEGIN):
            context = other
        elif context in waiting and (upcoming is None or waiting[context][2] < upcoming):
            pass
        else:
            context = begun % 2
        if context not in waiting:
            begin_next()
        number, layer, start = waiting.pop(context)
        start = max(start, idle + _IDLE_TO_BEGIN)
        inputs = inferences[number][layer]
        idle = finished = 0
        for group, columns in enumerate(inputs.columns):
            broadcast = broadcast_group(columns, queues, group, len(inputs.columns), start)
            idle = max(idle, broadcast.idle)
            finished = max(finished, broadcast.finished)
            blocked[number] += broadcast.blocked
        drain = max(finished + IDLE_TO_DRAIN, drained + WRITE_TO_DRAIN)
        drained = drain + inputs.output_words * config.pes_per_lane - 1 + drain_to_write(config)
        written[number, layer] = drained
        if layer < layers - 1:
            waiting[context] = number, layer + 1, drained - layer_lead(config, inputs.output_words)
        else:
            hand_overs[number] = drained = hand_over(number, drained)
            free[context] = drained + TO_NEXT
    return InterleavedTiming(begins, hand_overs, written, blocked)


def stream_interleaved(config: SparseConfig, inferences: Sequence[Sequence[LayerInputs]],
                       input_beats: int, output_beats: int
                       ) -> tuple[InterleavedTiming, StreamTiming]:
    """Run the cycle model over a stream of inferences, whose sender and receiver never wait.

    Cycles count from the first beat of the first input.
    """
    sent = output_cycles(config, output_beats)
    inputs, outputs = [0], []
    clear = 0  # First cycle in which an output may be handed over.

    def begin(number: int, free: int) -> int:
        cycle = max(inputs[number] + input_beats - 1 + TO_BEGIN, free)
        inputs[number + 1:] = [cycle + TO_INPUT]
        return cycle

    def hand_over(_: int, written: int) -> int:
        nonlocal clear
        cycle = max(written, clear)
        outputs.append(cycle + TO_OUTPUT)
        clear = outputs[-1] + sent - 1 + TO_SENT
        return cycle

    timing = time_interleaved(config, inferences, begin, hand_over)
    return timing, StreamTiming(np.array(inputs[:-1], np.int64), np.array(outputs, np.int64))


def steady_interval(config: SparseConfig, inferences: Sequence[Sequence[LayerInputs]],
                    input_beats: int, output_beats: int) -> float:
    """Return the mean cycles from one input to the next in a stream that repeats some.

    The stream goes over them twice, and the second time counts: what the beginning is like, before
    two are under way, does not.
    """
    count = len(inferences)
    _, stream = stream_interleaved(config, [*inferences, *inferences, inferences[0]], input_beats,
                                   output_beats)
    return float(stream.inputs[2 * count] - stream.inputs[count]) / count
