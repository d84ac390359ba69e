"""What a host must know of a network for the sparse engine."""

import numpy as np
from numpy.typing import NDArray

from eieio.model.host_image import HostImage, Packing, Quantization
from eieio.model.image_frame import fingerprint
from eieio.model.sparse.mapping import CompiledNetwork

__all__ = ["sparse_host_image"]


def sparse_host_image(compiled: CompiledNetwork) -> HostImage:
    """Return what a host must know of a network for the sparse engine."""
    config, network = compiled.config, compiled.network
    first, last = compiled.layers[0], compiled.layers[-1]
    maximum = config.activation_maximum

    def packing(positions: NDArray[np.int64], size: int) -> Packing:
        return Packing(positions, size, config.activation_width, config.io_lanes)

    return HostImage(
        network.name, "sparse", config, fingerprint("sparse", config), compiled.image(),
        packing(first.input_positions, first.matrix.shape[1]),
        packing(last.output_positions, last.matrix.shape[0]),
        Quantization(network.input_scale, 0, -maximum, maximum),
        Quantization(network.output_scale, 0, last.layer.minimum, last.layer.maximum),
        (first.input_positions.size,), (last.output_positions.size,))
