"""Fits a sparse engine to a network: its memories are just large enough."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.shared_network import SharedNetwork
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.mapping import CompiledNetwork, compile_network
from eieio.model.sparse.quantized_network import QuantizedNetwork, quantize_network
from eieio.model.sparse.tuning import choose_groups

__all__ = ["MEMORY_DEPTHS", "compile_fitted", "fitted_config"]

#: Options that size a memory, with the largest depth that a configuration can have.
MEMORY_DEPTHS = {
    "entry_depth": 1 << 24,
    "pointer_depth": 1 << 20,
    "accumulator_depth": 1 << 14,
    "activation_depth": 1 << 15,
    "output_depth": 1 << 16,
    "layer_depth": 256,
}

_GROUP_SAMPLES = 4


def fitted_config(network: QuantizedNetwork, config: SparseConfig, *,
                  groups: Sequence[int] | None = None,
                  keep: Collection[str] = ()) -> SparseConfig:
    """Choose the memory depths that a network needs.

    Each is a power of two, as block RAM has them.

    Parameters
    ----------
    network : QuantizedNetwork
        Network that must fit.
    config : SparseConfig
        Everything but the memory depths.
    groups : sequence of :class:`int`, optional
        Column groups for each layer, as :func:`~eieio.model.sparse.mapping.compile_network` takes
        them.
    keep : collection of :class:`str`
        Memory depths that stay as they are in ``config``.

    Returns
    -------
    SparseConfig
        ``config`` with fitting depths.

    Raises
    ------
    InputError
        If the network does not fit into a depth that is kept, or into any engine.
    """
    roomy = _roomy(config, keep)
    layers = compile_network(network, roomy, groups=groups).layers
    pes = config.pes
    needs = {
        "entry_depth": int(max((layer.entry_base + layer.matrix.pointers[:, -1]).max()
                               for layer in layers)),
        "pointer_depth": max(layer.pointer_base + layer.matrix.pointers.shape[1]
                             for layer in layers),
        "accumulator_depth": max(2 * config.column_groups,
                                 max(layer.matrix.slots for layer in layers)),
        "activation_depth": max(-(-side // pes) for layer in network.layers
                                for side in (layer.inputs, layer.outputs)),
        "output_depth": sum(-(-layer.outputs // pes) for layer in network.layers),
        "layer_depth": len(layers),
    }
    smallest = {"entry_depth": 4, "pointer_depth": 4}
    return replace(config, **{
        name: 1 << (max(need, smallest.get(name, 2)) - 1).bit_length()
        for name, need in needs.items() if name not in keep})


def _roomy(config: SparseConfig, keep: Collection[str]) -> SparseConfig:
    """Make all memories that may change as large as they can be."""
    return replace(config, **{
        name: depth for name, depth in MEMORY_DEPTHS.items() if name not in keep})


def compile_fitted(network: SharedNetwork, samples: NDArray[np.floating],
                   options: Mapping[str, Any]) -> CompiledNetwork:
    """Quantize a network and compile it for an engine that fits it.

    Parameters
    ----------
    network : SharedNetwork
        Network to compile.
    samples : float array of shape (samples, inputs)
        Typical inputs: they set the scales, and the first few choose the column groups.
    options : mapping of :class:`str`
        Options of the engine (:class:`~eieio.model.sparse.config.SparseConfig`) by name. Code
        width and memory depths that are not given are what the network needs; others have the
        configuration's defaults.

    Returns
    -------
    CompiledNetwork
        The network in an engine.

    Raises
    ------
    InputError
        If an option or the samples do not fit, an accumulator could overflow, or the network does
        not fit into a memory depth that is given.
    """
    code_width = max(layer.code_width for layer in network.layers)
    config = SparseConfig.from_dict({"code_width": code_width, **options})
    quantized = quantize_network(network, samples, config)
    groups = choose_groups(quantized, _roomy(config, options.keys()),
                           quantized.quantize_input(samples[:_GROUP_SAMPLES]))
    config = fitted_config(quantized, config, groups=groups, keep=options.keys())
    return compile_network(quantized, config, groups=groups)
