"""Graph of a network that Caffe's prototxt describes, with weights from elsewhere.

Caffe has images in the order channels, height, width; here they are in the order height, width,
channels. Weights and codes are transposed, and the columns of an inner product behind an image
change places. What works in place makes a value of its own, and a rectifier clamps the results of
the layer before, where nothing else takes these.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.prototxt import MAXIMA, MEANS, convolution_window, pooling_window
from eieio.model.graph.float_graph import (
    AveragePool,
    Clamp,
    Conv2D,
    DepthwiseConv2D,
    FloatGraph,
    FullyConnected,
    MaxPool,
    Operator,
    Pad,
    Pool,
    Softmax,
    Stack,
    Value,
    WeightedOperator,
)
from eieio.model.graph.weight_codes import WeightCodes

__all__ = ["LAYER_TYPES", "build_graph"]

#: Types of layers that a graph can be made of.
LAYER_TYPES = ("Concat", "Convolution", "Dropout", "Flatten", "InnerProduct", "Input", "Pooling",
               "ReLU", "Softmax")


@dataclass(frozen=True)
class _Blob:
    """A value, and the shape that Caffe gives it, flattened or not: (channels, height, width)."""

    value: Value
    shape: tuple[int, ...]


def build_graph(name: str, net: Any, source: str, inputs: Mapping[str, tuple[int, ...]],
                weights: Mapping[str, tuple[WeightCodes, NDArray[np.float32]]]) -> FloatGraph:
    """Make the graph of a network.

    Parameters
    ----------
    name : :class:`str`
        Name shown to the user.
    net : ``NetParameter``
        Network as deployed, whose shapes :func:`~eieio.model.formats.prototxt.weight_shapes` has
        found to fit.
    source : :class:`str`
        What an error message calls it.
    inputs : mapping of tuples of :class:`int`
        Shapes of the inputs, without the batch.
    weights : mapping of pairs of WeightCodes and float32 arrays
        Weights of every layer that has some, in Caffe's shape, and its biases.

    Returns
    -------
    FloatGraph
        The network, with softmax if it is the last layer.

    Raises
    ------
    InputError
        If a layer is none of :data:`LAYER_TYPES`, or has an option that a graph cannot express, or
        there is not one input and one output: the message names the layer.
    """
    if len(inputs) != 1:
        raise InputError(f"{source}: must have one input, not {len(inputs)}")
    [(blob, shape)] = inputs.items()
    return _Importer(source, blob, shape, weights).graph(name, net)


class _Importer:
    def __init__(self, source: str, blob: str, shape: tuple[int, ...],
                 weights: Mapping[str, tuple[WeightCodes, NDArray[np.float32]]]) -> None:
        self.source = source
        self.weights = weights
        self.operators: list[Operator] = []
        self.names: set[str] = {blob}
        self.input = Value(blob, (*shape[1:], shape[0]) if len(shape) == 3 else shape)
        self.blobs = {blob: _Blob(self.input, shape)}

    def graph(self, name: str, net: Any) -> FloatGraph:
        layers = [layer for layer in net.layer if layer.type != "Input"]
        names = Counter(layer.name for layer in layers)
        for layer in layers:
            where = f"{self.source}: layer {layer.name!r}"
            if layer.type not in LAYER_TYPES:
                raise InputError(f"{where} must be of type {', '.join(LAYER_TYPES)}, to be run, "
                                 f"not {layer.type!r}")
            if names[layer.name] > 1:
                raise InputError(f"{where} must have a name of its own")
        for index, layer in enumerate(layers):
            where = f"{self.source}: layer {layer.name!r}"
            if len(layer.top) != 1 or (len(layer.bottom) > 1 and layer.type != "Concat"):
                raise InputError(f"{where} must have one bottom and one top, not "
                                 f"{len(layer.bottom)} and {len(layer.top)}")
            if layer.type == "Softmax" and index != len(layers) - 1:
                raise InputError(f"{where} must be the last layer")
            bottoms = [self.blobs[bottom] for bottom in layer.bottom]
            self.blobs[layer.top[0]] = self._follow(layer, bottoms, where)
        self._fold_rectifiers()
        read = {value for operator in self.operators for value in operator.inputs}
        ends = [operator.output for operator in self.operators if operator.output not in read]
        if len(ends) != 1:
            raise InputError(f"{self.source}: must have one output, not {len(ends)}: "
                             f"{', '.join(value.name for value in ends)}")
        return FloatGraph(name, self.input, ends[0], tuple(self.operators),
                          channels_first=len(self.input.shape) == 3)

    def _fold_rectifiers(self) -> None:
        """Let operators rectify their results themselves, where nothing else takes these."""
        reads = Counter(value for operator in self.operators for value in operator.inputs)
        found: list[Operator] = []
        for operator in self.operators:
            places = [place for place, before in enumerate(found)
                      if before.output == operator.input]
            if isinstance(operator, Clamp) and places and reads[operator.input] == 1 and \
                    isinstance(before := found[places[0]], WeightedOperator | Pool):
                found[places[0]] = replace(before, output=operator.output, minimum=0.0)
            else:
                found.append(operator)
        self.operators = found

    def _follow(self, layer: Any, bottoms: list[_Blob], where: str) -> _Blob:
        """Append what a layer computes."""
        blob = bottoms[0]
        match layer.type:
            case "Convolution":
                return self._convolution(layer, blob, where)
            case "InnerProduct":
                return self._inner_product(layer, blob, where)
            case "Pooling":
                return self._pooling(layer, blob, where)
            case "Concat":
                return self._concat(layer, bottoms, where)
            case "ReLU":
                if layer.relu_param.negative_slope or blob.value == self.input:
                    raise InputError(f"{where} must follow a layer that computes, and have "
                                     "negative_slope 0")
                return replace(blob, value=self._append(
                    layer, Clamp, (blob.value,), blob.value.shape, minimum=0.0))
            case "Softmax":
                if blob.value.elements != blob.value.shape[-1]:
                    raise InputError(f"{where} must take a vector, not shape {blob.shape}")
                return replace(blob, value=self._append(
                    layer, Softmax, (blob.value,), blob.value.shape))
            case _:  # Dropout; and Flatten, behind which an inner product knows the order.
                return blob

    def _append(self, layer: Any, kind: type[Operator], inputs: tuple[Value, ...],
                shape: tuple[int, ...], **fields: Any) -> Value:
        pads = kind is Pad
        own = f"{layer.name}_padded" if pads else layer.top[0]
        while own in self.names:
            own += "_"
        self.names.add(own)
        output = Value(own, shape)
        self.operators.append(kind(name=f"{layer.name}_pad" if pads else layer.name,
                                   inputs=inputs, output=output, **fields))
        return output

    def _convolution(self, layer: Any, blob: _Blob, where: str) -> _Blob:
        found = convolution_window(layer.convolution_param, blob.shape, where)
        source, slides = blob.value, found.unpadded()
        if found.fits:
            slides = found.window()
        else:
            source = self._padded(layer, source, found.padding)
        shared, bias = self.weights[layer.name]
        codes, depth = shared.codes, blob.shape[0]
        outputs, part = codes.shape[:2]
        groups = depth // part
        if depth != part * groups or groups != layer.convolution_param.group:
            raise InputError(f"{where} must take an image of {part} channels for each of "
                             f"{layer.convolution_param.group} groups, as its weights do, not of "
                             f"{depth}")
        if 1 < groups == depth:
            kind, codes = DepthwiseConv2D, codes[:, 0].transpose(1, 2, 0)
        else:
            kind = Conv2D
            if groups > 1:
                whole = np.zeros((outputs, depth, *codes.shape[2:]), np.uint8)
                for group in range(groups):
                    rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
                    whole[rows, group * part:(group + 1) * part] = codes[rows]
                codes = whole
            codes = codes.transpose(0, 2, 3, 1)
        shape = (*slides.output_size(*source.shape[:2]), outputs)
        value = self._append(layer, kind, (source,), shape, window=slides,
                             **_shared(shared, codes, bias))
        return _Blob(value, (outputs, *shape[:2]))

    def _padded(self, layer: Any, source: Value, padding: Any) -> Value:
        (top, bottom), (left, right) = padding
        height, width, channels = source.shape
        return self._append(layer, Pad, (source,), (
            height + top + bottom, width + left + right, channels), padding=(*padding, (0, 0)))

    def _inner_product(self, layer: Any, blob: _Blob, where: str) -> _Blob:
        shared, bias = self.weights[layer.name]
        codes, outputs = shared.codes, len(bias)
        if codes.size != outputs * math.prod(blob.shape):
            raise InputError(f"{where} must take a blob of {codes.size // outputs} elements, as "
                             f"its weights do, not {blob.shape}")
        if len(blob.shape) == 3:
            codes = codes.reshape(outputs, *blob.shape).transpose(0, 2, 3, 1).reshape(outputs, -1)
        value = self._append(layer, FullyConnected, (blob.value,), (outputs,),
                             **_shared(shared, codes, bias))
        return _Blob(value, (outputs,))

    def _pooling(self, layer: Any, blob: _Blob, where: str) -> _Blob:
        found = pooling_window(layer.pooling_param, blob.shape, where)
        source, window = blob.value, found.window()
        if layer.pooling_param.pool == MEANS and any(map(any, found.padding)):
            # Caffe counts the padding, but not what a last window takes beyond it.
            source = self._padded(layer, source, found.padding)
            window = replace(found, padding=((0, 0), (0, 0))).window()
        kind = MaxPool if layer.pooling_param.pool == MAXIMA else AveragePool
        shape = (*window.output_size(*source.shape[:2]), source.shape[2])
        value = self._append(layer, kind, (source,), shape, window=window)
        return _Blob(value, (shape[2], *shape[:2]))

    def _concat(self, layer: Any, bottoms: list[_Blob], where: str) -> _Blob:
        first = bottoms[0]
        for blob in bottoms:
            if len(blob.value.shape) != len(first.value.shape) or (
                    blob.value.shape[:-1] != first.value.shape[:-1]):
                raise InputError(f"{where} must join images of one size, or vectors, not "
                                 f"{blob.shape} and {first.shape}")
        channels = sum(blob.value.shape[-1] for blob in bottoms)
        shape = (*first.value.shape[:-1], channels)
        value = self._append(layer, Stack, tuple(blob.value for blob in bottoms), shape,
                             axis=len(shape) - 1)
        return _Blob(value, (channels, *first.shape[1:]))


def _shared(shared: WeightCodes, codes: NDArray[np.uint8], bias: NDArray[np.float32]
            ) -> dict[str, Any]:
    ordered = WeightCodes(np.ascontiguousarray(codes), shared.codebook)
    return {"weight": ordered.weight, "bias": bias, "shared": ordered}
