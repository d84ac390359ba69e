"""Caffe's prototxt: the layers of a network and the shapes of their weights.

The text is parsed by protobuf itself, against a schema of the few fields that decide a shape; the
names, numbers and defaults are those of ``caffe.proto``. All other fields are skipped.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from eieio.model.errors import InputError
from eieio.model.formats.onnx_window import Sliding

__all__ = ["MAXIMA", "MEANS", "NetParameter", "Weights", "convolution_window", "input_shapes",
           "parse_net", "pooling_window", "weight_shapes"]

_ENUMERATIONS = {"PoolMethod": ("MAX", "AVE", "STOCHASTIC"), "RoundMode": ("CEIL", "FLOOR")}
_SCHEMA = {
    "BlobShape": ("repeated int64 dim 1",),
    "ConcatParameter": ("optional int32 axis 2 1", "optional uint32 concat_dim 1 1"),
    "ConvolutionParameter": (
        "optional uint32 num_output 1", "optional bool bias_term 2 true",
        "repeated uint32 pad 3", "repeated uint32 kernel_size 4", "optional uint32 group 5 1",
        "repeated uint32 stride 6", "optional uint32 pad_h 9", "optional uint32 pad_w 10",
        "optional uint32 kernel_h 11", "optional uint32 kernel_w 12",
        "optional uint32 stride_h 13", "optional uint32 stride_w 14",
        "repeated uint32 dilation 18"),
    "InnerProductParameter": (
        "optional uint32 num_output 1", "optional bool bias_term 2 true",
        "optional int32 axis 5 1", "optional bool transpose 6 false"),
    "InputParameter": ("repeated BlobShape shape 1",),
    "PoolingParameter": (
        "optional PoolMethod pool 1 MAX", "optional RoundMode round_mode 13 CEIL",
        "optional uint32 kernel_size 2", "optional uint32 stride 3 1", "optional uint32 pad 4 0",
        "optional uint32 kernel_h 5", "optional uint32 kernel_w 6",
        "optional uint32 stride_h 7", "optional uint32 stride_w 8",
        "optional uint32 pad_h 9", "optional uint32 pad_w 10",
        "optional bool global_pooling 12 false"),
    "ReLUParameter": ("optional float negative_slope 1 0",),
    "LayerParameter": (
        "optional string name 1", "optional string type 2", "repeated string bottom 3",
        "repeated string top 4", "optional ConcatParameter concat_param 104",
        "optional ConvolutionParameter convolution_param 106",
        "optional InnerProductParameter inner_product_param 117",
        "optional PoolingParameter pooling_param 121", "optional ReLUParameter relu_param 123",
        "optional InputParameter input_param 143"),
    "V1LayerParameter": ("optional string name 4",),
    "NetParameter": (
        "optional string name 1", "repeated V1LayerParameter layers 2", "repeated string input 3",
        "repeated int32 input_dim 4", "repeated BlobShape input_shape 8",
        "repeated LayerParameter layer 100"),
}

# Layers that neither hold weights nor change a shape.
_SHAPE_KEEPERS = frozenset({
    "AbsVal", "Dropout", "ELU", "Eltwise", "LRN", "Power", "ReLU", "Sigmoid", "Softmax", "Split",
    "TanH"})
_TYPES = sorted(
    _SHAPE_KEEPERS | {"Concat", "Convolution", "Flatten", "InnerProduct", "Input", "Pooling"})

# Guards against allocating what no file could fill; the largest layer of VGG-16 has 2 ** 26.6.
_MAX_WEIGHTS = 2 ** 28


def _net_parameter_class() -> Any:
    """Build the message class in a pool of its own, so that a real Caffe can be loaded too."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe_subset.proto", package="caffe")
    field_class = descriptor_pb2.FieldDescriptorProto
    for name, values in _ENUMERATIONS.items():
        enumeration = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enumeration.value.add(name=value, number=number)
    for message, fields in _SCHEMA.items():
        descriptor = file.message_type.add(name=message)
        for line in fields:
            label, kind, name, number, *default = line.split()
            field = descriptor.field.add(
                name=name, number=int(number),
                label=field_class.Label.Value(f"LABEL_{label.upper()}"))
            if kind in _SCHEMA:
                field.type = field_class.TYPE_MESSAGE
                field.type_name = f".caffe.{kind}"
            elif kind in _ENUMERATIONS:
                field.type = field_class.TYPE_ENUM
                field.type_name = f".caffe.{kind}"
            else:
                field.type = field_class.Type.Value(f"TYPE_{kind.upper()}")
            if default:
                field.default_value = default[0]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


