"""Fits a sparse engine to a network: its memories are just large enough."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.mapping import CompiledNetwork, compile_network

__all__ = ["MEMORY_DEPTHS", "exact_memories", "fit_memories", "fitted_config", "memory_needs",
           "roomy"]

#: Options that size a memory, with the largest depth that a configuration can have.
MEMORY_DEPTHS = {
    "entry_depth": 1 << 24,
    "pointer_depth": 1 << 20,
    "accumulator_depth": 1 << 14,
    "activation_depth": 1 << 15,
    "output_depth": 1 << 16,
    "layer_depth": 256,
}


def fitted_config(network: QuantizedGraph, config: SparseConfig, *,
                  groups: Sequence[int] | None = None,
                  keep: Collection[str] = (), exact: bool = False) -> SparseConfig:
    """Choose the memory depths that a network needs.

    Each is a power of two, as block RAM has them, unless ``exact``.

    Parameters
    ----------
    network : QuantizedGraph
        Network that must fit.
    config : SparseConfig
        Everything but the memory depths.
    groups : sequence of :class:`int`, optional
        Column groups for each layer, as :func:`~eieio.model.sparse.mapping.compile_network` takes
        them.
    keep : collection of :class:`str`
        Memory depths that stay as they are in ``config``.
    exact : :class:`bool`
        Whether they are just what the network needs: of an FPGA that is nearly full, block RAMs for
        the next power of two are not to spare.

    Returns
    -------
    SparseConfig
        ``config`` with fitting depths.

    Raises
    ------
    InputError
        If the network does not fit into a depth that is kept, or into any engine.
    """
    compiled = compile_network(network, roomy(config, keep), groups=groups)
    return fit_memories(compiled, config, keep=keep, exact=exact)


def fit_memories(compiled: CompiledNetwork, config: SparseConfig, *,
                 keep: Collection[str] = (), exact: bool = False) -> SparseConfig:
    """Choose the memory depths that a network needs which is compiled for :func:`roomy` ones.

    ``config``, ``keep`` and ``exact`` are those of :func:`fitted_config`.
    """
    needs = memory_needs(compiled)
    smallest = {"entry_depth": 4, "pointer_depth": 4,
                "accumulator_depth": 2 * config.column_groups}
    # Of an activation buffer there are two, the second one from a power of two on.
    steps = {"entry_depth": 2, "pointer_depth": 2, "accumulator_depth": config.column_groups}

    def rounded(name: str, need: int) -> int:
        need = max(need, smallest.get(name, 2))
        if not exact or name == "activation_depth":
            return 1 << (need - 1).bit_length()
        return -(-need // steps.get(name, 1)) * steps.get(name, 1)

    return replace(config, **{name: rounded(name, need) for name, need in needs.items()
                              if name not in keep})


def memory_needs(compiled: CompiledNetwork) -> dict[str, int]:
    """Tell how much of each memory a network uses, by the option that sizes it."""
    layers = compiled.layers
    pes = compiled.config.pes
    return {
        "entry_depth": int(max((layer.entry_base + layer.matrix.pointers[:, -1]).max()
                               for layer in layers)),
        "pointer_depth": max(layer.pointer_base + layer.matrix.pointers.shape[1]
                             for layer in layers),
        "accumulator_depth": max(layer.matrix.slots for layer in layers),
        "activation_depth": max(-(-side // pes) for layer in layers
                                for side in layer.matrix.shape),
        "output_depth": sum(-(-layer.outputs // pes) for layer in layers),
        "layer_depth": len(layers),
    }


def roomy(config: SparseConfig, keep: Collection[str] = ()) -> SparseConfig:
    """Make all memories that may change as large as they can be."""
    return replace(config, **{
        name: depth for name, depth in MEMORY_DEPTHS.items() if name not in keep})


def exact_memories(compiled: CompiledNetwork, keep: Collection[str] = ()) -> CompiledNetwork:
    """Make the memories of a compiled network's engine just as deep as it needs."""
    return replace(compiled, config=fit_memories(compiled, compiled.config, keep=keep, exact=True))
