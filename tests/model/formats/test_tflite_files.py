"""TensorFlow Lite files as converters write them: ends, shapes, means, codes, and reasons."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tflite_file import (
    OPERATORS,
    OPTIONS,
    TYPES,
    Op,
    T,
    build,
    compare,
    interpreter,
    options,
    schema,
    window,
)

from eieio.model.errors import InputError
from eieio.model.formats.tflite import read
from eieio.model.formats.tflite_schema import RawOperator
from eieio.model.formats.tflite_shapes import evaluate
from eieio.model.graph.golden import run_graph
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.graph.quantized_graph import DepthwiseConv2D, QuantizedGraph, Reshape

INT32, UINT8, FLOAT32 = TYPES.INT32, TYPES.UINT8, TYPES.FLOAT32


def integers(*values: int, shape: tuple[int, ...] | None = None) -> T:
    array = np.array(values, np.int32)
    return T(array.shape if shape is None else shape, None, dtype=INT32, data=array)


def reducer(*, keep: bool) -> tuple[int, Any]:
    table = schema.ReducerOptionsT()
    table.keepDims = keep
    return OPTIONS.ReducerOptions, table


# Means.

@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
       axes=st.sampled_from([(1, 2), (2, 1), (-2, -3), (1,), (2,)]), keep=st.booleans(),
       scales=st.tuples(st.floats(2.0**-8, 2.0, width=32), st.floats(2.0**-8, 2.0, width=32)),
       same=st.booleans(), zero=st.tuples(*[st.sampled_from([-128, -3, 0, 100])] * 2),
       seed=st.integers(0, 2**32 - 1))
def test_mean(tmp_path: Path, size: tuple[int, int], axes: tuple[int, ...], keep: bool,
              scales: tuple[float, float], same: bool, zero: tuple[int, int], seed: int) -> None:
    whole = {axis % 4 for axis in axes}
    shape = [1, *(1 if axis in whole else size[axis - 1] for axis in (1, 2)), 5]
    if not keep:
        shape = [length for axis, length in enumerate(shape) if axis not in whole]
    data = build(
        [T([1, *size, 5], scales[0], zero[0]), integers(*axes),
         T(shape, scales[0 if same else 1], zero[0 if same else 1])],
        [Op(OPERATORS.MEAN, [0, 1], [2], *reducer(keep=keep))])
    graph = compare(tmp_path / "net.tflite", data, seed, samples=30)
    assert [type(operator) for operator in graph.operators] == [
        DepthwiseConv2D, *([] if keep else [Reshape])]


# Other types at the ends.

def with_ends(outside: int, *, changes: dict[str, Any] | None = None) -> bytes:
    """Make a network of a fully connected layer, with uint8 or real numbers around it."""
    real = outside == FLOAT32
    first, last = (T([1, 6], None, dtype=FLOAT32),) * 2 if real else (
        T([1, 6], 0.1, 131, UINT8), T([1, 3], 0.2, 118, UINT8))
    last.shape = [1, 3]
    for name, value in (changes or {}).items():
        setattr(first, name, value)
    rng = np.random.default_rng(4)
    return build(
        [first if not real else T([1, 6], None, dtype=FLOAT32), T([1, 6], 0.1, 3),
         T([3, 6], 0.05, data=rng.integers(-127, 128, (3, 6)).astype(np.int8)),
         T([1, 3], 0.2, -10), last],
        [Op(OPERATORS.QUANTIZE, [0], [1]),
         Op(OPERATORS.FULLY_CONNECTED, [1, 2], [3], *options("FullyConnected")),
         Op(OPERATORS.DEQUANTIZE if real else OPERATORS.QUANTIZE, [3], [4])])


def outputs_of(data: bytes, x: NDArray[Any]) -> NDArray[Any]:
    """Run a model on the reference kernels, whatever its types."""
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


def real_outputs(graph: QuantizedGraph, x: NDArray[Any]) -> NDArray[np.float64]:
    values = run_graph(graph, graph.input.quantize(x))
    return graph.output.dequantize(values[graph.output.name])


def test_uint8_at_the_ends(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(with_ends(UINT8))
    graph = read(path)
    x = np.random.default_rng(5).integers(0, 256, (20, 6)).astype(np.uint8)
    found = run_graph(graph, (x.astype(int) - 128).astype(np.int8))[graph.output.name]
    np.testing.assert_array_equal(found.astype(int) + 128, outputs_of(path.read_bytes(), x))
    assert len(graph.operators) == 1


def test_real_numbers_at_the_ends(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(with_ends(FLOAT32))
    graph = read(path)
    x = np.random.default_rng(5).normal(0, 8, (50, 6)).astype(np.float32)
    np.testing.assert_allclose(real_outputs(graph, x), outputs_of(path.read_bytes(), x), rtol=1e-6)


def test_ends_that_do_more(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(with_ends(UINT8, changes={"scale": 0.5}))
    message = re.escape(
        f"{path}: operator 0 (QUANTIZE): int8 and uint8 must have one scale, and zero points 128 "
        f"apart, not ({float(np.float32(0.1))},) with (3,) and (0.5,) with (131,)")
    with pytest.raises(InputError, match=f"^{message}$"):
        read(path)


# Shapes that are computed.

def flatten(middle: list[Op], *more: T) -> bytes:
    """Make a network of images that are reshaped, as the last of the operators says."""
    open_batch = {"shapeSignature": [-1, 2, 3, 2]}
    rng = np.random.default_rng(6)
    tensors = [T([1, 2, 3, 2], changes=open_batch),
               T([1, 12], changes={"shapeSignature": [-1, 12]}),
               T([3, 12], 0.01, data=rng.integers(-127, 128, (3, 12)).astype(np.int8)),
               T([1, 3], 0.2, changes={"shapeSignature": [-1, 3]}), *more]
    return build(tensors, [*middle, Op(OPERATORS.FULLY_CONNECTED, [1, 2], [3],
                                       *options("FullyConnected"))])


def computed(*shape: int) -> T:
    return T(shape, None, dtype=INT32)


def test_flatten_of_keras(tmp_path: Path) -> None:
    data = flatten(
        [Op(OPERATORS.SHAPE, [0], [4], *options("Shape", outType=INT32)),
         Op(OPERATORS.STRIDED_SLICE, [4, 5, 6, 6], [7], *options("StridedSlice", shrinkAxisMask=1)),
         Op(OPERATORS.PACK, [7, 8], [9], *options("Pack", valuesCount=2)),
         Op(OPERATORS.RESHAPE, [0, 9], [1])],
        computed(4), integers(0), integers(1), computed(), integers(12, shape=()), computed(2))
    graph = compare(tmp_path / "net.tflite", data)
    assert [type(operator).__name__ for operator in graph.operators] == [
        "Reshape", "FullyConnected"]


def test_product_of_axes(tmp_path: Path) -> None:
    """The batch and the product of the other axes, as for a dense layer of several axes."""
    data = flatten(
        [Op(OPERATORS.SHAPE, [0], [4], *options("Shape", outType=INT32)),
         Op(OPERATORS.GATHER, [4, 5], [7], *options("Gather")),
         Op(OPERATORS.REDUCE_PROD, [7, 6], [8], *reducer(keep=True)),
         Op(OPERATORS.STRIDED_SLICE, [4, 6, 9, 9], [10],
            *options("StridedSlice", beginMask=1)),
         Op(OPERATORS.CONCATENATION, [10, 8], [11], *options("Concatenation")),
         Op(OPERATORS.RESHAPE, [0, 11], [1])],
        computed(4), integers(1, 2, 3), integers(0), computed(3), computed(1), integers(1),
        computed(1), computed(2))
    compare(tmp_path / "net.tflite", data)


def test_squeeze_and_expand(tmp_path: Path) -> None:
    data = build([T([1, 1, 6, 1]), T([1, 6]), T([1, 1, 6]), integers(1)],
                 [Op(OPERATORS.SQUEEZE, [0], [1], *options("Squeeze", squeezeDims=[1, 3])),
                  Op(OPERATORS.EXPAND_DIMS, [1, 3], [2])])
    compare(tmp_path / "net.tflite", data)


def test_wrong_shape(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(flatten(
        [Op(OPERATORS.SHAPE, [0], [4], *options("Shape", outType=INT32)),
         Op(OPERATORS.RESHAPE, [0, 4], [1])], computed(4)))
    message = re.escape(f"{path}: operator 1 (RESHAPE): tensor 't4' must be (1, 12), the shape of "
                        "the output, not (1, 2, 3, 2)")
    with pytest.raises(InputError, match=f"^{message}$"):
        read(path)


MASKS = dict.fromkeys(
    ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset"), 0)


@pytest.mark.parametrize(("masks", "bounds", "expected"), [
    ({}, (1, 3, 1), [20, 30]), ({"BeginMask": 1}, (2, 3, 1), [10, 20, 30]),
    ({"EndMask": 1}, (2, 3, 1), [30, 40]), ({"ShrinkAxisMask": 1}, (-1, 0, 1), 40),
    ({"BeginMask": 1, "EndMask": 1}, (0, 0, -1), [40, 30, 20, 10]), ({}, (-3, -1, 2), [20])])
def test_strided_slice(masks: dict[str, int], bounds: tuple[int, int, int], expected: Any) -> None:
    operator = RawOperator("STRIDED_SLICE", (), (), {**MASKS, **masks})
    operands = np.array([10, 20, 30, 40]), *(np.array([bound]) for bound in bounds)
    assert evaluate(operator, operands).tolist() == expected


@pytest.mark.parametrize(("operands", "masks", "message"), [
    (([1, 2], [0], [1], [0]), {}, "stride must not be 0"),
    (([1, 2], [5], [1], [1]), {"ShrinkAxisMask": 1},
     "operands must fit: index 5 is out of bounds for axis 0 with size 2"),
    (([[1, 2]], [0], [1], [1]), {}, "must take parts of a vector, not of shape (1, 2)"),
    (([1, 2], [0], [1], [1]), {"NewAxisMask": 1},
     "must only take parts, without ellipsis, new axes or offset")])
def test_strided_slice_refuses(operands: Any, masks: dict[str, int], message: str) -> None:
    operator = RawOperator("STRIDED_SLICE", (), (), {**MASKS, **masks})
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        evaluate(operator, [np.array(values) for values in operands])


# Codes, options and reasons.

def convolution(change: Callable[[Any], None]) -> bytes:
    weight = np.random.default_rng(7).integers(-127, 128, (2, 3, 3, 1)).astype(np.int8)
    bias = T([2], 0.5 * np.float32(0.01), dtype=INT32, data=np.array([-3, 700], np.int32))
    return build([T([1, 5, 5, 1]), T(weight.shape, 0.01, data=weight), bias, T([1, 3, 3, 2], 1.0)],
                 [Op(OPERATORS.CONV_2D, [0, 1, 2], [3], *window("Conv2D"))], change=change)


def newer_code(model: Any) -> None:
    for code in model.operatorCodes:
        code.deprecatedBuiltinCode = 0


def older_code(model: Any) -> None:
    for code in model.operatorCodes:
        code.builtinCode = 0


@pytest.mark.parametrize("change", [newer_code, older_code])
def test_either_operator_code(tmp_path: Path, change: Callable[[Any], None]) -> None:
    graph = compare(tmp_path / "net.tflite", convolution(change))
    assert graph.operators[0].name == "conv_2d_0"


def test_options_that_have_defaults_may_be_missing(tmp_path: Path) -> None:
    weight = np.random.default_rng(8).integers(-127, 128, (4, 4)).astype(np.int8)
    data = build(
        [T([1, 4], 0.1, 3), T([4, 4], 0.01, data=weight), T([1, 4], 0.2), T([1, 4], 0.3)],
        [Op(OPERATORS.FULLY_CONNECTED, [0, 1], [2]), Op(OPERATORS.ADD, [0, 2], [3])])
    compare(tmp_path / "net.tflite", data, samples=20)


def test_all_reasons_at_once(tmp_path: Path) -> None:
    weight = np.zeros((4, 4), np.int8)
    data = build(
        [T([1, 4]), T([1, 4]), T([1, 4]), T([4, 4], None, dtype=FLOAT32, data=weight),
         T([1, 4]), T([1, 4]), T([1, 4], 0.25), T([1, 4])],
        [Op(OPERATORS.TANH, [0], [1]), Op(OPERATORS.FULLY_CONNECTED, [0, 3], [2]),
         Op(OPERATORS.LOGISTIC, [1], [4]), Op(OPERATORS.ADD, [2, 4], [5]),
         Op(OPERATORS.RESHAPE, [0], [6]), Op(OPERATORS.ADD, [5, 6], [7])])
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    # Each reason once, and none for what only follows from another.
    assert message.startswith(f"{path}: operators must be among ADD, ")
    assert message.count("; ") == 3
    assert ", not LOGISTIC, TANH; operator 1 (FULLY_CONNECTED): tensor 't3' must be " in message
    assert message.endswith("; Reshape 'reshape_4': output must have scale 0.5 and zero point 0, "
                            "as the input, not 0.25 and 0")


def branches() -> bytes:
    """Make a network with a second output, by an operator that nobody takes, and a third."""
    return build(
        [T([1, 4], 0.1, 3, name="x"), T([1, 4], 0.2, name="a"), T([1], None, dtype=INT32, name="b"),
         T([1, 4], 0.3, name="c"), integers(1)],
        [Op(OPERATORS.ADD, [0, 0], [1]), Op(OPERATORS.ARG_MAX, [1, 4], [2]),
         Op(OPERATORS.ADD, [0, 1], [3])], outputs=[1, 2, 3])


@pytest.mark.parametrize(("output", "operators"), [("a", 1), ("c", 2)])
def test_chosen_output(tmp_path: Path, output: str, operators: int) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(branches())
    graph = NetworkFile(path, output).quantize()
    assert (graph.output.name, len(graph.operators)) == (output, operators)


@pytest.mark.parametrize(("output", "message"), [
    (None, "must have one output, not 3 ('a', 'b', 'c')"),
    ("x", "output must be the name of a tensor that an operator computes, not 'x'"),
    ("b", "operators must be among ADD, .*, not ARG_MAX")])
def test_wrong_output(tmp_path: Path, output: str | None, message: str) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(branches())
    pattern = message if "*" in message else re.escape(message)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: {pattern}$"):
        read(path, output)


# Samples.

def quantized(path: Path, x: NDArray[Any], scale: float | None = None) -> list[int]:
    """Integers of one sample of a network, from a file of samples."""
    network = NetworkFile(path)
    np.save(path.parent / "x.npy", x[np.newaxis])
    samples = network.read_samples(path.parent / "x.npy", scale)
    return network.quantize().input.quantize(samples.x)[0].tolist()


@pytest.mark.parametrize("outside", [None, UINT8])
def test_bytes_are_the_integers(tmp_path: Path, outside: int | None) -> None:
    path = tmp_path / "net.tflite"
    weight = np.ones((3, 6), np.int8)
    path.write_bytes(build(
        [T([1, 6], 1.0, -128), T(weight.shape, 0.01, data=weight), T([1, 3], 1.0)],
        [Op(OPERATORS.FULLY_CONNECTED, [0, 1], [2], *options("FullyConnected"))])
        if outside is None else with_ends(outside))
    integers = np.array([-128, -127, -1, 0, 1, 127])
    assert quantized(path, integers.astype(np.int8)) == integers.tolist()
    assert quantized(path, (integers + 128).astype(np.uint8)) == integers.tolist()
    # Other types hold real numbers, and so does every type with a scale.
    scale, zero = (1.0, -128) if outside is None else (float(np.float32(0.1)), 3)
    wide = np.array([0, 1, 2, 3, 100, 255])
    real = np.clip(np.floor(wide / scale + 0.5) + zero, -128, 127).tolist()
    assert quantized(path, wide) == quantized(path, wide.astype(np.float32)) == real
    assert quantized(path, wide.astype(np.uint8), 1.0) == real


def test_bytes_are_fractions_for_real_inputs(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(with_ends(FLOAT32))
    x = np.array([0, 1, 2, 128, 200, 255], np.uint8)
    assert quantized(path, x) == quantized(path, x / np.float32(256))
    assert quantized(path, x.astype(np.int8)) == quantized(path, x.astype(np.int8) * 1.0)


# Small files by public tools.

@pytest.fixture
def cases(shared_data: Path) -> Path:
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"needs small files in {folder}")
    return folder


@pytest.mark.parametrize("samples", ["bytes_x", "bytes_i8_x"])
def test_case_of_bytes(cases: Path, samples: str) -> None:
    network = NetworkFile(cases / "bytes.tflite")
    graph = network.quantize()
    x = graph.input.quantize(network.read_samples(cases / f"{samples}.npy").x)
    np.testing.assert_array_equal(run_graph(graph, x)[graph.output.name],
                                  np.load(cases / "bytes_y.npy"))


@pytest.mark.parametrize("name", ["keras_flatten", "keras_flatten_batch_1", "keras_uint8_io",
                                  "keras_float_io", "builtin_code_only", "add", "bytes"])
def test_case(cases: Path, name: str) -> None:
    path = cases / f"{name}.tflite"
    graph = read(path)
    model = interpreter.Interpreter(model_path=str(path))
    dtype = model.get_input_details()[0]["dtype"]
    shape = (10, *graph.input.shape)
    q = np.random.default_rng(9).integers(-128, 128, shape).astype(np.int8)
    given = {np.int8: q, np.uint8: (q.astype(int) + 128).astype(np.uint8),
             np.float32: graph.input.dequantize(q).astype(np.float32)}[dtype]
    expected = outputs_of(path.read_bytes(), given)
    found = run_graph(graph, q)[graph.output.name]
    match expected.dtype:
        case np.int8:
            np.testing.assert_array_equal(found, expected)
        case np.uint8:
            np.testing.assert_array_equal(found.astype(int) + 128, expected)
        case _:
            np.testing.assert_allclose(graph.output.dequantize(found), expected, rtol=1e-6)
