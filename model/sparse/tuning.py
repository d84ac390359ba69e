"""Choice of the column groups of each layer, by the cycle model."""

import numpy as np
from numpy.typing import NDArray

from eieio.model.sparse.balance import is_balanced
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.golden import run_network
from eieio.model.sparse.mapping import compile_network
from eieio.model.sparse.quantized_network import QuantizedNetwork
from eieio.model.sparse.timing import LayerWork, simulate_layer

__all__ = ["choose_groups"]


def choose_groups(network: QuantizedNetwork, config: SparseConfig, x: NDArray[np.integer], *,
                  balance: str = "hidden") -> list[int]:
    """Choose the number of column groups that takes each layer the fewest cycles.

    Parameters
    ----------
    network : QuantizedNetwork
        Network to run.
    config : SparseConfig
        Engine to run it on.
    x : integer array of shape (samples, inputs)
        Typical inputs; a few are enough.
    balance : :class:`str`
        As :func:`eieio.model.sparse.mapping.compile_network` will be told.

    Returns
    -------
    list of :class:`int`
        Column groups of each layer.
    """
    sources = [x, *run_network(network, x)[:-1]]
    chosen = []
    for layer, source in zip(network.layers, sources, strict=True):
        balanced = is_balanced(balance, last=layer is network.layers[-1])
        alone = QuantizedNetwork(network.name, (layer,), network.activation_width)
        cycles = {}
        for groups in config.column_group_choices:
            if -(-layer.outputs // config.pes) * groups > config.accumulator_depth:
                break
            compiled = compile_network(alone, config, groups=[groups],
                                       balance="all" if balanced else "none")
            work = LayerWork.of(compiled.layers[0].matrix, config)
            cycles[groups] = sum(simulate_layer(work, sample).cycles
                                 for sample in compiled.to_engine(source))
        chosen.append(min(cycles, key=lambda groups: (cycles[groups], groups)) if cycles else 1)
    return chosen