NetParameter: Any = _net_parameter_class()
"""Message class of a network: Caffe's message of that name, with the fields that eieio uses."""

#: What the field ``pool`` of a pooling layer may be: the maxima or the means of windows.
MAXIMA, MEANS = 0, 1


@dataclass(frozen=True)
class Weights:
    """A layer that holds weights.

    Attributes
    ----------
    name : :class:`str`
        Name of the layer.
    shape : tuple of :class:`int`
        Shape of the weights: (outputs, channels, height, width) of a convolution, and (outputs,
        inputs) of an inner product. There are as many biases as outputs.
    """

    name: str
    shape: tuple[int, ...]


def parse_net(data: bytes, source: str) -> Any:
    """Parse a prototxt.

    Parameters
    ----------
    data : :class:`bytes`
        The file's content.
    source : :class:`str`
        What an error message calls the file.

    Returns
    -------
    ``NetParameter``
        The message. Fields that eieio does not use are dropped.

    Raises
    ------
    InputError
        If the text is not a prototxt, has no layer, or is of the kind from before 2014.
    """
    net = NetParameter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of texts with a backslash, Python's own decoder does.
            text_format.Parse(data.decode(), net, allow_unknown_field=True)
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: must be a prototxt in UTF-8, but byte {error.start} is not "
                         "UTF-8") from None
    except text_format.ParseError as error:
        raise InputError(f"{source}: must be a prototxt: {_one_line(error)}") from None
    except RecursionError:
        raise InputError(f"{source}: must be a prototxt, not nested this deep") from None
    if net.layers:
        raise InputError(f"{source}: layers must be in 'layer {{ }}' with a quoted type, not in "
                         "the older 'layers { }' (Caffe's upgrade_net_proto_text converts it)")
    if not net.layer:
        raise InputError(f"{source}: must have at least one 'layer {{ }}'")
    return net


def weight_shapes(net: Any, source: str) -> tuple[Weights, ...]:
    """Infer the shapes of all weights.

    Parameters
    ----------
    net : ``NetParameter``
        Network as deployed: its inputs are declared, and no layer is there for training alone.
    source : :class:`str`
        What an error message calls the network.

    Returns
    -------
    tuple of :class:`Weights`
        Convolutions and inner products in the order of the file; at least one.

    Raises
    ------
    InputError
        If a layer has a type or an option that eieio does not know, or its input has no shape.
    """
    blobs = _declared_inputs(net, source)
    found = []
    for layer in net.layer:
        where = f"{source}: layer {layer.name!r}"
        if layer.type not in _TYPES:
            raise InputError(f"{where} must be of type {', '.join(_TYPES)}, not {layer.type!r}")
        if layer.type == "Input":
            blobs |= _input_layer(layer, where)
            continue
        for bottom in layer.bottom:
            if bottom not in blobs:
                raise InputError(f"{where} must take the top of a layer before it, not {bottom!r}")
        if not layer.bottom:
            raise InputError(f"{where} must have a bottom")
        top, weights = _apply(layer, [blobs[bottom] for bottom in layer.bottom], where)
        blobs |= dict.fromkeys(layer.top, top)
        if weights is not None:
            if math.prod(weights) > _MAX_WEIGHTS:
                raise InputError(f"{where} must have at most {_MAX_WEIGHTS} weights, not "
                                 f"{math.prod(weights)}")
            found.append(Weights(layer.name, weights))
    if not found:
        raise InputError(f"{source}: must have a Convolution or an InnerProduct")
    return tuple(found)


