"""What the sparse engine moves: accesses by level, layer by layer, for given activations."""

from collections.abc import Sequence

from eieio.model.accesses import Accesses
from eieio.model.sparse.mapping import CompiledLayer, CompiledNetwork
from eieio.model.sparse.timing import LayerTiming

__all__ = ["layer_accesses"]

#: Bits of a multiplier and a shift for each output of a ``per_channel`` engine.
_FACTOR_BITS = 36


def layer_accesses(compiled: CompiledNetwork, timings: Sequence[LayerTiming]) -> list[Accesses]:
    """Count what each layer moves in an inference.

    A processing element's own are its codebook, accumulators and queues. Its entries and pointers,
    activations and biases are the network's memories. A column that is broadcast costs two pointers
    in each processing element of its group, and an activation to each.

    Parameters
    ----------
    compiled : CompiledNetwork
        Network.
    timings : sequence of LayerTiming
        What the cycle model says of its layers.
    """
    last = len(compiled.layers) - 1
    return [_layer(compiled, layer, timing,
                   inputs=layer.inputs if number == 0 else 0,
                   outputs=layer.outputs if number == last else 0)
            for number, (layer, timing) in enumerate(zip(compiled.layers, timings, strict=True))]


def _layer(compiled: CompiledNetwork, layer: CompiledLayer, timing: LayerTiming, *, inputs: int,
           outputs: int) -> Accesses:
    config = compiled.config
    macs = int(timing.products.sum())
    reached = timing.broadcasts * (config.pes // layer.groups)
    pointer = config.entry_depth.bit_length()
    outer = (inputs + outputs) * config.activation_width
    # Places without an activation are read and written like others.
    rows, columns = layer.matrix.shape
    weights = timing.entries * (config.code_width + config.run_width)
    places = -(-columns // config.pes) * config.pes
    buffer = (weights + reached * 2 * pointer + places * (config.activation_width + 1)
              + rows * (config.activation_width + 1 + config.accumulator_width
                        + _FACTOR_BITS * config.per_channel)
              + outer)
    return Accesses(
        layer.layer.name, timing.cycles, layer.inputs * layer.outputs, macs,
        product_bits=macs * config.activation_width * config.weight_width,
        sum_bits=macs * config.accumulator_width,
        register=(macs * (config.weight_width + 2 * config.accumulator_width)
                  + reached * 2 * config.activation_width
                  + rows * layer.groups * config.accumulator_width),
        array=reached * config.activation_width,
        buffer=buffer, outer=outer, weights=weights)
