"""Low rank: a layer's weights as a product of smaller ones.

Dense layers by the singular value decomposition, which no other product of that rank is nearer than
(Eckart and Young, 1936). Convolutions by Tucker-2, which factors both axes of channels (Kim et al.,
"Compression of Deep Convolutional Neural Networks for Fast and Low Power Mobile Applications", ICLR
2016), or by a depthwise and a pointwise one, as MobileNet has (Howard et al., 2017); the nearest of
these is a singular vector for each input channel. Kernels have the axes of
:class:`eieio.model.graph.float_graph.Conv2D`: output channels, height, width, input channels.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import (
    Conv2D,
    DepthwiseConv2D,
    FloatGraph,
    FullyConnected,
    Operator,
    Value,
)
from eieio.model.graph.window import Window

__all__ = ["Factoring", "factor_graph", "macs", "rank_by_energy", "rank_for_speedup", "separate",
           "svd_factors", "tucker_2", "tucker_ranks"]

Array = NDArray[np.floating[Any]]


def svd_factors(matrix: Array, rank: int) -> tuple[Array, Array]:
    """Factor a matrix into the nearest product of a rank.

    Parameters
    ----------
    matrix : float array of shape (outputs, inputs)
        Weights.
    rank : :class:`int`
        From 1 to the smaller side.

    Returns
    -------
    float arrays of shapes (outputs, rank) and (rank, inputs)
        Factors of about the same size. The Frobenius norm of what they miss is the root of the sum
        of the squares of the singular values behind the first ``rank``.

    Raises
    ------
    InputError
        If the rank is out of range.
    """
    if matrix.ndim != 2 or not 1 <= rank <= min(matrix.shape):
        raise InputError(f"Rank must be from 1 to {min(matrix.shape)}, not {rank!r}")
    left, values, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    root = np.sqrt(values[:rank])
    return ((left[:, :rank] * root).astype(matrix.dtype),
            (root[:, None] * right[:rank]).astype(matrix.dtype))


def rank_by_energy(values: Array, share: float) -> int:
    """Return the least rank that keeps a share of the sum of the squares.

    Parameters
    ----------
    values : float array of shape (n,)
        Singular values, the largest first.
    share : :class:`float`
        Above 0 and up to 1.

    Raises
    ------
    InputError
        If the share is out of range.
    """
    if not 0 < share <= 1:
        raise InputError(f"Share must be above 0 and up to 1, not {share!r}")
    energy = np.cumsum(values.astype(np.float64) ** 2)
    return min(int(np.searchsorted(energy, share * energy[-1])) + 1, values.size)


def rank_for_speedup(outputs: int, inputs: int, speedup: float) -> int:
    """Return the largest rank with which two factors have so many times fewer products.

    Raises
    ------
    InputError
        If there is none.
    """
    rank = int(outputs * inputs / (speedup * (outputs + inputs)))
    if speedup <= 0 or rank < 1:
        raise InputError(f"Speed-up of a layer of {outputs} x {inputs} must be above 0 and up to "
                         f"{outputs * inputs / (outputs + inputs):.3g}, not {speedup!r}")
    return min(rank, outputs, inputs)


def tucker_2(kernel: Array, rank_out: int, rank_in: int, sweeps: int = 5
             ) -> tuple[Array, Array, Array]:
    """Factor a convolution's kernel along both axes of channels.

    Starts from the leading singular vectors of either unfolding, and improves them in turns
    (higher-order orthogonal iteration).

    Parameters
    ----------
    kernel : float array of shape (outputs, height, width, inputs)
        Weights.
    rank_out, rank_in : :class:`int`
        Channels behind and in front of the core.
    sweeps : :class:`int`
        Turns of the iteration.

    Returns
    -------
    first : float array of shape (rank_in, inputs)
        A convolution of 1 x 1, which is computed first.
    core : float array of shape (rank_out, height, width, rank_in)
        The convolution between.
    last : float array of shape (outputs, rank_out)
        Another one of 1 x 1.

    Raises
    ------
    InputError
        If a rank is out of range.
    """
    outputs, _, _, inputs = kernel.shape
    for what, rank, most in (("Output", rank_out, outputs), ("Input", rank_in, inputs)):
        if not 1 <= rank <= most:
            raise InputError(f"{what} rank must be from 1 to {most}, not {rank!r}")
    exact = kernel.astype(np.float64)
    source = _leading(exact, 3, rank_in)
    sink = _leading(exact, 0, rank_out)
    for _ in range(sweeps):
        sink = _leading(exact @ source, 0, rank_out)
        source = _leading(np.tensordot(sink, exact, (0, 0)), 3, rank_in)
    core = np.tensordot(sink, exact, (0, 0)) @ source
    return (np.ascontiguousarray(source.T).astype(kernel.dtype), core.astype(kernel.dtype),
            sink.astype(kernel.dtype))


def _leading(array: NDArray[np.float64], axis: int, rank: int) -> NDArray[np.float64]:
    """Return the leading singular vectors along an axis: shape (length of the axis, rank)."""
    unfolded = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    return np.linalg.svd(unfolded, full_matrices=False)[0][:, :rank] if (
        rank <= min(unfolded.shape)) else np.linalg.svd(unfolded)[0][:, :rank]


def tucker_ranks(shape: tuple[int, ...], speedup: float) -> tuple[int, int]:
    """Return the ranks, in the proportion of the channels, with so many times fewer products.

    Parameters
    ----------
    shape : tuple of :class:`int`
        Of the kernel: outputs, height, width, inputs.
    speedup : :class:`float`
        Products of the layer, where the image keeps its size, by those of its three factors.

    Returns
    -------
    pair of :class:`int`
        Output and input rank, the largest that reach the speed-up.

    Raises
    ------
    InputError
        If not even ranks of 1 do.
    """
    outputs, height, width, inputs = shape
    taps = height * width
    for part in range(max(outputs, inputs), 0, -1):
        share = part / max(outputs, inputs)
        sink, source = max(1, int(outputs * share)), max(1, int(inputs * share))
        products = inputs * source + taps * source * sink + outputs * sink
        if speedup * products <= outputs * taps * inputs:
            return sink, source
    raise InputError(f"Speed-up of a kernel of {' x '.join(map(str, shape))} must be less, not "
                     f"{speedup!r}")


def separate(kernel: Array) -> tuple[Array, Array]:
    """Find the depthwise and the pointwise convolution that are nearest to a kernel.

    Parameters
    ----------
    kernel : float array of shape (outputs, height, width, inputs)
        Weights.

    Returns
    -------
    float arrays of shapes (height, width, inputs) and (outputs, inputs)
        Of each input channel, the leading singular vectors of its weights as a matrix of outputs by
        taps: no other pair is nearer.
    """
    outputs, height, width, inputs = kernel.shape
    by_input = kernel.astype(np.float64).transpose(3, 0, 1, 2).reshape(inputs, outputs, -1)
    left, values, right = np.linalg.svd(by_input, full_matrices=False)
    root = np.sqrt(values[:, :1])
    depth = (root * right[:, 0]).T.reshape(height, width, inputs)
    point = (left[:, :, 0] * root).T
    return (np.ascontiguousarray(depth, kernel.dtype), np.ascontiguousarray(point, kernel.dtype))


@dataclass(frozen=True)
class Factoring:
    """How one layer is factored.

    Attributes
    ----------
    kind : ``"svd"``, ``"tucker"`` or ``"separate"``
        Two dense layers; three convolutions; a depthwise and a pointwise convolution.
    speedup : :class:`float`, optional
        How many times fewer products there are at least, for the first two.
    energy : :class:`float`, optional
        Instead, which share of the squares of the singular values (of either unfolding) is kept.
    """

    kind: Literal["svd", "tucker", "separate"]
    speedup: float | None = None
    energy: float | None = None


def factor_graph(graph: FloatGraph, plan: Mapping[str, Factoring]) -> FloatGraph:
    """Replace layers by their factors.

    Parameters
    ----------
    graph : FloatGraph
        Network.
    plan : mapping of :class:`str` to :class:`Factoring`
        How the layers of these names are factored; the others stay.

    Returns
    -------
    FloatGraph
        Network of more and smaller layers, each of a kind that there was before. Biases and
        rectifiers stay behind the last factor.

    Raises
    ------
    InputError
        If there is no such layer, or it is of another kind, or a rank does not fit.
    """
    known = {operator.name for operator in graph.weighted}
    if unknown := sorted(set(plan) - known):
        raise InputError(f"Layer {unknown[0]!r} must be one of {', '.join(sorted(known))}")
    operators: list[Operator] = []
    for operator in graph.operators:
        chosen = plan.get(operator.name)
        if chosen is None:
            operators.append(operator)
        elif isinstance(operator, FullyConnected) and chosen.kind == "svd":
            operators += _factor_dense(operator, chosen)
        elif isinstance(operator, Conv2D) and chosen.kind == "tucker":
            operators += _factor_kernel(operator, chosen)
        elif isinstance(operator, Conv2D) and chosen.kind == "separate":
            operators += _separate_kernel(operator)
        else:
            raise InputError(f"{type(operator).__name__} {operator.name!r} cannot be factored by "
                             f"{chosen.kind!r}: it takes a FullyConnected for 'svd', a Conv2D for "
                             "the others")
    return replace(graph, operators=tuple(operators))


def _factor_dense(layer: FullyConnected, chosen: Factoring) -> list[Operator]:
    outputs, inputs = layer.weight.shape
    if chosen.energy is not None:
        values = np.linalg.svd(layer.weight.astype(np.float64), compute_uv=False)
        rank = rank_by_energy(values, chosen.energy)
    else:
        rank = rank_for_speedup(outputs, inputs, _speedup(layer.name, chosen))
    left, right = svd_factors(layer.weight, rank)
    between = Value(f"{layer.name}_svd_out", (rank,))
    first = FullyConnected(name=f"{layer.name}_svd", inputs=layer.inputs, output=between,
                           weight=right, bias=np.zeros(rank, layer.bias.dtype))
    return [first, replace(layer, inputs=(between,), weight=left, shared=None)]


def _factor_kernel(layer: Conv2D, chosen: Factoring) -> list[Operator]:
    weight = layer.weight
    if chosen.energy is not None:
        sink, source = (rank_by_energy(np.linalg.svd(
            np.moveaxis(weight.astype(np.float64), axis, 0).reshape(weight.shape[axis], -1),
            compute_uv=False), chosen.energy) for axis in (0, 3))
    else:
        sink, source = tucker_ranks(weight.shape, _speedup(layer.name, chosen))
    first, core, last = tucker_2(weight, sink, source)
    height, width, _ = layer.input.shape
    before = Value(f"{layer.name}_in_out", (height, width, source))
    behind = Value(f"{layer.name}_core_out", (*layer.output.shape[:2], sink))
    return [
        Conv2D(name=f"{layer.name}_in", inputs=layer.inputs, output=before, window=Window((1, 1)),
               weight=first[:, None, None], bias=np.zeros(source, layer.bias.dtype)),
        Conv2D(name=f"{layer.name}_core", inputs=(before,), output=behind, window=layer.window,
               weight=core, bias=np.zeros(sink, layer.bias.dtype)),
        replace(layer, inputs=(behind,), window=Window((1, 1)), weight=last[:, None, None],
                shared=None)]


def _separate_kernel(layer: Conv2D) -> list[Operator]:
    depth, point = separate(layer.weight)
    channels = layer.input.shape[2]
    between = Value(f"{layer.name}_depth_out", (*layer.output.shape[:2], channels))
    return [
        DepthwiseConv2D(name=f"{layer.name}_depth", inputs=layer.inputs, output=between,
                        window=layer.window, weight=depth,
                        bias=np.zeros(channels, layer.bias.dtype)),
        replace(layer, inputs=(between,), window=Window((1, 1)), weight=point[:, None, None],
                shared=None)]


def _speedup(name: str, chosen: Factoring) -> float:
    if chosen.speedup is None:
        raise InputError(f"Layer {name!r} must be factored by an energy or a speed-up")
    return chosen.speedup


def macs(graph: FloatGraph) -> int:
    """Count the products of weights and activations of an inference, padding included."""
    return sum(layer.weight.size * (
        math.prod(layer.output.shape[:2]) if isinstance(layer, Conv2D | DepthwiseConv2D) else 1)
        for layer in graph.weighted)
