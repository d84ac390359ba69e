"""Cycle model of the mixed engine: both engines' own models, and the step between them.

One inference alone takes the systolic engine's cycles, :func:`hand_over`, and the sparse engine's.
Of a stream of inputs each engine has one: the systolic engine takes the next input as soon as its
output has gone, and waits with an output until the sparse engine has sent its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.interval import Interval
from eieio.model.mixed.config import MixedConfig
from eieio.model.mixed.mapping import CompiledMixed
from eieio.model.sparse import timing as sparse
from eieio.model.sparse.timing import LayerTiming, NetworkTimer, StreamTiming
from eieio.model.systolic import timing as systolic
from eieio.model.systolic.timing import GraphTiming, time_graph

__all__ = ["InferenceTiming", "MixedTimer", "hand_over", "mixed_interval",
           "time_stream"]

#: Cycles from the systolic engine's last write to the offer of its output's first beat.
TO_OFFER = systolic.START + systolic.TO_OUTPUT
#: Cycles from the offer of an output's first beat until the bridge takes it: it looks whether the
#: sparse engine is ready.
OFFER = 1
#: Cycles from a beat's way into the bridge to the sparse engine: converted, and a buffer.
BRIDGE = 2


@dataclass(frozen=True, eq=False)
class InferenceTiming:
    """What an inference takes.

    Attributes
    ----------
    convolutions : GraphTiming
        In the systolic engine; it does not depend on the input.
    hand_over : :class:`int`
        Cycles between the engines, if neither waits.
    dense : list of LayerTiming
        In the sparse engine, by layer.
    """

    convolutions: GraphTiming
    hand_over: int
    dense: list[LayerTiming]

    @property
    def dense_cycles(self) -> int:
        """Cycles of the sparse engine."""
        return sum(layer.cycles for layer in self.dense)

    @property
    def cycles(self) -> int:
        """All cycles."""
        return self.convolutions.cycles + self.hand_over + self.dense_cycles

    @property
    def layer_cycles(self) -> list[int]:
        """Cycles of each layer, the step between the engines among them."""
        return [*(layer.cycles for layer in self.convolutions.layers), self.hand_over,
                *(layer.cycles for layer in self.dense)]

    @property
    def macs(self) -> int:
        """Multiplications of both engines, as they count them."""
        return self.convolutions.macs + sum(int(layer.products.sum()) for layer in self.dense)

    @property
    def stalls(self) -> tuple[int, int, int]:
        """Waits for accumulators, for a transform, and for queues."""
        return (self.convolutions.accumulator_stalls, self.convolutions.transform_stalls,
                sum(layer.blocked_cycles for layer in self.dense))


class MixedTimer:
    """The cycle model over a compiled network, whose weights are looked through once."""

    def __init__(self, compiled: CompiledMixed) -> None:
        self._compiled = compiled
        self.convolutions = time_graph(compiled.config.convolutions,
                                       [layer.work for layer in compiled.convolutions.layers])
        self._dense = NetworkTimer(compiled.dense)
        self._hand_over = hand_over(compiled.config, compiled.handed_beats)

    def __call__(self, x: NDArray[np.integer]) -> list[InferenceTiming]:
        """Time inferences of inputs of shape (samples, and the shape of the input)."""
        compiled = self._compiled
        values = compiled.run(x)
        handed = values[compiled.between.name]
        outputs = [values[layer.layer.output.name].reshape(len(x), -1)
                   for layer in compiled.dense.layers]
        return [InferenceTiming(self.convolutions, self._hand_over, self._dense(
            handed[number].reshape(-1), [layer[number] for layer in outputs]))
            for number in range(len(x))]


def hand_over(config: MixedConfig, beats: int) -> int:
    """Count the cycles from the systolic engine's last write to the sparse engine's beginning.

    Parameters
    ----------
    config : MixedConfig
        The engine.
    beats : :class:`int`
        Beats in which the tensor leaves the systolic engine.
    """
    return (TO_OFFER + OFFER + BRIDGE + beats * config.parts + sparse.TO_BEGIN)


def time_stream(compiled: CompiledMixed, timings: Sequence[InferenceTiming], input_beats: int,
                output_beats: int) -> StreamTiming:
    """Tell when the beats of a stream move.

    Parameters
    ----------
    compiled : CompiledMixed
        The network.
    timings : sequence of InferenceTiming
        What each inference takes.
    input_beats, output_beats : :class:`int`
        Beats of an input and of an output.
    """
    config, beats = compiled.config, compiled.handed_beats
    sent = sparse.output_cycles(config.dense, output_beats)
    # Cycles from which an engine takes its input, from which the systolic one has the descriptor of
    # its first layer, and those of first beats.
    free = ready = fetched = 0
    inputs, outputs = [], []
    for timing in timings:
        inputs.append(free)
        end = max(free + input_beats + systolic.TO_BEGIN, fetched) + timing.convolutions.cycles
        fetched = end + systolic.FETCH
        taken = max(end + TO_OFFER, ready) + OFFER
        free = taken + (beats - 1) * config.parts + systolic.TO_INPUT + 1
        outputs.append(taken + BRIDGE + beats * config.parts - 1 + sparse.TO_BEGIN
                       + timing.dense_cycles + sparse.TO_OUTPUT)
        ready = outputs[-1] + sent - 1 + sparse.TO_SENT + sparse.TO_OPEN
    return StreamTiming(np.array(inputs, np.int64), np.array(outputs, np.int64))


def mixed_interval(config: MixedConfig, cycles: float, convolutions: int, beats: int,
                   input_beats: int, output_beats: int) -> Interval:
    """Return what an inference takes with its input and output, in a long stream.

    Inputs follow one another in the interval of the slower engine; if that is now the one and now
    the other, a little later.

    Parameters
    ----------
    config : MixedConfig
        The engine.
    cycles : :class:`float`
        Cycles of the inference.
    convolutions : :class:`int`
        Those of the systolic engine among them.
    beats : :class:`int`
        Beats in which the tensor between the engines leaves the systolic one.
    input_beats, output_beats : :class:`int`
        Beats of an input and of an output.
    """
    dense = cycles - convolutions - hand_over(config, beats)
    sent = sparse.output_cycles(config.dense, output_beats)
    alone = Interval(input_beats, cycles, sent, systolic.TO_BEGIN + sparse.TO_OUTPUT - 1)
    # Meanwhile the descriptor of the next inference's first layer is fetched.
    first = convolutions + max(input_beats + systolic.TO_BEGIN + TO_OFFER + OFFER
                               + (beats - 1) * config.parts + 1 + systolic.TO_INPUT,
                               systolic.FETCH)
    second = (OFFER + BRIDGE + beats * config.parts - 1 + sparse.TO_BEGIN + dense
              + sparse.TO_OUTPUT + sent - 1 + sparse.TO_SENT + sparse.TO_OPEN)
    return Interval(alone.input, cycles, sent, alone.handshakes,
                    alone.cycles - max(first, second))
