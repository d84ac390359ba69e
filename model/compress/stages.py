"""Compression from one end to the other, and what each of its stages is worth."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.compress.pruning import magnitude_mask, quality_mask
from eieio.model.compress.weight_sharing import Initialisation, code_widths, share_weights
from eieio.model.errors import InputError
from eieio.model.formats.compressed import dump, layer_sizes, layer_weights
from eieio.model.graph.float_graph import FloatGraph

__all__ = ["Compression", "Stage", "compress_network", "prune_network"]


@dataclass(frozen=True)
class Stage:
    """Size of a network at a stage of its compression.

    Attributes
    ----------
    name : :class:`str`
        ``"float32"``, ``"pruned"``, ``"shared"`` or ``"huffman"``.
    density : :class:`float`
        Share of the weights that are stored as nonzero.
    bytes : :class:`int`
        Size of the file, headers, biases and tables included; of ``"float32"``, four bytes for
        each weight and bias.
    bits_per_weight, bits_per_nonzero : :class:`float`
        Bits of the file for each weight, and for each that is not zero.
    ratio : :class:`float`
        How many times smaller than ``"float32"``.
    """

    name: str
    density: float
    bytes: int
    bits_per_weight: float
    bits_per_nonzero: float
    ratio: float

    def to_dict(self) -> dict[str, Any]:
        """Return a mapping of names to values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Compression:
    """A network on its way through compression.

    Attributes
    ----------
    original : FloatGraph
        As it was given.
    pruned : FloatGraph
        With the weights that were removed set to zero.
    shared : FloatGraph
        With shared weights.
    """

    original: FloatGraph
    pruned: FloatGraph
    shared: FloatGraph

    def stages(self) -> list[Stage]:
        """Measure every stage, by the bytes of its file."""
        weights = sum(layer.weight.size for layer in self.original.weighted)
        codes = sum(int(np.count_nonzero(layer.codes)) for layer in self.shared.weighted) / weights
        baseline = 4 * self.original.parameters
        sizes = [
            ("float32", self.original.density, baseline),
            ("pruned", self.pruned.density, len(dump(self.pruned))),
            ("shared", codes, len(dump(self.shared, "shared"))),
            ("huffman", codes, len(dump(self.shared, "huffman"))),
        ]
        return [Stage(name, density, size, 8 * size / weights,
                      8 * size / max(round(density * weights), 1), baseline / size)
                for name, density, size in sizes]

    def layers(self) -> list[dict[str, Any]]:
        """Describe each layer with shared weights, by the bytes of its file.

        Among others, ``bytes`` in the file of ``"huffman"``, and ``entries``: nonzero weights, and
        the fillers between those too far apart. An entry's ``weight_bits`` and ``run_bits`` are
        those of ``"shared"``; ``weight_bits_huffman`` and ``run_bits_huffman`` are means of
        ``"huffman"``, without the tables of the codes.
        """
        return [{
            "name": layer.name,
            "kind": type(layer).__name__,
            "inputs": layer.input.elements,
            "outputs": layer.output.elements,
            "weights": layer.codes.size,
            "density": int(np.count_nonzero(layer.codes)) / layer.codes.size,
            "code_width": layer.code_width,
            "different_weights": int(np.unique(layer.codes[layer.codes != 0]).size),
            "weight_bits": plain.code_width,
            "weight_bits_huffman": 8 * len(coded.codes) / max(coded.entries, 1),
            "run_bits": plain.run_width,
            "run_bits_huffman": 8 * len(coded.runs) / max(coded.entries, 1),
            "entries": coded.entries,
            "bytes_shared": plain_size,
            "bytes": size,
        } for layer, plain, coded, plain_size, size in zip(
            self.shared.weighted, layer_weights(self.shared, "shared"), layer_weights(self.shared),
            layer_sizes(self.shared, "shared"), layer_sizes(self.shared), strict=True)]


def prune_network(network: FloatGraph, amounts: Sequence[float],
                  mask: Callable[[NDArray[np.floating], float], NDArray[np.bool_]],
                  what: str) -> FloatGraph:
    """Prune each operator that has weights once, by magnitude.

    Parameters
    ----------
    network : FloatGraph
        Network to prune.
    amounts : sequence of :class:`float`
        One for all layers, or one for each.
    mask : callable
        :func:`~eieio.model.compress.pruning.magnitude_mask` or
        :func:`~eieio.model.compress.pruning.quality_mask`.
    what : :class:`str`
        What an error message calls the amounts.

    Returns
    -------
    FloatGraph
        Network with fewer nonzero weights.

    Raises
    ------
    InputError
        If there is another number of amounts, or one is out of its range.
    """
    layers = network.weighted
    if len(amounts) == 1:
        amounts = [*amounts] * len(layers)
    if len(amounts) != len(layers):
        raise InputError(f"{what} must be given once or for {len(layers)} layers, "
                         f"not for {len(amounts)}")
    return network.with_weighted(
        replace(layer, weight=np.where(mask(layer.weight, amount), layer.weight, np.float32(0)),
                shared=None)
        for layer, amount in zip(layers, amounts, strict=True))


def compress_network(network: FloatGraph, *, density: Sequence[float] = (),
                     quality: Sequence[float] = (), code_width: int | Sequence[int] | None = None,
                     initialisation: Initialisation = "optimal", seed: int = 0) -> Compression:
    """Prune a network, if asked to, and share the weights of every operator that has some.

    Weights that are shared already stay as they are, unless the network is pruned or other code
    widths are asked for. Sharing is exact if no layer has more different nonzero weights than
    codes.

    Parameters
    ----------
    network : FloatGraph
        Network to compress.
    density : sequence of :class:`float`
        Share of the weights to keep, for all layers or for each.
    quality : sequence of :class:`float`
        Instead, the magnitude below which weights go, in standard deviations of the layer.
    code_width : :class:`int` or sequence of :class:`int`, optional
        Bits of a weight code, from 2 to 8, for all layers or for each. The default is that of
        the shared weights, or 4.
    initialisation, seed
        See :func:`eieio.model.compress.weight_sharing.cluster`.

    Returns
    -------
    Compression
        The network before and after.

    Raises
    ------
    InputError
        If a parameter does not fit, or the network has no weights, or those of 8-bit integers.
    """
    if density and quality:
        raise InputError("Pruning takes a density or a quality, not both")
    layers = network.weighted
    if not layers:
        raise InputError(f"Network {network.name!r} must have weights to be compressed")
    if any(layer.weight_scale is not None for layer in layers):
        raise InputError(f"Network {network.name!r} is quantized to 8 bits: the network of real "
                         "numbers must be compressed instead")
    pruned = network
    if density:
        pruned = prune_network(network, density, magnitude_mask, "Density")
    elif quality:
        pruned = prune_network(network, quality, quality_mask, "Quality")
    widths = None if code_width is None else code_widths(network, code_width)
    if all(layer.shared for layer in layers):
        own = [layer.code_width for layer in layers]
        if pruned is network and all(width <= most for width, most in zip(
                own, widths or own, strict=True)):
            return Compression(network, pruned, network)
        widths = widths or own
    shared = share_weights(pruned, widths or 4, initialisation, seed)
    return Compression(network, pruned, shared)
