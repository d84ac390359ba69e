"""Model of what a tensor core moves, level by level."""

from collections.abc import Sequence

from eieio.model.accesses import Accesses
from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.engine_timing import DescriptorTiming
from eieio.model.tensor_core.mapping import CompiledNetwork, Descriptor
from eieio.model.tensor_core.profile import layer_timings

__all__ = ["layer_accesses"]

_NUMBER, _SUM = 16, 32


def layer_accesses(compiled: CompiledNetwork, timings: Sequence[DescriptorTiming]
                   ) -> list[Accesses]:
    """Count what each layer moves in an inference.

    *Register*: operands that wait for a step, and sums. *Array*: of a step, each row of activations
    goes to all columns, and each column of weights to all rows. *Buffer*: the memories of weights,
    biases and activations. *Outer*: the input is the first layer's, the output the last one's.
    """
    config = compiled.config
    beats = {0: compiled.input_beats}
    end = len(compiled.layers) - 1
    beats[end] = beats.get(end, 0) + compiled.output_beats
    found = []
    for number, (layer, timing) in enumerate(layer_timings(compiled, timings)):
        moved = [_moved(each, config) for each in layer.descriptors]
        register, array, buffer, weights, macs = map(sum, zip(*moved, strict=True))
        outer = beats.get(number, 0) * _NUMBER * config.products
        found.append(Accesses(
            layer.name, timing.cycles, layer.macs, macs, product_bits=macs * _NUMBER**2,
            sum_bits=macs * _SUM, register=register, array=array, buffer=buffer + outer,
            outer=outer, weights=weights))
    return found


def _moved(descriptor: Descriptor, config: TensorCoreConfig) -> tuple[int, int, int, int, int]:
    """Bits in registers, in the array, of buffers, of weights; and multiplications."""
    rows, columns, products = config.rows, config.columns, config.products
    passes = descriptor.steps(products)
    window_tiles = -(-descriptor.windows // rows)
    tiles = window_tiles * descriptor.column_tiles
    steps = 0 if descriptor.maximum else passes * tiles
    operand = _NUMBER * products
    read_rows = descriptor.windows * passes
    step_operands = passes * window_tiles * descriptor.column_tiles * rows
    register = operand * (read_rows + step_operands)
    # Sums are read and written by each step, but for biases first; results are kept once more.
    register += _SUM * rows * columns * (
        max(2 * steps - tiles, 0) + tiles + (0 if descriptor.maximum else tiles))
    array = 2 * steps * rows * columns * operand
    weights = steps * columns * operand
    results = _NUMBER * descriptor.windows * (
        (descriptor.column_tiles - 1) * columns + descriptor.last_lanes)
    biases = 0 if descriptor.maximum else _SUM * columns * tiles
    buffer = operand * read_rows + weights + biases + results
    return register, array, buffer, weights, steps * config.multipliers
