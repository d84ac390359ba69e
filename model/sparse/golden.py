"""Golden model of the sparse engine: what it must output, integer for integer."""

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.fixed_point import requantize
from eieio.model.sparse.quantized_network import QuantizedLayer, QuantizedNetwork

__all__ = ["run_layer", "run_network"]


def run_layer(layer: QuantizedLayer, x: NDArray[np.integer]) -> NDArray[np.int32]:
    """Compute one layer.

    Written from the mathematics: a matrix product, the biases, and requantization.

    Parameters
    ----------
    layer : QuantizedLayer
        Layer to compute.
    x : integer array of shape (samples, inputs)
        Source activations.

    Returns
    -------
    int32 array of shape (samples, outputs)
        Destination activations.

    Raises
    ------
    InputError
        If the shape does not fit.
    """
    if x.ndim != 2 or x.shape[1] != layer.inputs:
        raise InputError(f"Input must have shape (samples, {layer.inputs}), not {x.shape}")
    # Accumulators have at most 48 bits, so that float64 holds every sum exactly.
    weight = layer.codebook.astype(np.float64)[layer.codes]
    sums = (x.astype(np.float64) @ weight.T).astype(np.int64) + layer.bias
    return requantize(sums, layer.multiplier, layer.shift, 0, layer.minimum, layer.maximum,
                      single_rounding=layer.single_rounding).astype(np.int32)


def run_network(network: QuantizedNetwork, x: NDArray[np.integer]) -> list[NDArray[np.int32]]:
    """Compute every layer; the outputs of the last are the network's.

    Parameters
    ----------
    network : QuantizedNetwork
        Network to compute.
    x : integer array of shape (samples, inputs)
        Inputs, as :meth:`QuantizedNetwork.quantize_input` makes them.

    Returns
    -------
    list of int32 arrays of shape (samples, outputs of the layer)
        Activations of every layer.
    """
    outputs: list[NDArray[np.int32]] = []
    for layer in network.layers:
        x = run_layer(layer, x)
        outputs.append(x)
    return outputs
