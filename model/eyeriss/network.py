"""Networks of integers, layer by layer: weighted operators on the array, others on the host."""

from collections.abc import Mapping as Options
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapper import choose_mapping
from eieio.model.eyeriss.mapping import Mapping
from eieio.model.eyeriss.program import LayerData
from eieio.model.graph.quantized_graph import (
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    QuantizedGraph,
    WeightedOperator,
    Window,
    with_plain_biases,
)

__all__ = ["MappedLayer", "map_network"]

_WEIGHTED = (Conv2D, DepthwiseConv2D, FullyConnected)


@dataclass(frozen=True, eq=False)
class MappedLayer:
    """A weighted operator on the array.

    A fully connected operator is a convolution whose filters are as large as their input: a map of
    one place, with a channel for each input.

    Attributes
    ----------
    operator : WeightedOperator
        The operator.
    layer : Layer
        Its shape.
    mapping : Mapping
        How it lies in the array.
    """

    operator: WeightedOperator
    layer: Layer
    mapping: Mapping

    def numbers(self, x: NDArray[np.integer]) -> LayerData:
        """Return the layer's numbers for inputs of shape (batch, and the shape of the input)."""
        operator = self.operator
        zero_point = operator.output.zero_point
        return LayerData(
            _input(operator, x), _weight(operator), operator.bias, operator.multiplier,
            operator.shift, operator.minimum - zero_point, operator.maximum - zero_point,
            operator.single_rounding)

    def activations(self, output: NDArray[np.int16]) -> NDArray[np.integer]:
        """Return the operator's output of the array's: the zero point added, in its shape."""
        tensor = self.operator.output
        return (output.astype(np.int32) + tensor.zero_point).astype(tensor.dtype).reshape(
            len(output), *tensor.shape)


def map_network(graph: QuantizedGraph, config: EyerissConfig,
                mappings: Options[str, Mapping] | None = None, *, batch: int = 1
                ) -> Sequence[MappedLayer]:
    """Map every weighted operator of a network.

    Parameters
    ----------
    graph, config :
        The network, and the array.
    mappings : mapping of :class:`str` to Mapping, optional
        Mappings that are given, by the name of the operator; the others are chosen.
    batch : :class:`int`
        Images that are computed together.

    Raises
    ------
    InputError
        If an operator cannot be computed, or a mapping is of none or breaks a rule: the message
        names it and says why.
    """
    given = mappings or {}
    weighted = [operator for operator in graph.operators if isinstance(operator, WeightedOperator)]
    if not weighted:
        raise InputError(f"Network {graph.name!r} must have a convolution or a fully connected "
                         "operator")
    for name in given:
        if name not in [operator.name for operator in weighted]:
            raise InputError(f"Mapping of {name!r} must be of one of "
                             f"{', '.join(operator.name for operator in weighted)}")
    return [_mapped(operator, config, batch, given.get(operator.name)) for operator in weighted]


def _mapped(operator: WeightedOperator, config: EyerissConfig, batch: int,
            mapping: Mapping | None) -> MappedLayer:
    name = operator.name
    operator = with_plain_biases(operator)
    if not isinstance(operator, _WEIGHTED):
        raise InputError(f"Operator {name!r} must be a convolution or fully connected, not "
                         f"{type(operator).__name__}")
    if operator.accumulator_width > config.psum_width:
        raise InputError(f"Operator {name!r} must have sums of at most {config.psum_width} bits, "
                         f"not {operator.accumulator_width}: --psum-width says how many")
    if operator.weight_kind not in {"int8", "int16"} or operator.input.largest >= 1 << 15:
        raise InputError(f"Operator {name!r} must have weights, and inputs less their zero point, "
                         "of at most 16 bits")
    if operator.output.largest >= 1 << 15:
        raise InputError(f"Operator {name!r} must have outputs, less their zero point, of at most "
                         "16 bits")
    layer = _layer(operator, batch)
    if mapping is not None:
        mapping.check(layer, config)
    return MappedLayer(operator, layer, mapping or choose_mapping(layer, config))


def _layer(operator: WeightedOperator, batch: int) -> Layer:
    shape = operator.input.shape
    if isinstance(operator, FullyConnected):
        return Layer(operator.name, 1, 1, operator.input.elements, operator.channels, 1, 1,
                     batch=batch)
    assert isinstance(operator, Conv2D | DepthwiseConv2D)
    window = operator.window
    if window.dilation != (1, 1) or window.stride[0] != window.stride[1]:
        raise InputError(f"Operator {operator.name!r} must have one stride down and across and no "
                         f"dilation, not {window.stride} and {window.dilation}")
    (height, width), stride = window.kernel, window.stride[0]
    if stride > min(height, width) and height != width:
        raise InputError(f"Operator {operator.name!r} must have a square window, or a stride of at "
                         f"most {min(height, width)}, not {stride}")
    rows, columns = (size + sum(pads) for size, pads
                     in zip(shape[:2], window.padding, strict=True))
    if stride > height:
        rows, columns = (len(_met(size, height, stride)) for size in (rows, columns))
        stride = height
    groups = shape[2] if isinstance(operator, DepthwiseConv2D) else 1
    return Layer(operator.name, rows, columns, shape[2] // groups, operator.channels, height,
                 width, stride, batch, groups)


def _met(size: int, kernel: int, stride: int) -> NDArray[np.int64]:
    """Rows, or columns, that a window meets whose stride is larger than itself."""
    places = np.arange((size - kernel) // stride + 1)
    return (places[:, np.newaxis] * stride + np.arange(kernel)).ravel()


def _input(operator: WeightedOperator, x: NDArray[np.integer]) -> NDArray[np.int16]:
    centred = (x.astype(np.int32) - operator.input.zero_point).astype(np.int16)
    if isinstance(operator, FullyConnected):
        return centred.reshape(len(x), 1, 1, -1)
    assert isinstance(operator, Conv2D | DepthwiseConv2D)
    window: Window = operator.window
    padded = np.pad(centred, ((0, 0), *window.padding, (0, 0)))
    if window.stride[0] > window.kernel[0]:
        rows, columns = (_met(size, window.kernel[0], window.stride[0])
                         for size in padded.shape[1:3])
        padded = padded[:, rows][:, :, columns]
    return padded


def _weight(operator: WeightedOperator) -> NDArray[np.int16]:
    weight = operator.weight.astype(np.int16)
    if isinstance(operator, FullyConnected):
        return weight[:, :, np.newaxis, np.newaxis]
    if isinstance(operator, DepthwiseConv2D):
        return weight.transpose(2, 0, 1)[:, np.newaxis]
    return weight.transpose(0, 3, 1, 2)
