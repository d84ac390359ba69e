"""The networks that recipes train, and how they become graphs that engines take."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import (
    Conv2D,
    DepthwiseConv2D,
    FloatGraph,
    FullyConnected,
    MaxPool,
    Operator,
    Reshape,
    Value,
)
from eieio.model.graph.window import Window

__all__ = ["from_graph", "lenet_5", "lenet_300_100", "mlp", "to_graph", "weighted"]


def mlp(*sizes: int, dropout: float = 0.0, input_dropout: float = 0.0) -> nn.Sequential:
    """Make fully connected layers with rectifiers between them.

    Parameters
    ----------
    *sizes : :class:`int`
        Inputs, and outputs of each layer.
    dropout, input_dropout : :class:`float`
        Share of the activations between layers, and of the inputs, that training sets to 0.
    """
    model = nn.Sequential()
    model.add_module("flatten", nn.Flatten())
    if input_dropout:
        model.add_module("drop0", nn.Dropout(input_dropout))
    for number in range(1, len(sizes)):
        model.add_module(f"fc{number}", nn.Linear(sizes[number - 1], sizes[number]))
        if number < len(sizes) - 1:
            model.add_module(f"relu{number}", nn.ReLU())
            if dropout:
                model.add_module(f"drop{number}", nn.Dropout(dropout))
    return model


def lenet_300_100() -> nn.Sequential:
    """Make LeNet-300-100 with random weights: 266,610 parameters."""
    return mlp(784, 300, 100, 10)


def lenet_5() -> nn.Sequential:
    """Make LeNet-5 with random weights: 61,706 parameters, rectifiers, and the largest of four."""
    model = nn.Sequential()
    for name, layer in (
            ("conv1", nn.Conv2d(1, 6, 5, padding=2)), ("relu1", nn.ReLU()),
            ("pool1", nn.MaxPool2d(2)), ("conv2", nn.Conv2d(6, 16, 5)), ("relu2", nn.ReLU()),
            ("pool2", nn.MaxPool2d(2)), ("flatten", nn.Flatten()), ("fc1", nn.Linear(400, 120)),
            ("relu3", nn.ReLU()), ("fc2", nn.Linear(120, 84)), ("relu4", nn.ReLU()),
            ("fc3", nn.Linear(84, 10))):
        model.add_module(name, layer)
    return model.to(memory_format=torch.channels_last)


def weighted(model: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.Linear]]:
    """Yield the layers that have weights, with their names."""
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            yield name, layer


def to_graph(name: str, model: nn.Sequential) -> FloatGraph:
    """Copy a trained network of images of 28 x 28 into a graph of operators.

    Normalizations become part of the layer in front of them.

    Parameters
    ----------
    name : :class:`str`
        Name of the graph.
    model : :class:`torch.nn.Sequential`
        Convolutions, fully connected layers, rectifiers, normalizations behind layers with weights,
        maxima of windows, dropout, and one change to vectors.

    Returns
    -------
    FloatGraph
        The same in the order height, width, channels, in float32.

    Raises
    ------
    InputError
        If there is a layer of another kind.
    """
    source = value = Value("input", (28, 28, 1))
    operators: list[Operator] = []
    children = [(label, layer) for label, layer in model.named_children()
                if not isinstance(layer, nn.Dropout)]
    for number, (label, layer) in enumerate(children):
        following = [kind for _, kind in children[number + 1:number + 3]]
        norm = following[0] if following and isinstance(
            following[0], nn.BatchNorm1d | nn.BatchNorm2d) else None
        behind = following[1:] if norm is not None else following
        low = 0.0 if behind and isinstance(behind[0], nn.ReLU) else -np.inf
        match layer:
            case nn.Conv2d():
                window = _window(layer)
                output = Value(f"{label}_out", (
                    *window.output_size(*value.shape[:2]), layer.out_channels))
                weight, bias = _folded(layer, norm)
                if layer.groups == 1:
                    operators.append(Conv2D(
                        name=label, inputs=(value,), output=output, window=window, minimum=low,
                        weight=np.ascontiguousarray(weight.transpose(0, 2, 3, 1)), bias=bias))
                elif layer.groups == layer.in_channels == layer.out_channels:
                    operators.append(DepthwiseConv2D(
                        name=label, inputs=(value,), output=output, window=window, minimum=low,
                        weight=np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0)), bias=bias))
                else:
                    raise InputError(f"Layer {label!r} must have one group, or one a channel")
            case nn.Linear():
                weight, bias = _folded(layer, norm)
                before = operators[-1] if operators else None
                if isinstance(before, Reshape) and len(before.input.shape) == 3:
                    height, width, channels = before.input.shape
                    weight = np.ascontiguousarray(
                        weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
                        .reshape(len(weight), -1))
                output = Value(f"{label}_out", (layer.out_features,))
                operators.append(FullyConnected(name=label, inputs=(value,), output=output,
                                                minimum=low, weight=weight, bias=bias))
            case nn.MaxPool2d():
                window = Window(_pair(layer.kernel_size), _pair(layer.stride))
                output = Value(f"{label}_out", (
                    *window.output_size(*value.shape[:2]), value.shape[2]))
                operators.append(MaxPool(name=label, inputs=(value,), output=output,
                                         window=window))
            case nn.Flatten():
                output = Value(f"{label}_out", (value.elements,))
                operators.append(Reshape(name=label, inputs=(value,), output=output))
            case nn.ReLU() | nn.BatchNorm1d() | nn.BatchNorm2d():
                continue
            case _:
                raise InputError(f"Layer {label!r} must be of a kind that engines have, not "
                                 f"{type(layer).__name__}")
        value = output
    return FloatGraph(name, source, value, tuple(operators), channels_first=True)


def _pair(size: int | tuple[int, ...]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _window(layer: nn.Conv2d) -> Window:
    height, width = layer.kernel_size
    vertical, horizontal = layer.stride
    assert isinstance(layer.padding, tuple)
    down, across = layer.padding
    return Window((height, width), (vertical, horizontal),
                  padding=((down, down), (across, across)))


def _folded(layer: nn.Conv2d | nn.Linear, norm: nn.Module | None
            ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights and biases, with a normalization behind them as part of both."""
    weight = layer.weight.detach().cpu().numpy().astype(np.float64)
    bias = (np.zeros(len(weight)) if layer.bias is None
            else layer.bias.detach().cpu().numpy().astype(np.float64))
    if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, variance, gain, shift = (
            tensor.detach().cpu().numpy().astype(np.float64)
            for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
        factor = gain / np.sqrt(variance + norm.eps)
        weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
        bias = (bias - mean) * factor + shift
    return weight.astype(np.float32), bias.astype(np.float32)


def from_graph(graph: FloatGraph) -> nn.Sequential:
    """Make a network that can be trained of a graph that is a chain of layers.

    Parameters
    ----------
    graph : FloatGraph
        Convolutions, fully connected layers, maxima of windows and changes to vectors, one behind
        the other, with rectifiers or without.

    Returns
    -------
    :class:`torch.nn.Sequential`
        The same in the order channels, height, width; :func:`to_graph` gives the graph back.

    Raises
    ------
    InputError
        If there is an operator of another kind, or one that does not take the result of the one
        before.
    """
    model = nn.Sequential()
    value = graph.input
    shape: tuple[int, ...] = ()
    for operator in graph.operators:
        if operator.inputs != (value,):
            raise InputError(f"{operator.name!r} must take the result of the operator before it")
        match operator:
            case Conv2D() | DepthwiseConv2D():
                model.add_module(operator.name, _convolution(operator))
            case FullyConnected():
                weight = operator.weight
                before = list(model)[-1] if len(model) else None
                if isinstance(before, nn.Flatten) and len(shape) == 3:
                    weight = weight.reshape(len(weight), *shape).transpose(0, 3, 1, 2)
                layer = nn.Linear(value.elements, len(weight))
                _copy(layer, weight.reshape(len(weight), -1), operator.bias)
                model.add_module(operator.name, layer)
            case MaxPool():
                model.add_module(operator.name, nn.MaxPool2d(
                    operator.window.kernel, operator.window.stride))
            case Reshape():
                shape = value.shape
                model.add_module(operator.name, nn.Flatten())
            case _:
                raise InputError(f"{type(operator).__name__} {operator.name!r} must be a layer "
                                 "that can be trained")
        if operator.rectified:
            model.add_module(f"{operator.name}_relu", nn.ReLU())
        value = operator.output
    return model


def _convolution(operator: Conv2D | DepthwiseConv2D) -> nn.Conv2d:
    window = operator.window
    (top, bottom), (left, right) = window.padding
    if (top, left) != (bottom, right) or window.dilation != (1, 1):
        raise InputError(f"Layer {operator.name!r} must have as much padding on opposite sides, "
                         "and no dilation")
    channels = operator.input.shape[2]
    if isinstance(operator, Conv2D):
        weight, groups = operator.weight.transpose(0, 3, 1, 2), 1
    else:
        weight, groups = operator.weight.transpose(2, 0, 1)[:, None], channels
    layer = nn.Conv2d(channels, len(weight), window.kernel, window.stride, (top, left),
                      groups=groups)
    _copy(layer, weight, operator.bias)
    return layer


def _copy(layer: nn.Conv2d | nn.Linear, weight: NDArray[np.float32], bias: NDArray[np.float32]
          ) -> None:
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        layer.bias.copy_(torch.from_numpy(bias))
