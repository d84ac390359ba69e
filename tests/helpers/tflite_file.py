"""Writes TensorFlow Lite files for tests, and runs them on the reference kernels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.formats.tflite import read
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import QuantizedGraph

schema: Any = pytest.importorskip(
    "ai_edge_litert.schema_py_generated", reason="builds models with ai-edge-litert")
interpreter: Any = pytest.importorskip("ai_edge_litert.interpreter")

OPERATORS, OPTIONS, TYPES = schema.BuiltinOperator, schema.BuiltinOptions, schema.TensorType
SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
# Those that take int8 numbers and, of FULLY_CONNECTED, one scale for each channel; else 1.
VERSIONS = {OPERATORS.FULLY_CONNECTED: 4, OPERATORS.PAD: 2, OPERATORS.MEAN: 2,
            OPERATORS.QUANTIZE: 2, OPERATORS.DEQUANTIZE: 2, **dict.fromkeys(
                (OPERATORS.ADD, OPERATORS.AVERAGE_POOL_2D, OPERATORS.CONV_2D,
                 OPERATORS.DEPTHWISE_CONV_2D, OPERATORS.MAX_POOL_2D, OPERATORS.SOFTMAX), 3)}
NONE, RELU, RELU6, RELU_N1_TO_1, TANH = range(5)


@dataclass
class T:
    """A tensor to write."""

    shape: Sequence[int]
    scale: Any = 0.5
    zero_point: int = 0
    dtype: int = TYPES.INT8
    data: NDArray[Any] | None = None
    axis: int = 0
    name: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Op:
    """An operator to write; `inputs` and `outputs` are numbers of tensors."""

    kind: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    options_type: int = 0
    options: Any = None


def options(kind: str, **values: Any) -> tuple[int, Any]:
    table = getattr(schema, f"{kind}OptionsT")()
    for name, value in values.items():
        assert hasattr(table, name)
        setattr(table, name, value)
    return getattr(OPTIONS, f"{kind}Options"), table


def window(kind: str, padding: int = VALID, stride: tuple[int, int] = (1, 1),
           activation: int = NONE, **values: Any) -> tuple[int, Any]:
    return options(kind, padding=padding, strideH=stride[0], strideW=stride[1],
                   fusedActivationFunction=activation, **values)


def build(tensors: Sequence[T], operators: Sequence[Op], inputs: Sequence[int] = (0,),
          outputs: Sequence[int] | None = None,
          change: Callable[[Any], None] | None = None) -> bytes:
    """Write a model; the last operator's output is the model's."""
    model = schema.ModelT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], []
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    graph.inputs = list(inputs)
    graph.outputs = list(operators[-1].outputs if outputs is None else outputs)
    for number, tensor in enumerate(tensors):
        written = schema.TensorT()
        written.name = f"t{number}" if tensor.name is None else tensor.name
        written.shape, written.type = list(tensor.shape), tensor.dtype
        written.buffer = 0
        if tensor.data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(tensor.data).tobytes(), np.uint8)
            model.buffers.append(buffer)
            written.buffer = len(model.buffers) - 1
        if tensor.scale is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale = np.atleast_1d(np.float32(tensor.scale))
            quantization.zeroPoint = np.full(len(quantization.scale), tensor.zero_point, np.int64)
            quantization.quantizedDimension = tensor.axis
            written.quantization = quantization
        for name, value in tensor.changes.items():
            setattr(written, name, value)
        graph.tensors.append(written)
    for operator in operators:
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = operator.kind, min(operator.kind, 127)
        code.version = VERSIONS.get(operator.kind, 1)
        if operator.kind == OPERATORS.CUSTOM:
            code.customCode = "Mystery"
        written = schema.OperatorT()
        written.opcodeIndex = len(model.operatorCodes)
        written.inputs, written.outputs = list(operator.inputs), list(operator.outputs)
        written.builtinOptionsType = operator.options_type
        written.builtinOptions = operator.options
        model.operatorCodes.append(code)
        graph.operators.append(written)
    model.subgraphs = [graph]
    if change is not None:
        change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def reference(data: bytes, x: NDArray[np.int8]) -> NDArray[np.int8]:
    """Run a model on TensorFlow Lite's reference kernels, sample by sample."""
    model = interpreter.Interpreter(
        model_content=data,
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF)
    model.allocate_tensors()
    source, output = model.get_input_details()[0], model.get_output_details()[0]
    results = []
    for sample in x:
        model.set_tensor(source["index"], sample[np.newaxis])
        model.invoke()
        results.append(model.get_tensor(output["index"])[0])
    return np.stack(results)


def compare(path: Path, data: bytes, seed: int = 0, samples: int = 3) -> QuantizedGraph:
    """Check that the network gives what the reference kernels give."""
    path.write_bytes(data)
    graph = read(path)
    shape = (samples, *graph.input.shape)
    x = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
    x = np.concatenate([x, np.full((1, *shape[1:]), -128, np.int8),
                        np.full((1, *shape[1:]), 127, np.int8),
                        np.resize(np.array([-128, 127], np.int8), (1, *shape[1:]))])
    np.testing.assert_array_equal(run_graph(graph, x)[graph.output.name], reference(data, x))
    return graph
