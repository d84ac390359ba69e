"""What a host must know of a network for the sparse engine."""

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.quantized_graph import LogSoftmax, Softmax, Tensor
from eieio.model.host_image import HostImage, Packing, Quantization
from eieio.model.image_frame import fingerprint
from eieio.model.sparse.chain import host_operators
from eieio.model.sparse.mapping import CompiledNetwork

__all__ = ["sparse_host_image"]


def sparse_host_image(compiled: CompiledNetwork) -> HostImage:
    """Return what a host must know of a network for the sparse engine.

    Its integers are those of the network; the streams carry them less the zero point.
    """
    config, network = compiled.config, compiled.network
    first, last = compiled.layers[0], compiled.layers[-1]
    result, host = last.layer.output, host_operators(network)

    def packing(positions: NDArray[np.int64], size: int, tensor: Tensor) -> Packing:
        return Packing(positions, size, config.activation_width, config.io_lanes,
                       tensor.zero_point)

    return HostImage(
        network.name, "sparse", config, fingerprint("sparse", config), compiled.image(),
        packing(first.input_positions, first.matrix.shape[1], network.input),
        packing(last.output_positions, last.matrix.shape[0], result),
        _numbers(network.input), _numbers(network.output, *(
            () if host else (last.layer.minimum, last.layer.maximum))),
        network.input.shape, network.output.shape, channels_first=network.channels_first,
        integer_input=network.integer_input,
        softmax=tuple((operator.multiplier, operator.shift) for operator in host
                      if isinstance(operator, Softmax)),
        log_softmax=result.scale if any(isinstance(operator, LogSoftmax) for operator in host)
        else None)


def _numbers(tensor: Tensor, minimum: int | None = None, maximum: int | None = None
             ) -> Quantization:
    return Quantization(
        tensor.scale, tensor.zero_point, tensor.minimum if minimum is None else minimum,
        tensor.maximum if maximum is None else maximum, "even" if tensor.symmetric else "away")
