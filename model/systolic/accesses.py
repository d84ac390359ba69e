"""What the systolic engine moves: accesses by level, layer by layer, by the cycle model."""

from eieio.model.accesses import Accesses
from eieio.model.systolic.compiled_graph import CompiledGraph, CompiledLayer
from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.timing import LayerTiming
from eieio.model.systolic.work import AddWork, ComputeWork, DepthwiseWork

__all__ = ["layer_accesses", "stream_bits"]

#: Bits of an output channel's bias, factor and shift.
_PARAMETER_BITS = 32 + 32 + 6


def layer_accesses(compiled: CompiledGraph, timings: tuple[LayerTiming, ...]) -> list[Accesses]:
    """Count what each layer moves in an inference.

    A vector enters the array as a word of the activation buffer; its activations go from column to
    column, and sums from row to row. Each processing element reads its weight from a register. Sums
    that leave the array are added in the accumulators, which are read again when they are drained.
    The depthwise unit takes each pixel once, with those above it out of its lines, which it writes
    anew; both operands of a product come out of its own registers and memories.

    Parameters
    ----------
    compiled : CompiledGraph
        Network.
    timings : tuple of LayerTiming
        What the cycle model says of its layers.
    """
    config = compiled.config
    found = []
    for number, (layer, timing) in enumerate(zip(compiled.layers, timings, strict=True)):
        outer = 0
        if number == 0:
            outer += stream_bits(1, compiled.input_words, config)
        if number == len(compiled.layers) - 1:
            outer += stream_bits(compiled.output.pixels, compiled.output.words, config)
        found.append(_layer(compiled, layer, timing, outer))
    return found


def stream_bits(pixels: int, words: int, config: SystolicConfig) -> int:
    """Count the bits of a tensor's words as they go through a port, into the buffer or out."""
    return pixels * words * config.rows * ACTIVATION_BITS


def _layer(compiled: CompiledGraph, layer: CompiledLayer, timing: LayerTiming, outer: int
           ) -> Accesses:
    config, work, operator = compiled.config, layer.work, layer.operator
    word = config.rows * ACTIVATION_BITS
    dense = compiled.batch * operator.macs
    if isinstance(work, AddWork):
        return Accesses(layer.name, timing.cycles, dense, 0, 0, 0, 0, 0,
                        3 * work.words * word + outer, outer, 0)
    if isinstance(work, DepthwiseWork):
        return _depthwise(config, work, layer.name, timing.cycles, dense, outer)
    vectors = timing.macs // config.pes
    loaded = _tiles(work, config) * config.pes
    weights = loaded * config.stored_width
    drained = sum(work.chunks) * ((work.outputs - 1) * work.groups + work.last_groups)
    sums = vectors * config.columns * config.accumulator_width
    # Of a pass's first slot nothing is read from the accumulators.
    first = sum(work.chunks) * work.outputs * config.columns * config.accumulator_width
    if work.winograd:
        first *= config.transform.n ** 2
        drained *= config.transform.m ** 2
    looked_up = loaded * config.weight_width if config.code_width else 0
    buffer = (vectors * word + weights + looked_up + 2 * sums - first
              + drained * config.lanes * (config.accumulator_width + _PARAMETER_BITS)
              + drained * config.lanes * ACTIVATION_BITS)
    return Accesses(
        layer.name, timing.cycles, dense, timing.macs,
        product_bits=timing.macs * config.activation_width * config.weight_width,
        sum_bits=timing.macs * config.sum_width,
        register=(timing.macs + loaded) * config.weight_width,
        array=timing.macs * (config.activation_width + config.sum_width),
        buffer=buffer + outer, outer=outer, weights=weights)


def _depthwise(config: SystolicConfig, work: DepthwiseWork, name: str, cycles: int, dense: int,
               outer: int) -> Accesses:
    taps, lanes = config.depthwise_taps, config.depthwise_lanes
    macs = work.window_groups * taps * lanes
    word = config.rows * ACTIVATION_BITS
    rows = work.blocks * -(-taps * config.rows // config.columns)
    weights = rows * config.columns * config.stored_width
    looked_up = rows * config.columns * config.weight_width if config.code_width else 0
    drained = work.result_groups * lanes
    return Accesses(
        name, cycles, dense, macs,
        product_bits=macs * ACTIVATION_BITS ** 2,
        sum_bits=macs * (2 * ACTIVATION_BITS + (taps - 1).bit_length()),
        register=2 * macs * ACTIVATION_BITS + work.blocks * taps * word,
        array=0,
        buffer=(work.steps * (1 + 2 * (config.depthwise_kernel - 1)) * word + weights + looked_up
                + drained * (_PARAMETER_BITS + ACTIVATION_BITS) + outer),
        outer=outer, weights=weights)


def _tiles(work: ComputeWork, config: SystolicConfig) -> int:
    """Tiles of weights that are loaded into the array."""
    elements = config.transform.n ** 2 if work.winograd else work.slots
    return (len(work.chunks) * work.outputs * (work.slots // elements)
            * (elements // work.reuse))
