"""Networks of 8-bit integers on the sparse engine: TensorFlow Lite's integers, bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from long_cases import long
from numpy.typing import NDArray

from eieio.model.formats import tflite
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.sparse import image
from eieio.model.sparse.chain import layers_of
from eieio.model.sparse.choices import fit_graph
from eieio.model.sparse.host import sparse_host_image
from eieio.sim.simulation import build_engine
from eieio.sim.sparse.simulation import compare
from tests.helpers.tflite_file import NONE, OPERATORS, RELU, TYPES, Op, T, build, options, reference

SIZES = (21, 14, 9)


def dense_file(weight_scales: list[Any]) -> bytes:
    """Write a network whose tensors have other zero points, and whose weights have all values."""
    rng = np.random.default_rng(5)
    tensors = [T([1, SIZES[0]], 0.02, 37)]
    operators = []
    ends = ((0.03, -128, RELU), (0.05, -11, NONE))
    for scale, (outputs, inputs), (output_scale, zero_point, activation) in zip(
            weight_scales, zip(SIZES[1:], SIZES, strict=False), ends, strict=True):
        weight = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
        weight[rng.random(weight.shape) < 0.3] = 0
        bias = rng.integers(-3000, 3000, outputs).astype(np.int32)
        source = len(tensors) - 1
        tensors += [T(weight.shape, scale, data=weight),
                    T([outputs], np.asarray(scale) * tensors[source].scale, dtype=TYPES.INT32,
                      data=bias),
                    T([1, outputs], output_scale, zero_point)]
        operators.append(Op(OPERATORS.FULLY_CONNECTED, [source, source + 1, source + 2],
                            [source + 3], *options("FullyConnected",
                                                   fusedActivationFunction=activation)))
    return build(tensors, operators)


@pytest.fixture(params=["channel", *long("layer")])
def case(request: pytest.FixtureRequest, tmp_path: Path
         ) -> tuple[QuantizedGraph, NDArray[np.int8], NDArray[np.int8]]:
    """Make a network with a scale of the weights for each layer or channel, inputs and outputs."""
    scales: list[Any] = [0.004, 0.006]
    if request.param == "channel":
        rng = np.random.default_rng(6)
        scales = [(rng.uniform(0.002, 0.008, outputs)).astype(np.float32) for outputs in SIZES[1:]]
    data = dense_file(scales)
    (tmp_path / "net.tflite").write_bytes(data)
    x = np.random.default_rng(7).integers(-128, 128, (5, SIZES[0])).astype(np.int8)
    x[3], x[4, ::2] = -128, 37  # what is the real 0 is skipped
    return tflite.read(tmp_path / "net.tflite"), x, reference(data, x)


def test_equals_the_reference_kernels(
        case: tuple[QuantizedGraph, NDArray[np.int8], NDArray[np.int8]]) -> None:
    """Golden model, cycle model, RTL, and what a host reads of the image."""
    graph, x, expected = case
    # Two PEs share an output lane, with the factors of both.
    compiled = fit_graph(graph, x, {"pes": 2, "pes_per_lane": 2}).compiled
    config = compiled.config
    assert (config.activation_width, config.weight_width, config.code_width) == (9, 8, 8)
    assert config.per_channel == (
        len(set(layers_of(graph)[0].multiplier.tolist())) > 1)
    result = compare(compiled, x, build_engine(config, quick=True))
    assert (result.mismatches, result.cycle_mismatches) == (0, 0)
    values = run_graph(graph, x)
    for operator, activations in zip(graph.operators, result.rtl.activations, strict=True):
        assert activations.dtype == np.int8
        assert np.array_equal(activations, values[operator.output.name])
    assert np.array_equal(result.rtl.outputs, expected)
    assert len(np.unique(expected)) > 20
    # Activations that are the zero point are not broadcast.
    columns = [timing.broadcasts for timing, *_ in result.timings]
    assert columns == np.count_nonzero(x != 37, axis=1).tolist()
    # The host has the integers of the file, and the stream has them less the zero point.
    host = sparse_host_image(image.load(image.dump(compiled)))
    octets = host.inputs.pack(x[0])
    assert np.array_equal(host.inputs.unpack(octets), x[0])
    assert np.frombuffer(octets, "<i2")[0] & 0x1FF == (int(x[0, 0]) - 37) & 0x1FF
    assert np.array_equal(host.outputs.unpack(host.outputs.pack(expected[0])), expected[0])
    real = graph.input.dequantize(x)
    assert np.array_equal(host.quantize(real), x)