def input_shapes(net: Any, source: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes, without the batch, of all inputs: those of layers, and others."""
    found = _declared_inputs(net, source)
    for layer in net.layer:
        if layer.type == "Input":
            found |= _input_layer(layer, f"{source}: layer {layer.name!r}")
    return found


def _input_layer(layer: Any, where: str) -> dict[str, tuple[int, ...]]:
    shapes = [tuple(shape.dim) for shape in layer.input_param.shape]
    if len(shapes) == 1:
        shapes *= len(layer.top)
    if len(shapes) != len(layer.top):
        raise InputError(f"{where} must have one shape, or one for each of its "
                         f"{len(layer.top)} tops, not {len(shapes)}")
    return {top: _without_batch(shape, where)
            for top, shape in zip(layer.top, shapes, strict=True)}


def _one_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _without_batch(dims: Sequence[int], where: str) -> tuple[int, ...]:
    if len(dims) < 2 or min(dims) < 1:
        raise InputError(f"{where} must have a shape of positive dimensions, the batch first, not "
                         f"{tuple(dims)}")
    return tuple(dims[1:])


def _declared_inputs(net: Any, source: str) -> dict[str, tuple[int, ...]]:
    """Shapes, without the batch, of the inputs declared outside of layers."""
    shapes = [tuple(shape.dim) for shape in net.input_shape]
    if net.input_dim:
        shapes = [tuple(net.input_dim[i:i + 4]) for i in range(0, len(net.input_dim), 4)]
        if len(net.input_dim) % 4:
            raise InputError(f"{source}: input_dim must be given 4 times an input, not "
                             f"{len(net.input_dim)} times")
    if len(shapes) != len(net.input):
        raise InputError(f"{source}: each of the {len(net.input)} inputs must have one shape, not "
                         f"{len(shapes)} in all")
    return {name: _without_batch(shape, f"{source}: input {name!r}")
            for name, shape in zip(net.input, shapes, strict=True)}


def _apply(layer: Any, bottoms: list[tuple[int, ...]],
           where: str) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Shapes of a layer's top and of its weights."""
    bottom = bottoms[0]
    match layer.type:
        case "Convolution":
            return _convolution(layer.convolution_param, bottom, where)
        case "InnerProduct":
            param = layer.inner_product_param
            if param.axis != 1 or param.transpose or not param.bias_term or not param.num_output:
                raise InputError(f"{where} must have a num_output, axis 1, a bias and no transpose")
            return (param.num_output,), (param.num_output, math.prod(bottom))
        case "Pooling":
            return _pooling(layer.pooling_param, bottom, where), None
        case "Flatten":
            return (math.prod(bottom),), None
        case "Concat":
            param = layer.concat_param
            if param.axis != 1 or param.concat_dim != 1:
                raise InputError(f"{where} must join channels, on axis 1")
            if any(other[1:] != bottom[1:] for other in bottoms):
                raise InputError(f"{where} must join bottoms of equal size, not {bottoms}")
            return (sum(other[0] for other in bottoms), *bottom[1:]), None
        case _:
            return bottom, None


def _pair(layer: Any, name: str, short: str, default: int, where: str) -> tuple[int, int]:
    """Height and width of an option that is given once, twice, or by two other names."""
    if layer.HasField(f"{short}_h") or layer.HasField(f"{short}_w"):
        return getattr(layer, f"{short}_h"), getattr(layer, f"{short}_w")
    given = getattr(layer, name)
    values = [given] if isinstance(given, int) else list(given)
    if len(values) > 2:
        raise InputError(f"{where} must have at most two values of {name}, not {len(values)}")
    values = values or [default]
    return values[0], values[-1]


def _window(param: Any, bottom: tuple[int, ...],
            where: str) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Kernel, stride and padding, each (height, width)."""
    if len(bottom) != 3:
        raise InputError(f"{where} must take an image of shape (channels, height, width), not "
                         f"{bottom}")
    kernel = _pair(param, "kernel_size", "kernel", 0, where)
    stride = _pair(param, "stride", "stride", 1, where)
    if not min(kernel) or not min(stride):
        raise InputError(f"{where} must have a kernel and a stride above 0, not {kernel} and "
                         f"{stride}")
    return kernel, stride, _pair(param, "pad", "pad", 0, where)


def convolution_window(param: Any, bottom: tuple[int, ...], where: str) -> Sliding:
    """Return how the kernel of a convolution slides over an image (channels, height, width)."""
    kernel, stride, pad = _window(param, bottom, where)
    dilation = list(param.dilation) or [1]
    down, across = pad
    return Sliding(kernel, stride, (dilation[0], dilation[-1]), ((down, down), (across, across)),
                   (0, 0))


def _convolution(param: Any, bottom: tuple[int, ...],
                 where: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sliding = convolution_window(param, bottom, where)
    channels, *size = bottom
    outputs, group = param.num_output, param.group
    if not group or not outputs or channels % group or outputs % group or not param.bias_term:
        raise InputError(f"{where} must have a bias, and a group that divides its {channels} "
                         f"inputs and {outputs} outputs, not {group}")
    reach = sliding.unpadded().extent
    top = [(size[i] + sum(sliding.padding[i]) - reach[i]) // sliding.stride[i] + 1
           for i in range(2)]
    if min(top) < 1:
        raise InputError(f"{where} must have a kernel within its {size[0]} x {size[1]} input, not "
                         f"{reach[0]} x {reach[1]}")
    return (outputs, *top), (outputs, channels // group, *sliding.kernel)


def pooling_window(param: Any, bottom: tuple[int, ...], where: str) -> Sliding:
    """Return how the window of a pooling layer slides over an image (channels, height, width).

    Caffe rounds the number of windows up, so that a last one may reach beyond what is padded; but
    it drops a window that would begin in the padding.

    Raises
    ------
    InputError
        If a window does not fit the image or has no element of it, or it is neither for maxima nor
        for means.
    """
    if param.pool not in (MAXIMA, MEANS):
        raise InputError(f"{where} must pool by MAX or AVE, not STOCHASTIC")
    if param.global_pooling:
        return Sliding((bottom[1], bottom[2]), (1, 1), (1, 1), ((0, 0), (0, 0)), (0, 0))
    kernel, stride, pad = _window(param, bottom, where)
    size, more = bottom[1:], []
    for i in range(2):
        rest = size[i] + 2 * pad[i] - kernel[i]
        start = (rest // stride[i] if param.round_mode else -(-rest // stride[i])) * stride[i]
        if pad[i] and start >= size[i] + pad[i]:
            start -= stride[i]
        if start < 0:
            raise InputError(f"{where} must have a kernel within its {size[0]} x {size[1]} input, "
                             f"not {kernel[0]} x {kernel[1]}")
        if pad[i] >= kernel[i] or start >= size[i] + pad[i]:
            raise InputError(f"{where} must have windows with an element of its {size[0]} x "
                             f"{size[1]} input each, not kernel {kernel}, stride {stride} and "
                             f"padding {pad}")
        more.append(max(start - rest, 0))
    return Sliding(kernel, stride, (1, 1), ((pad[0], pad[0]), (pad[1], pad[1])),
                   (more[0], more[1]))


def _pooling(param: Any, bottom: tuple[int, ...], where: str) -> tuple[int, ...]:
    sliding = pooling_window(param, bottom, where)
    return bottom[0], *((size + sum(pads) + more - extent) // step + 1
                        for size, pads, more, extent, step in zip(
                            bottom[1:], sliding.padding, sliding.more, sliding.kernel,
                            sliding.stride, strict=True))
