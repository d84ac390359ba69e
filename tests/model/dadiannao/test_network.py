"""Networks for the DaDianNao engine: what fits, what is moved, what is written, what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dadiannao_networks import Builder

from eieio.model.accesses import total
from eieio.model.dadiannao import image
from eieio.model.dadiannao.compiler import compile_graph
from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.engine import ENGINE
from eieio.model.dadiannao.fitting import compile_fitted
from eieio.model.dadiannao.instruction import FIELDS, INSTRUCTION_WORDS, Instruction
from eieio.model.dadiannao.prepared import DaDianNaoCompiled, open_design
from eieio.model.dadiannao.timing import time_program
from eieio.model.errors import InputError
from eieio.model.formats import image_file
from eieio.model.formats.design_folder import write_manifest
from eieio.model.graph.quantized_graph import (
    AveragePool,
    MaxPool,
    QuantizedGraph,
    Softmax,
    Tensor,
    Window,
)

SIZE: dict[str, Any] = {"tiles": 2, "inputs": 4, "outputs": 2}
CONFIG = DaDianNaoConfig(**SIZE, sb_depth=256, central_depth=256, activation_width=9,
                         weight_width=8)


def network() -> QuantizedGraph:
    net = Builder((5, 5, 3), 1)
    net.conv(6, Window((3, 3)))
    net.pool(MaxPool, Window((3, 3)))
    net.dense(7)
    net.dense(4)
    return net.graph


def test_fits() -> None:
    """Depths are powers of two that are needed, or just what is needed; widths, too."""
    graph = network()
    for exact in (False, True):
        compiled = compile_fitted(graph, SIZE, exact=exact)
        config = compiled.config
        # By hand: 9 taps of one row, for 2 groups; 4 words of 2 rows; 4 words of 1 row of 2.
        assert compiled.synapses.shape[:3] == (1, 2, 2 * 9 + 2 * 2 + 2 * 1 - 2 + 2 * 1)
        assert config.sb_depth == (32 if not exact else compiled.synapses.shape[2])
        assert config.program_depth == 4
        assert (config.activation_width, config.weight_width, config.additions) == (9, 8, False)
    assert compile_fitted(graph, {**SIZE, "sb_depth": 100}).config.sb_depth == 100
    assert compile_fitted(fine_biases(), SIZE).config.weight_width == 16


def test_cycles_of_a_dense_layer_by_hand() -> None:
    """Two instructions: what begins, steps, and ends."""
    net = Builder((12,), 2)
    net.dense(9)
    config = replace(CONFIG, nbin_depth=2)
    compiled = compile_graph(net.graph, config)
    first, second = compiled.program()
    assert (first.depth, first.groups, second.depth, second.groups) == (2, 3, 1, 3)
    assert (first.sb_addr, second.sb_addr, second.read_addr) == (0, 6, 4)
    # The first begins after 23 cycles, and takes its steps from 2 cycles later on; from the last
    # of the 6 it is 3 cycles to the tile, and 7 to NBout.
    # The second is there 23 cycles after the first began, which is 6 after its end; 11 cycles after
    # the first step there is a word, and 5 others behind it; the last one takes 18 cycles.
    timings = time_program(config, [first, second])
    assert [each.cycles for each in timings] == [24 + 2 + 5 + 10, 6 + 2 + 11 + 5 + 18]


def test_accesses_by_hand() -> None:
    """A dense layer of 12 inputs and 9 outputs: 3 rows, 5 words in 3 groups of two tiles."""
    net = Builder((12,), 2)
    net.dense(9)
    compiled = DaDianNaoCompiled(compile_graph(net.graph, replace(CONFIG, sum_width=32)))
    layer, = compiled.accesses(compiled.random_inputs(1))
    assert (layer.dense_macs, layer.macs) == (108, 9 * 2 * 8)
    assert layer.weights == 9 * 2 * 64
    row, word, sums = 4 * 9, 2 * 9, 2 * 32
    assert layer.outer == 6 * word + 6 * word
    assert layer.array == 3 * 2 * row + 6 * sums
    assert layer.register == (3 * 2 + 6 * 2) * row + 6 * sums + 6 * sums
    assert layer.buffer == layer.weights + layer.outer + 3 * row + 6 * word + 6 * 2 * (32 + 31 + 11)
    counters = compiled.counters(np.zeros((1, 12), np.int8))[0]
    assert counters.macs == layer.macs
    assert counters.stalls == (0, 3, 6, 12)
    assert compiled.roof.bound(layer.macs, layer.weights) <= layer.cycles
    assert total([layer]).macs == layer.macs


def test_is_written_and_opened(tmp_path: Path) -> None:
    compiled = DaDianNaoCompiled(compile_fitted(network(), SIZE, function="sigmoid"))
    compiled.write(tmp_path)
    write_manifest(tmp_path, engine="dadiannao", top="dadiannao_engine", network="network",
                   config=compiled.config.to_dict())
    found = open_design(tmp_path)
    x = compiled.quantize(compiled.random_inputs(3))
    assert np.array_equal(found.run(x), compiled.run(x))
    assert np.allclose(found.real(found.run(x)), found.run(x) / 255)
    assert found.counters(x) == compiled.counters(x)
    host = ENGINE.host_image((tmp_path / "network.image").read_bytes())
    assert np.array_equal(host.words, compiled.host.words)
    figures = compiled.figures()
    assert figures["cycles_per_inference"] == compiled.cycles() == sum(
        layer["model_cycles"] for layer in figures["layers"])
    profile, = compiled.profiles(compiled.random_inputs(1))
    assert all(sum(layer.causes.values()) == layer.cycles for layer in profile)
    described, words = image_file.unpack(image.dump(compiled.compiled))
    with pytest.raises(InputError, match="must have a description of a DaDianNao engine"):
        image.load(image_file.pack({**described, "engine": "other"}, words))


def test_softmax_is_the_hosts() -> None:
    graph = network()
    y = Tensor("softmax", (4,), 1 / 256, -128)
    ended = replace(graph, output=y, operators=(
        *graph.operators, Softmax("softmax", (graph.output,), y, 1 << 30, -5)))
    compiled = DaDianNaoCompiled(compile_fitted(ended, SIZE))
    x = compiled.quantize(compiled.random_inputs(3))
    assert compiled.finish(compiled.run(x)).shape == (3, 4)
    assert compiled.host.softmax == ((1 << 30, -5),)
    assert [type(each).__name__ for each in compiled.compiled.host_operators] == ["Softmax"]


def test_instructions_fit_their_fields() -> None:
    places = [(field.word, bit) for field in FIELDS.values()
              for bit in range(field.low, field.low + field.width)]
    assert len(places) == len(set(places))
    assert max(word for word, _ in places) == INSTRUCTION_WORDS - 1
    assert all(0 <= bit < 32 for _, bit in places)
    with pytest.raises(ValueError, match="Field kernel_x must have 8 bits, not 256"):
        Instruction(kernel_x=257).encode()
    assert Instruction(origin_x=-1).encode()[9] == 0xFFFF


def padded_mean() -> QuantizedGraph:
    net = Builder((4, 4, 2), 1)
    net.pool(AveragePool, Window((2, 2), padding=((1, 0), (0, 0))))
    return net.graph


def wide() -> QuantizedGraph:
    net = Builder((8,), 1, 15)
    net.dense(4)
    return net.graph


def sum_of_two() -> QuantizedGraph:
    net = Builder((2, 2, 2), 1)
    first = net.conv(2, Window((1, 1)))
    net.conv(2, Window((1, 1)))
    net.add(first)
    return net.graph


def only_reshapes() -> QuantizedGraph:
    net = Builder((2, 2, 2), 1)
    net.flat()
    return net.graph


def padded_channels() -> QuantizedGraph:
    net = Builder((2, 2, 2), 1)
    net.pad((0, 0), (0, 0), (1, 0))
    return net.graph


def far_apart() -> QuantizedGraph:
    net = Builder((300, 2, 2), 1)
    net.conv(2, Window((2, 1), (1, 1), (290, 1)))
    return net.graph


def wrapping() -> QuantizedGraph:
    net = Builder((8,), 1)
    net.dense(4, wraps=True)
    return net.graph


def fine_biases() -> QuantizedGraph:
    net = Builder((8,), 1)
    net.dense(4, bias_shift=1)
    return net.graph


@pytest.mark.parametrize(("graph", "change", "message"), [
    (wrapping, {}, ("FullyConnected 'operator_0': results that wrap need the systolic engine")),
    (fine_biases, {}, ("FullyConnected 'operator_0': weights must be int8, not int16: "
                       "--weight-width says how many bits")),
    (far_apart, {}, ("Conv2D 'operator_0': it is too large for an instruction: Field dilation_y "
                     "must have 8 bits, not 290")),
    (network, {"sb_depth": 20}, ("Network 'network' needs 24 rows of a synapse buffer, and the "
     "engine has 20: --sb-depth says how many")),
    (network, {"central_depth": 30}, "needs 43 rows of the central buffer, and the engine has 30"),
    (network, {"program_depth": 3}, "needs 4 instructions, and the engine has 3"),
    (network, {"parameter_depth": 9}, "words of parameters, and the engine has 9"),
    (network, {"activation_width": 8}, ("The input: activations, less their zero point, must have "
     "at most 8 bits, not 9: --activation-width says how many")),
    (wide, {"activation_width": 16, "sum_width": 24}, ("FullyConnected 'operator_0': sums must "
     "have at most 24 bits, not 2")),
    (padded_mean, {}, ("AveragePool 'operator_0': windows must have one number of elements; "
     "average pooling without padding would fit")),
    (sum_of_two, {}, "Add 'operator_2': the engine must be one with --additions"),
    (only_reshapes, {}, "Network 'network' must have an operator that the engine computes"),
    (padded_channels, {}, "Pad 'operator_0': only height and width can be padded"),
])
def test_refuses(graph: Callable[[], QuantizedGraph], change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        compile_graph(graph(), replace(CONFIG, **change))
    assert message in str(error.value)


@pytest.mark.parametrize(("options", "message"), [
    ({"tiles": 0}, "Option tiles must be an integer from 1 to 64, not 0"),
    ({"inputs": 6}, "Option inputs must be a power of two, not 6"),
    ({"inputs": 2}, "Option outputs must be at most inputs, 2, not 4"),
    ({"sb_banks": 2, "sb_depth": 100}, ("Option sb_depth must be a power of two if there are "
     "several banks, not 100")),
    ({"additions": True, "sum_width": 30}, ("Option sum_width must be at least 32 if tensors are "
     "added, not 30")),
    ({"functions": 1}, "Option functions must be true or false, not 1"),
])
def test_configuration_is_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        DaDianNaoConfig(**options)
    assert str(error.value) == message


def test_sizes_by_multipliers() -> None:
    sizing = ENGINE.sizing
    assert sizing.with_multipliers(64) == {"tiles": 4, "inputs": 4, "outputs": 4}
    assert sizing.with_multipliers(4096) == {"tiles": 16, "inputs": 16, "outputs": 16}
    assert sizing.with_multipliers(67) == {}
    assert sizing.elements({"tiles": 2, "inputs": 4, "outputs": 1}) == "2 x 4 x 1"
