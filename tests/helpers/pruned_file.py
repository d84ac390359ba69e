"""Files of networks whose weights are pruned, and not shared."""

from dataclasses import replace

from eieio.model.formats.compressed import dump
from eieio.model.graph.float_graph import FloatGraph


def dump_pruned(network: FloatGraph) -> bytes:
    """Write a network as if its weights were not shared."""
    return dump(network.with_weighted(replace(layer, shared=None) for layer in network.weighted))
