"""What the mixed engine moves: as both engines do, but what is between them passes no port."""

from collections.abc import Sequence
from dataclasses import replace

from eieio.model.accesses import Accesses, mean
from eieio.model.mixed.mapping import CompiledMixed
from eieio.model.mixed.timing import InferenceTiming
from eieio.model.sparse import accesses as sparse
from eieio.model.systolic import accesses as systolic

__all__ = ["layer_accesses"]


def layer_accesses(compiled: CompiledMixed, timings: Sequence[InferenceTiming]) -> list[Accesses]:
    """Count what each layer moves, as the mean of inferences.

    The tensor between the engines is read from the buffer of the one and written into that of the
    other; it goes through no port of the whole.

    Parameters
    ----------
    compiled : CompiledMixed
        Network.
    timings : sequence of InferenceTiming
        What the cycle model says of each inference.
    """
    first, second = compiled.convolutions, compiled.dense
    layers = systolic.layer_accesses(first, timings[0].convolutions.layers)
    sent = systolic.stream_bits(first.output.pixels, first.output.words, first.config)
    layers[-1] = replace(layers[-1], outer=layers[-1].outer - sent)
    inferences = [sparse.layer_accesses(second, timing.dense) for timing in timings]
    dense = [mean(each) for each in zip(*inferences, strict=True)]
    taken = second.layers[0].inputs * second.config.activation_width
    dense[0] = replace(dense[0], outer=dense[0].outer - taken)
    return [*layers, *dense]
