"""TensorFlow Lite: single operators against its reference kernels, and refusals."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from long_cases import long
from numpy.typing import NDArray
from tflite_file import (
    NONE,
    OPERATORS,
    RELU,
    RELU6,
    RELU_N1_TO_1,
    SAME,
    TANH,
    TYPES,
    VALID,
    Op,
    T,
    build,
    compare,
    options,
    reference,
    schema,
    window,
)

from eieio.model.errors import InputError
from eieio.model.formats.tflite import read
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import Conv2D, FullyConnected, QuantizedGraph, Stack

# One file is written anew for every example.
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60,
                deadline=None)
seeds = st.integers(0, 2**32 - 1)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.sampled_from([SAME, VALID])
activations = st.sampled_from([NONE, RELU, RELU6, RELU_N1_TO_1])
zero_points = st.integers(-128, 127)


def output_shape(padding: int, sizes: Sequence[int], kernel: Sequence[int],
                 stride: Sequence[int], dilation: Sequence[int] = (1, 1)) -> list[int]:
    extents = [(k - 1) * d + 1 if padding == VALID else 1
               for k, d in zip(kernel, dilation, strict=True)]
    return [(size - extent) // step + 1
            for size, extent, step in zip(sizes, extents, stride, strict=True)]


def convolution(rng: np.random.Generator, *, depthwise: bool, sizes: Sequence[int],
                kernel: tuple[int, int], stride: tuple[int, int] = (1, 1),
                dilation: tuple[int, int] = (1, 1), padding: int = SAME, activation: int = NONE,
                zero_in: int = 0, zero_out: int = 0, per_channel: bool = True,
                has_bias: bool = True) -> bytes:
    depth, channels = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    if depthwise:
        channels = depth * channels
    scale = rng.uniform(0.001, 0.02, channels if per_channel else 1).astype(np.float32)
    source = np.float32(rng.uniform(0.01, 0.2))
    # Factors around 1 too.
    result = np.float32(rng.choice([0.001, 0.01, 0.1]) * rng.uniform(0.5, 2))
    shape = (1, *kernel, channels) if depthwise else (channels, *kernel, depth)
    weight = rng.integers(-127, 128, shape).astype(np.int8)
    bias = rng.integers(-2000, 2000, channels).astype(np.int32)
    kind = "DepthwiseConv2D" if depthwise else "Conv2D"
    extra = {"depthMultiplier": channels // depth} if depthwise else {}
    out = output_shape(padding, sizes, kernel, stride, dilation)
    return build(
        [T([1, *sizes, depth], source, zero_in),
         T(shape, scale, data=weight, axis=3 if depthwise else 0),
         T([channels], source * scale, dtype=TYPES.INT32, data=bias),
         T([1, *out, channels], result, zero_out)],
        [Op(OPERATORS.DEPTHWISE_CONV_2D if depthwise else OPERATORS.CONV_2D,
            [0, 1, 2] if has_bias else [0, 1], [3],
            *window(kind, padding, stride, activation, dilationHFactor=dilation[0],
                    dilationWFactor=dilation[1], **extra))])


@pytest.mark.parametrize("depthwise", [False, True])
@many
@given(sizes=st.tuples(st.integers(7, 10), st.integers(7, 10)), kernel=pairs, stride=pairs,
       dilation=pairs, padding=paddings, activation=activations, zero_in=zero_points,
       zero_out=zero_points, per_channel=st.booleans(), has_bias=st.booleans(), seed=seeds)
def test_convolution(tmp_path: Path, *, depthwise: bool, has_bias: bool, seed: int,
                     **drawn: Any) -> None:
    # The kernel of CONV_2D insists on biases.
    data = convolution(np.random.default_rng(seed), depthwise=depthwise,
                       has_bias=has_bias or not depthwise, **drawn)
    graph = compare(tmp_path / "net.tflite", data, seed)
    assert graph.operators[0].name == ("depthwise_conv_2d_0" if depthwise else "conv_2d_0")


def test_padding_is_explicit(tmp_path: Path) -> None:
    data = convolution(np.random.default_rng(1), depthwise=False, sizes=(9, 10), kernel=(3, 2),
                       stride=(2, 3), dilation=(1, 2))
    operator = compare(tmp_path / "net.tflite", data).operators[0]
    assert isinstance(operator, Conv2D)
    assert operator.window.padding == ((1, 1), (1, 1))
    data = convolution(np.random.default_rng(1), depthwise=False, sizes=(8, 9), kernel=(3, 2),
                       stride=(2, 1))
    operator = compare(tmp_path / "net.tflite", data).operators[0]
    assert isinstance(operator, Conv2D)
    assert operator.window.padding == ((0, 1), (0, 1))


def fully_connected(bias: NDArray[np.int32], weight: NDArray[np.int8], scale: Any,
                    output_scale: float, zero_point: int = 0, activation: int = NONE) -> bytes:
    channels, elements = weight.shape
    return build(
        [T([1, elements], 1.0, 3), T(weight.shape, scale, data=weight),
         T([channels], scale, dtype=TYPES.INT32, data=bias),
         T([1, channels], output_scale, zero_point)],
        [Op(OPERATORS.FULLY_CONNECTED, [0, 1, 2], [3],
            *options("FullyConnected", fusedActivationFunction=activation))])


@many
@given(shift=st.floats(-7, 2), per_channel=st.booleans(), zero_point=zero_points,
       activation=activations, seed=seeds)
def test_fully_connected(tmp_path: Path, shift: float, per_channel: bool, zero_point: int,
                         activation: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = rng.uniform(1, 2, 5 if per_channel else 1).astype(np.float32)
    data = fully_connected(
        rng.integers(-1000, 1000, 5).astype(np.int32),
        rng.integers(-127, 128, (5, 7)).astype(np.int8), scale, float(np.float32(2**-shift)),
        zero_point, activation)
    compare(tmp_path / "net.tflite", data, seed)


@pytest.mark.parametrize("factor", [
    1.5, 1.0, 0.75, 0.5, 1 / 12, 1 / 16, 0.0231, 0.0078, *long(0.0003)])
@pytest.mark.parametrize("zero_point", [24, *long(-128, 0)])
def test_fully_connected_accumulators(tmp_path: Path, factor: float, zero_point: int) -> None:
    # The weights are 0, so that the biases are all accumulators whose results are not clamped.
    reach = int(260 / factor)
    bias = np.arange(-reach, reach + 1, dtype=np.int32)
    scale = float(np.float32(factor))
    data = fully_connected(bias, np.zeros((len(bias), 1), np.int8), scale, 1.0, zero_point)
    graph = compare(tmp_path / "net.tflite", data, samples=1)
    operator = graph.operators[0]
    assert isinstance(operator, FullyConnected)
    assert operator.single_rounding


@pytest.mark.parametrize("factor", [0.000121, 2.0**-14, 2.0**-20 / 3])
def test_fully_connected_accumulators_next_to_a_half(tmp_path: Path, factor: float) -> None:
    # All of them are too many; these are all at which a result changes, and their neighbours.
    scale = float(np.float32(factor))
    bias = np.array([number + off for result in range(-130, 131)
                     for number in [math.floor((result + 0.5) / scale)] for off in (-1, 0, 1, 2)])
    data = fully_connected(bias.astype(np.int32), np.zeros((len(bias), 1), np.int8), scale, 1.0)
    graph = compare(tmp_path / "net.tflite", data, samples=1)
    assert isinstance(graph.operators[0], FullyConnected)
    assert graph.operators[0].single_rounding


def test_fully_connected_without_a_multiplier(tmp_path: Path) -> None:
    # More accumulators than 31 bits of a factor can tell apart.
    bias = np.array([-2**30, 2**30], np.int32)
    data = fully_connected(bias, np.zeros((2, 1), np.int8), 1e-7, 0.9)
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    message = re.escape(
        f"{path}: operator 0 (FULLY_CONNECTED): no multiplier of 31 bits rounds sums of up to "
        "1073741824 as the kernel does, in float64; the factor must be larger, not 1.111e-07")
    with pytest.raises(InputError, match=f"^{message}$"):
        read(path)


def test_one_rounding_is_that_of_fully_connected_alone(tmp_path: Path) -> None:
    # A sum of 5 times 1/4 is 1.25; in two roundings 3, and 2. The kernels of both differ so.
    bias = np.array([5, -6, 9], np.int32)
    weight = np.zeros((3, 1), np.int8)
    dense = compare(tmp_path / "dense.tflite", fully_connected(bias, weight, 0.25, 1.0), samples=1)
    assert run_graph(dense, np.zeros((1, 1), np.int8))["t3"].tolist() == [[1, -2, 2]]
    conv = build([T([1, 1, 1, 1]), T([3, 1, 1, 1], 0.5, data=weight.reshape(3, 1, 1, 1)),
                  T([3], 0.25, dtype=TYPES.INT32, data=bias), T([1, 1, 1, 3], 1.0)],
                 [Op(OPERATORS.CONV_2D, [0, 1, 2], [3], *window("Conv2D"))])
    graph = compare(tmp_path / "conv.tflite", conv, samples=1)
    assert run_graph(graph, np.zeros((1, 1, 1, 1), np.int8))["t3"].tolist() == [[[[2, -2, 3]]]]


@many
@given(sizes=st.tuples(st.integers(3, 8), st.integers(3, 8)), kernel=pairs, stride=pairs,
       padding=paddings, activation=activations, maximum=st.booleans(), zero=zero_points,
       seed=seeds)
def test_pool(tmp_path: Path, *, sizes: tuple[int, int], kernel: tuple[int, int],
              stride: tuple[int, int], padding: int, activation: int, maximum: bool, zero: int,
              seed: int) -> None:
    out = output_shape(padding, sizes, kernel, stride)
    data = build([T([1, *sizes, 2], 0.03, zero), T([1, *out, 2], 0.03, zero)], [
        Op(OPERATORS.MAX_POOL_2D if maximum else OPERATORS.AVERAGE_POOL_2D, [0], [1],
           *window("Pool2D", padding, stride, activation, filterHeight=kernel[0],
                   filterWidth=kernel[1]))])
    compare(tmp_path / "net.tflite", data, seed)


scales = st.floats(2.0**-10, 4, width=32)


@many
@given(scale=st.tuples(scales, scales, scales), zero=st.tuples(*[zero_points] * 3),
       activation=activations, seed=seeds)
def test_add(tmp_path: Path, scale: tuple[float, float, float], zero: tuple[int, int, int],
             activation: int, seed: int) -> None:
    # The second operand has other values and another scale by way of a convolution.
    weight = np.random.default_rng(seed).integers(-127, 128, (1, 1, 1, 2)).astype(np.int8)
    data = build(
        [T([1, 4, 8, 2], scale[0], zero[0]), T(weight.shape, 0.01, data=weight),
         T([1, 4, 8, 2], scale[1], zero[1]), T([1, 4, 8, 2], scale[2], zero[2])],
        [Op(OPERATORS.DEPTHWISE_CONV_2D, [0, 1], [2],
            *window("DepthwiseConv2D", depthMultiplier=1)),
         Op(OPERATORS.ADD, [0, 2], [3], *options("Add", fusedActivationFunction=activation))])
    compare(tmp_path / "net.tflite", data, seed)


def concatenation(axis: int, inputs: Sequence[int], shape: Sequence[int], channels: int = 4,
                  scale: float = 0.5, **more: Any) -> bytes:
    """Join the input (0), a convolution of it (3) and maxima of it (4)."""
    weight = np.resize(np.arange(-12, 12, dtype=np.int8), (channels, 1, 1, 6))
    return build(
        [T([1, 3, 5, 6], 0.5, -7), T(weight.shape, 0.25, data=weight),
         T([channels], 0.125, dtype=TYPES.INT32, data=np.zeros(channels, np.int32)),
         T([1, 3, 5, channels], scale, -7), T([1, 3, 5, 6], 0.5, -7), T(shape, 0.5, -7)],
        [Op(OPERATORS.CONV_2D, [0, 1, 2], [3], *window("Conv2D")),
         Op(OPERATORS.MAX_POOL_2D, [0], [4],
            *window("Pool2D", SAME, filterHeight=3, filterWidth=3)),
         Op(OPERATORS.CONCATENATION, inputs, [5], *options("Concatenation", axis=axis, **more))])


@pytest.mark.parametrize(("axis", "inputs", "shape", "channels", "operators"), [
    (3, [3, 4], [1, 3, 5, 10], 4, 3),
    # Copies of what lies elsewhere: the input, and what comes twice.
    (-1, [3, 4, 3, 0], [1, 3, 5, 20], 4, 5),
    (1, [4, 0, 3], [1, 9, 5, 6], 6, 4),
    (2, [4, 3], [1, 3, 10, 6], 6, 3),
])
def test_concatenation(tmp_path: Path, axis: int, inputs: list[int], shape: list[int],
                       channels: int, operators: int) -> None:
    graph = compare(tmp_path / "net.tflite", concatenation(axis, inputs, shape, channels))
    assert isinstance(graph.operators[-1], Stack)
    assert len(graph.operators) == operators


def test_concatenation_keeps_scales(tmp_path: Path) -> None:
    """The kernel for int8 rescales nothing: LiteRT refuses other scales, and so does eieio."""
    data = concatenation(3, [3, 4], [1, 3, 5, 10], scale=0.25)
    with pytest.raises(RuntimeError, match="scale"):
        reference(data, np.zeros((1, 3, 5, 6), np.int8))
    (tmp_path / "net.tflite").write_bytes(data)
    with pytest.raises(InputError, match=re.escape(
            "operator 2 (CONCATENATION): tensor 't3' must have the scale and the zero point of the "
            "output, as the kernel for int8 demands, 0.5 and -7, not 0.25 and -7")):
        read(tmp_path / "net.tflite")


@many
@given(scale=st.floats(2.0**-10, 24, width=32), beta=st.floats(0.25, 4, width=32),
       shape=st.lists(st.integers(1, 12), min_size=1, max_size=3), zero=zero_points, seed=seeds)
def test_softmax(tmp_path: Path, scale: float, beta: float, shape: list[int], zero: int,
                 seed: int) -> None:
    data = build([T([1, *shape], scale, zero), T([1, *shape], 1 / 256, -128)],
                 [Op(OPERATORS.SOFTMAX, [0], [1], *options("Softmax", beta=beta))])
    compare(tmp_path / "net.tflite", data, seed)


def pad_and_reshape(**changes: Any) -> bytes:
    padding = changes.get("padding", np.array([[0, 0], [1, 0], [2, 3], [0, 1]], np.int32))
    shape = changes.get("shape", np.array([-1, 120], np.int32))
    return build(
        [T([1, 2, 3, 4], 0.5, -7), T(padding.shape, None, dtype=TYPES.INT32, data=padding),
         T([1, 3, 8, 5], 0.5, -7), T(shape.shape, None, dtype=TYPES.INT32, data=shape),
         T([1, 120], 0.5, -7)],
        [Op(OPERATORS.PAD, [0, 1], [2], *options("Pad")),
         Op(OPERATORS.RESHAPE, [2, 3] if changes.get("operand", True) else [2], [4],
            *options("Reshape", newShape=[1, 120]))])


@pytest.mark.parametrize("operand", [True, False])
def test_pad_and_reshape(tmp_path: Path, operand: bool) -> None:
    graph = compare(tmp_path / "net.tflite", pad_and_reshape(operand=operand))
    assert [operator.name for operator in graph.operators] == ["pad_0", "reshape_1"]
    assert graph.output.shape == (120,)


def test_names(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(build(
        [T([1, 2], 1.0, name="same"), T([1, 2, 1], 1.0, name="same"), T([1, 1, 2], 1.0, name="")],
        [Op(OPERATORS.RESHAPE, [0], [1]), Op(OPERATORS.RESHAPE, [1], [2])]))
    graph = read(path)
    assert graph.name == "net"
    assert [tensor.name for tensor in graph.tensors] == ["same", "same#1", "2"]


# Refusals.

CONV = window("Conv2D")
ZEROS = np.zeros((2, 3, 3, 1), np.int8)
BIAS = T([2], 0.25, dtype=TYPES.INT32, data=np.zeros(2, np.int32))
IMAGE, WEIGHT, RESULT = T([1, 5, 5, 1]), T(ZEROS.shape, data=ZEROS), T([1, 3, 3, 2])


def conv(*, source: T = IMAGE, weight: T = WEIGHT, bias: T = BIAS, result: T = RESULT,
         option: tuple[int, Any] = CONV, kind: int = OPERATORS.CONV_2D,
         inputs: Sequence[int] = (0, 1, 2), **more: Any) -> bytes:
    return build([source, weight, bias, result], [Op(kind, inputs, [3], *option)], **more)


def dense(**more: Any) -> bytes:
    weight = np.zeros((2, 25), np.int8)
    return conv(kind=OPERATORS.FULLY_CONNECTED, weight=T((2, 25), data=weight), result=T([1, 2]),
                option=options("FullyConnected", **more))


def pool(source: T, result: T, **more: Any) -> bytes:
    return build([source, result], [Op(OPERATORS.AVERAGE_POOL_2D, [0], [1],
                                       *window("Pool2D", filterHeight=2, filterWidth=2, **more))])


def add(*, first: int = 0, second: int = 0, result: T | None = None) -> bytes:
    constant = T([1, 4], data=np.zeros((1, 4), np.int8))
    return build([T([1, 4]), constant, result or T([1, 4])],
                 [Op(OPERATORS.ADD, [first, second], [2], *options("Add"))])


def set_version(model: Any) -> None:
    model.version = 2


def add_subgraph(model: Any) -> None:
    model.subgraphs *= 2


def move_data(model: Any) -> None:
    model.buffers[1].offset = 1000


SPARSE = schema.SparsityParametersT()
OPERATOR = "operator 0 (CONV_2D): "
KINDS = ("ADD, AVERAGE_POOL_2D, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, EXPAND_DIMS, "
         "FULLY_CONNECTED, MAX_POOL_2D, MEAN, PAD, RESHAPE, SOFTMAX, SQUEEZE")
ADVICE = ("convert with a representative dataset, TFLITE_BUILTINS_INT8, and int8 or uint8 as "
          "inference_input_type and inference_output_type")


@pytest.mark.parametrize(("data", "message"), [
    (conv(change=set_version), "schema version must be 3, not 2"),
    (conv(change=add_subgraph), "must have one subgraph, not 2"),
    (conv(change=move_data), "data must be inside of the FlatBuffers tables, not behind them"),
    (conv(kind=OPERATORS.CONV_3D, option=(0, None)),
     f"operators must be among {KINDS}, not CONV_3D"),
    (build([T([1, 1])] * 3, [Op(OPERATORS.CUSTOM, [0], [1]), Op(OPERATORS.TANH, [1], [2])]),
     f"operators must be among {KINDS}, not 'Mystery', TANH"),
    (conv(inputs=(0, 9)), "must be a whole TensorFlow Lite file: no tensor 9 among 4"),
    (conv(option=window("Pool2D")),
     OPERATOR + "must have Conv2DOptions, not options of type 5"),
    (conv(option=(0, None)), OPERATOR + "must have Conv2DOptions, not no options"),
    (concatenation(0, [3, 4], [2, 3, 5, 6], 6),
     "operator 2 (CONCATENATION): axis must be one of the 4, behind the batch, not 0"),
    (concatenation(3, [3, 4], [1, 3, 5, 10], fusedActivationFunction=RELU),
     ("operator 2 (CONCATENATION): fused activation must be NONE, as the kernel demands, not "
      "RELU")),
    # Inputs and outputs of the network.
    (build([T([1, 4])] * 3, [Op(OPERATORS.RESHAPE, [0], [1])], inputs=(0, 2)),
     "must have one input, not 2 ('t0', 't2')"),
    (build([T([1, 4])] * 3, [Op(OPERATORS.RESHAPE, [0], [1])], outputs=()),
     "must have one output, not 0"),
    (conv(outputs=(1,)), "output must be computed by an operator, not tensor 't1'"),
    (build([T([1, 4])] * 2, [Op(OPERATORS.RESHAPE, [0], [])], outputs=(1,)),
     "operator 0 (RESHAPE): must have one output, not 0"),
    (build([T([1, 4])] * 2, [Op(OPERATORS.RESHAPE, [0], [1])] * 2),
     "operator 1 (RESHAPE): tensor 't1' must be computed once"),
    (build([T([1, 4])] * 3, [Op(OPERATORS.RESHAPE, [2], [1])]),
     ("operator 0 (RESHAPE): operand 0 must be activations computed before, not tensor 't2'")),
    (build([T([1, 4])] * 3, [Op(OPERATORS.RESHAPE, [], [1])]),
     "operator 0 (RESHAPE): must have operand 0"),
    # Types.
    (conv(source=T([1, 5, 5, 1], None, dtype=TYPES.FLOAT32)),
     ("tensor 't0' must be INT8, not FLOAT32: eieio takes networks quantized to 8 bits "
      f"throughout; {ADVICE}")),
    (conv(source=T([1, 5, 5, 1], dtype=TYPES.UINT8)),
     ("tensor 't0' must be INT8, not UINT8: eieio takes uint8 at the ends of a network only; "
      "convert by TensorFlow 2, whose scheme is int8")),
    (conv(source=T([1, 5, 5, 1], dtype=99)), "tensor 't0' must be INT8, not type 99"),
    (conv(result=T([1, 3, 3, 2], dtype=TYPES.INT16)),
     OPERATOR + ("tensor 't3' must be INT8, not INT16: eieio takes activations of 8 bits; "
                 + ADVICE)),
    (conv(weight=T(ZEROS.shape, dtype=TYPES.INT4, data=ZEROS[:1])),
     OPERATOR + "tensor 't1' must be INT8, not INT4"),
    (conv(bias=T([2], dtype=TYPES.INT64, data=np.zeros(2, np.int64))),
     OPERATOR + "tensor 't2' must be INT32, not INT64"),
    # Quantization and storage.
    (conv(source=T([1, 5, 5, 1], None)),
     "tensor 't0' must have one scale and one zero point, not 0 and 0"),
    (conv(result=T([1, 3, 3, 2], [0.5, 0.5], axis=3)),
     OPERATOR + "tensor 't3' must have one scale and one zero point, not 2 and 2"),
    (conv(source=T([1, 5, 5, 1], 0.0)), "Tensor 't0': scale must be positive and finite, not 0.0"),
    (conv(weight=T(ZEROS.shape, 0.5, 3, data=ZEROS)),
     OPERATOR + "tensor 't1' must have zero point 0, not 3"),
    (conv(weight=T(ZEROS.shape, [0.5, -0.5], data=ZEROS)),
     OPERATOR + "tensor 't1' must have positive scales"),
    (conv(weight=T(ZEROS.shape, [0.5] * 3, data=ZEROS, axis=1)),
     OPERATOR + "tensor 't1' must have one scale, or 2 along axis 0, not 3 along axis 1"),
    (conv(weight=T(ZEROS.shape, data=ZEROS, changes={"sparsity": SPARSE})),
     OPERATOR + "tensor 't1' must be a plain tensor, not have sparse storage"),
    (conv(source=T([1, 5, 5, 1], changes={"isVariable": True})),
     "tensor 't0' must be a plain tensor, not have state"),
    (conv(bias=T([2], 3.0, dtype=TYPES.INT32, data=np.zeros(2, np.int32))),
     (OPERATOR + "tensor 't2' must have the scale of the sums, that of the input times that of "
      "the weights")),
    (conv(weight=T(ZEROS.shape)), OPERATOR + "tensor 't1' must be a constant"),
    (conv(weight=T(ZEROS.shape, data=ZEROS[:1])),
     OPERATOR + "tensor 't1' must have 18 bytes for its shape (2, 3, 3, 1), not 9"),
    (conv(weight=T((-2, 3, -3, 1), data=ZEROS)),
     OPERATOR + "tensor 't1' must have 18 bytes for its shape (-2, 3, -3, 1), not 18"),
    # Shapes.
    (conv(source=T([1, 5, 5, 1], changes={"shapeSignature": [-1, 5, -1, 1]})),
     "tensor 't0' must have a fixed shape, but for the batch, not (-1, 5, -1, 1)"),
    (conv(source=T([1, 0, 5, 1])),
     "tensor 't0' must have a fixed shape, but for the batch, not (1, 0, 5, 1)"),
    (conv(source=T([1, 5, 5, 1], changes={"shapeSignature": [1, 5, 6, 1]})),
     "tensor 't0' must have one shape, not (1, 5, 5, 1) and (1, 5, 6, 1)"),
    (conv(source=T([5])),
     "tensor 't0' must have the batch of 5 as its first axis, and one more, not shape (5,)"),
    (build([T([1, 4, 2]), T([4, 2])], [Op(OPERATORS.RESHAPE, [0], [1])]),
     ("operator 0 (RESHAPE): tensor 't1' must have the batch of 1 as its first axis, and one "
      "more, not shape (4, 2)")),
    (conv(source=T([1, 25, 1])), OPERATOR + "tensor 't0' must be images, with 4 axes, not 3"),
    (conv(source=T([1, 5, 5, 2])),
     (OPERATOR + "must not be grouped: weights must have 2 input channels, as tensor 't0', not 1")),
    (conv(result=T([1, 3, 4, 2])),
     "Conv2D 'conv_2d_0': output must have shape (3, 3, 2), not (3, 4, 2)"),
    (conv(kind=OPERATORS.DEPTHWISE_CONV_2D, option=window("DepthwiseConv2D")),
     "operator 0 (DEPTHWISE_CONV_2D): weights must have 1 as their first axis, not 2"),
    (conv(bias=T([3], 0.25, dtype=TYPES.INT32, data=np.zeros(3, np.int32))),
     OPERATOR + "tensor 't2' must have shape (2,), not (3,)"),
    (pool(T([1, 5, 5, 1]), T([1, 4, 4, 1], 0.25)),
     ("AveragePool 'average_pool_2d_0': output must have scale 0.5 and zero point 0, as the "
      "input, not 0.25 and 0")),
    # Options.
    (conv(option=window("Conv2D", activation=TANH)),
     (OPERATOR + "fused activation must be NONE, RELU, RELU6 or RELU_N1_TO_1, not TANH")),
    (conv(option=window("Conv2D", activation=77)),
     (OPERATOR + "fused activation must be NONE, RELU, RELU6 or RELU_N1_TO_1, not number 77")),
    (conv(option=window("Conv2D", 7)), OPERATOR + "padding must be SAME or VALID, not number 7"),
    (conv(option=window("Conv2D", stride=(0, 1))),
     OPERATOR + "Stride must be positive, not (0, 1)"),
    (dense(weightsFormat=1), ("operator 0 (FULLY_CONNECTED): weights must be in the default "
                              "order, not shuffled")),
    # Other operators.
    (add(second=1), ("operator 0 (ADD): operand 1 must be activations computed before, not tensor "
                     "'t1'")),
    (add(result=T([1, 1])), "Add 'add_0': inputs must have shape (1,), not (4,)"),
    (add(result=T([1, 4], 1e-9)),
     ("operator 0 (ADD): Output scale must be above 9.5367431640625e-07, 2**-19 of the larger "
      "operand's, not 9.999999717180685e-10")),
    (pad_and_reshape(padding=np.array([[1, 0], [1, 0], [2, 3], [0, 1]], np.int32)),
     ("operator 0 (PAD): tensor 't1' must have shape (4, 2) and leave the batch as it is")),
    (pad_and_reshape(shape=np.array([1, 60, 2], np.int32)),
     ("operator 1 (RESHAPE): tensor 't3' must be (1, 120), the shape of the output, not "
      "(1, 60, 2)")),
    (build([T([1, 2], 2.0**-30), T([1, 2], 1 / 256, -128)],
           [Op(OPERATORS.SOFTMAX, [0], [1], *options("Softmax", beta=1.0))]),
     "Softmax 'softmax_0': factor must be 1 or more, not 0.0625"),
])
def test_refuses(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {message}')}$"):
        read(path)


def test_refuses_overflow(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(conv(bias=T([2], 0.25, dtype=TYPES.INT32,
                                 data=np.array([0, -2**31], np.int32))))
    with pytest.raises(InputError, match=r"Conv2D 'conv_2d_0': accumulator must not need more "
                                         r"than 32 bits, not 33, left shift included$"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"TFL3", bytes(100), b"\x08\x00\x00\x00ONNX" * 9])
def test_refuses_foreign(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match="must be a TensorFlow Lite file, with 'TFL3' at byte 4"):
        read(path)


def test_refuses_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing must be an existing file$"):
        read(tmp_path / "missing")


def read_damaged(path: Path, content: bytes) -> QuantizedGraph | None:
    """Read; a file that is refused is refused in one line."""
    path.write_bytes(content)
    try:
        return read(path)
    except InputError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return None


def test_truncated(tmp_path: Path) -> None:
    data = convolution(np.random.default_rng(2), depthwise=False, sizes=(7, 7), kernel=(3, 3))
    x = np.zeros((1, *read_damaged_whole(tmp_path, data).input.shape), np.int8)
    expected = run_graph(read_damaged_whole(tmp_path, data), x)["t3"]
    for length in range(len(data)):
        graph = read_damaged(tmp_path / "net.tflite", data[:length])
        # What is cut off may be padding or a name that nothing needs.
        if graph is not None:
            np.testing.assert_array_equal(run_graph(graph, x)[graph.output.name], expected)
            assert length > len(data) - 8


def read_damaged_whole(folder: Path, data: bytes) -> QuantizedGraph:
    graph = read_damaged(folder / "net.tflite", data)
    assert graph is not None
    return graph


@pytest.mark.parametrize("part", ["bits", "bytes"])
def test_damage_raises_nothing_else(tmp_path: Path, part: str) -> None:
    rng = np.random.default_rng(1)
    data = convolution(np.random.default_rng(2), depthwise=False, sizes=(7, 7), kernel=(3, 3))
    path, refused = tmp_path / "net.tflite", 0
    for _ in range(600):
        damaged = bytearray(data)
        if part == "bits":
            damaged[rng.integers(8, len(data))] ^= 1 << int(rng.integers(8))
        else:
            for at in rng.integers(8, len(data), 4):
                damaged[at] = rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))])
        refused += read_damaged(path, bytes(damaged)) is None
    assert 100 < refused < 600
