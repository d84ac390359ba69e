"""Compression from one end to the other, and what each of its stages is worth."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.compress.pruning import magnitude_mask, quality_mask
from eieio.model.compress.weight_sharing import Initialisation, share_weights
from eieio.model.errors import InputError
from eieio.model.formats.compressed import dump, pruned_size
from eieio.model.network import Network
from eieio.model.shared_network import SharedNetwork

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
    original : Network
        As it was given.
    pruned : Network
        With the weights that were removed set to zero.
    shared : SharedNetwork
        With shared weights.
    """

    original: Network
    pruned: Network
    shared: SharedNetwork

    def stages(self) -> list[Stage]:
        """Measure every stage, by the bytes of its file."""
        codes = sum(int(np.count_nonzero(layer.codes)) for layer in self.shared.layers)
        weights = sum(layer.codes.size for layer in self.shared.layers)
        baseline = 4 * self.original.parameters
        sizes = [
            ("float32", self.original.density, baseline),
            ("pruned", self.pruned.density, pruned_size(self.pruned)),
            ("shared", codes / weights, len(dump(self.shared, "shared"))),
            ("huffman", codes / weights, len(dump(self.shared, "huffman"))),
        ]
        return [Stage(name, density, size, 8 * size / weights,
                      8 * size / max(round(density * weights), 1), baseline / size)
                for name, density, size in sizes]

    def layers(self) -> list[dict[str, Any]]:
        """Describe each layer with shared weights."""
        return [{
            "name": layer.name,
            "inputs": layer.inputs,
            "outputs": layer.outputs,
            "density": int(np.count_nonzero(layer.codes)) / layer.codes.size,
            "code_width": layer.code_width,
            "different_weights": int(np.unique(layer.codes[layer.codes != 0]).size),
        } for layer in self.shared.layers]


def prune_network(network: Network, amounts: Sequence[float],
                  mask: Callable[[NDArray[np.floating], float], NDArray[np.bool_]],
                  what: str) -> Network:
    """Prune each layer once by magnitude.

    Parameters
    ----------
    network : Network
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
    Network
        Network with fewer nonzero weights.

    Raises
    ------
    InputError
        If there is another number of amounts, or one is out of its range.
    """
    if len(amounts) == 1:
        amounts = [*amounts] * len(network.layers)
    if len(amounts) != len(network.layers):
        raise InputError(f"{what} must be given once or for {len(network.layers)} layers, "
                         f"not for {len(amounts)}")
    return Network(network.name, tuple(
        replace(layer, weight=np.where(mask(layer.weight, amount), layer.weight, np.float32(0)))
        for layer, amount in zip(network.layers, amounts, strict=True)), network.ending)


def compress_network(network: Network | SharedNetwork, *, density: Sequence[float] = (),
                     quality: Sequence[float] = (), code_width: int | None = None,
                     initialisation: Initialisation = "optimal", seed: int = 0) -> Compression:
    """Prune a network, if asked to, and share its weights.

    Weights that are shared already stay as they are, unless the network is pruned or another code
    width is asked for. Sharing is exact if no layer has more different nonzero weights than codes.

    Parameters
    ----------
    network : Network or SharedNetwork
        Network to compress.
    density : sequence of :class:`float`
        Share of the weights to keep, for all layers or for each.
    quality : sequence of :class:`float`
        Instead, the magnitude below which weights go, in standard deviations of the layer.
    code_width : :class:`int`, optional
        Bits of a weight code, from 2 to 8. The default is that of the shared weights, or 4.
    initialisation, seed
        See :func:`eieio.model.compress.weight_sharing.cluster`.

    Returns
    -------
    Compression
        The network before and after.

    Raises
    ------
    InputError
        If a parameter does not fit.
    """
    if density and quality:
        raise InputError("Pruning takes a density or a quality, not both")
    original = network.to_network() if isinstance(network, SharedNetwork) else network
    pruned = original
    if density:
        pruned = prune_network(original, density, magnitude_mask, "Density")
    elif quality:
        pruned = prune_network(original, quality, quality_mask, "Quality")
    if isinstance(network, SharedNetwork):
        widths = [layer.code_width for layer in network.layers]
        if pruned is original and (code_width is None or max(widths) <= code_width):
            return Compression(original, pruned, network)
        code_width = code_width or max(widths)
    shared = share_weights(pruned, 4 if code_width is None else code_width, initialisation, seed)
    return Compression(original, pruned, shared)
