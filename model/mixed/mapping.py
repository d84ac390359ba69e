"""Compiler of the mixed engine: both parts by the compilers of their engines, and what is between.

An image is a header of :data:`HEADER_WORDS` words, the image of the systolic engine, and that of
the sparse one:

====  ======================================================================
word  meaning
====  ======================================================================
0     words of the systolic engine's image
1     words of the sparse engine's image
2     zero point between them (bits 7 to 0, two's complement), last lane that the last beat of a
      pixel uses (15 to 8), and beats of a pixel (31 to 16)
====  ======================================================================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.engine import Choice
from eieio.model.errors import InputError
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import QuantizedGraph, Tensor
from eieio.model.mixed.config import MixedConfig, dense_name, named, split_options
from eieio.model.mixed.cut import cut
from eieio.model.sparse.choices import fit_graph
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.fitting import exact_memories
from eieio.model.sparse.mapping import CompiledNetwork, InputPlaces, compile_network
from eieio.model.systolic import image as systolic_image
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.fitting import compile_fitted
from eieio.model.systolic.image import Port

__all__ = ["HEADER_WORDS", "CompiledMixed", "compile_for", "compile_mixed", "input_places"]

#: Words of an image in front of the images of the engines.
HEADER_WORDS = 3
#: Most beats of a pixel between the engines.
_MOST_BEATS = 1 << 16


@dataclass(frozen=True, eq=False)
class CompiledMixed:
    """A network in a mixed engine.

    Attributes
    ----------
    graph : QuantizedGraph
        The whole network.
    config : MixedConfig
        Engine it is compiled for.
    convolutions : CompiledGraph
        What the systolic engine computes.
    dense : CompiledNetwork
        What the sparse engine computes of its output.
    """

    graph: QuantizedGraph
    config: MixedConfig
    convolutions: CompiledGraph
    dense: CompiledNetwork

    @property
    def between(self) -> Tensor:
        """The tensor that goes from engine to engine."""
        return self.dense.network.input

    @property
    def handed_beats(self) -> int:
        """Beats in which it leaves the systolic engine."""
        return self.convolutions.output_beats

    @property
    def layer_names(self) -> list[str]:
        """Names of all layers, in the order in which they are computed."""
        return [*(layer.name for layer in self.convolutions.layers),
                *(layer.layer.name for layer in self.dense.layers)]

    @cached_property
    def _words(self) -> NDArray[np.uint32]:
        parts = self.convolutions.image(), self.dense.image()
        lanes, channels = self.config.convolutions.lanes, self.convolutions.output.channels
        beats = -(-channels // lanes)
        header = [len(parts[0]), len(parts[1]), (self.between.zero_point & 0xff)
                  | (channels - 1) % lanes << 8 | beats << 16]
        return np.concatenate([np.array(header, np.uint32), *parts])

    def image(self) -> NDArray[np.uint32]:
        """Words of the image."""
        return self._words

    def run(self, x: NDArray[np.integer]) -> dict[str, NDArray[Any]]:
        """Compute all tensors of the whole network by the golden model, wherever it is cut."""
        return run_graph(self.graph, x.astype(np.int8))

    @property
    def results(self) -> list[Tensor]:
        """What the layers compute, in their order; the last is what the engine sends."""
        return [*(layer.operator.output for layer in self.convolutions.layers),
                *(layer.layer.output for layer in self.dense.layers)]


def input_places(convolutions: CompiledGraph) -> InputPlaces:
    """Tell where the systolic engine's outputs come in its stream."""
    port: Port = systolic_image.describe(convolutions).output
    return InputPlaces(port.positions, port.beats * port.lanes)


def compile_mixed(graph: QuantizedGraph, x: NDArray[np.integer], options: Mapping[str, Any], *,
                  board: bool = False, exact: bool = False, reorder_outputs: bool = True
                  ) -> tuple[CompiledMixed, tuple[Choice, ...]]:
    """Cut a network, and compile it for a mixed engine that fits it.

    Parameters
    ----------
    graph : QuantizedGraph
        Network in 8 bits.
    x : integer array of shape (samples, and the shape of the input)
        Typical inputs, which tell the cycle model of the sparse engine what is active.
    options : mapping of :class:`str`
        Options of :class:`~eieio.model.mixed.config.MixedConfig` by name that are given. Others
        are what the network needs; beats of both engines have as many lanes, as far as the
        processing elements allow it.
    board, exact, reorder_outputs :
        As for :func:`eieio.model.sparse.choices.fit_graph`, and
        :func:`eieio.model.systolic.fitting.compile_fitted`.

    Returns
    -------
    tuple
        The network in its engine, and what was chosen for its fully connected layers.

    Raises
    ------
    InputError
        If the network cannot be cut, an engine does not compute its part, or an option is wrong.
    """
    first, second = cut(graph)
    systolic, sparse = split_options(options)
    # Its input follows the output of the one before.
    systolic.setdefault("input_depth", 0)
    convolutions = compile_fitted(first, systolic, exact=exact)
    _check_between(convolutions)
    lanes = convolutions.config.lanes
    sparse.setdefault("io_lanes", gcd(lanes, sparse.get("pes", SparseConfig.pes)))
    # A tensor comes when the sparse engine has sent its output.
    sparse.setdefault("double_buffered", False)
    handed = run_graph(first, x.astype(np.int8))[first.output.name]
    try:
        fitted = fit_graph(second, handed, sparse, board=board, reorder_outputs=reorder_outputs,
                           places=input_places(convolutions))
    except InputError as error:
        raise named(error) from None
    dense = exact_memories(fitted.compiled, sparse) if exact else fitted.compiled
    config = MixedConfig(convolutions.config, dense.config)
    choices = tuple(Choice(dense_name(choice.option), choice.value, choice.reason)
                    for choice in fitted.choices)
    return CompiledMixed(graph, config, convolutions, dense), choices


def compile_for(graph: QuantizedGraph, config: MixedConfig, *, groups: Sequence[int] | None = None,
                positions: Sequence[NDArray[np.int64] | None] | None = None) -> CompiledMixed:
    """Cut a network, and compile it for a given engine.

    ``groups`` and ``positions`` are those of :func:`eieio.model.sparse.mapping.compile_network`.
    """
    first, second = cut(graph)
    convolutions = _compiled_first(first, config)
    dense = compile_network(second, config.dense, groups=groups, positions=positions,
                            places=input_places(convolutions))
    return CompiledMixed(graph, config, convolutions, dense)


def _compiled_first(first: QuantizedGraph, config: MixedConfig) -> CompiledGraph:
    from eieio.model.systolic.mapping import compile_graph

    convolutions = compile_graph(first, config.convolutions)
    _check_between(convolutions)
    return convolutions


def _check_between(convolutions: CompiledGraph) -> None:
    beats = -(-convolutions.output.channels // convolutions.config.lanes)
    if beats >= _MOST_BEATS:
        raise InputError(f"Tensor {convolutions.result.name!r} must have at most "
                         f"{(_MOST_BEATS - 1) * convolutions.config.lanes} channels, not "
                         f"{convolutions.output.channels}")
