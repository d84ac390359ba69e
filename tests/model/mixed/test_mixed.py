"""Networks for the mixed engine: where they are cut, what lies where, and what a host reads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.host.device import Device
from eieio.model.errors import InputError
from eieio.model.formats.design_folder import write_manifest
from eieio.model.graph.quantized_graph import FullyConnected, QuantizedGraph, Reshape, Tensor
from eieio.model.mixed.accesses import layer_accesses
from eieio.model.mixed.config import MixedConfig
from eieio.model.mixed.cut import cut
from eieio.model.mixed.engine import ENGINE
from eieio.model.mixed.mapping import CompiledMixed, compile_mixed, input_places
from eieio.model.mixed.prepared import MixedCompiled, open_design
from eieio.model.mixed.timing import hand_over, mixed_interval, time_stream
from eieio.model.registry import engines
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig
from eieio.sim.board_model import BoardModel, MemoryLine
from eieio.sim.mixed.random_network import SMALL, random_inputs, random_network

Case = tuple[CompiledMixed, NDArray[np.int8]]


@pytest.fixture(scope="module")
def case() -> Case:
    rng = np.random.default_rng(206)
    compiled = random_network(SMALL, rng, max_cycles=250, channels=40)
    return compiled, random_inputs(compiled, 4, rng)


def test_cut(case: Case) -> None:
    """The flattening goes with the layers behind it; both parts compute what the whole does."""
    compiled, x = case
    graph = compiled.graph
    flat = Tensor("flat", (compiled.between.elements,), compiled.between.scale,
                  compiled.between.zero_point)
    layer, *others = [each.layer for each in compiled.dense.layers]
    graph = replace(graph, operators=(
        *compiled.convolutions.graph.operators, Reshape("flatten", (compiled.between,), flat),
        replace(layer, inputs=(flat,)), *others))
    first, second = cut(graph)
    assert first.output is second.input is compiled.between
    assert [operator.name for operator in first.operators] == ["conv_0"]
    assert [operator.name for operator in second.operators] == ["flatten", "dense_0", "dense_1"]
    made, _ = compile_mixed(graph, x, {"rows": 2, "columns": 2, "pes": 2})
    assert np.array_equal(MixedCompiled(made).run(x), MixedCompiled(compiled).run(x))


def test_what_cannot_be_cut(case: Case) -> None:
    compiled, x = case
    graph = compiled.graph
    first, second = cut(graph)
    with pytest.raises(InputError, match=r"needs convolutions .*; the sparse engine \(--engine "
                                         r"sparse\) takes fully connected layers alone"):
        cut(second)
    with pytest.raises(InputError, match=r"ends with the Conv2D 'conv_0'; the systolic engine "
                                         r"\(--engine systolic\) takes any network$"):
        cut(first)
    last = graph.operators[-1]
    assert isinstance(last, FullyConnected)
    # The sparse engine's own refusals say what would fit.
    too_large = replace(last, shift=np.full_like(last.shift, -1),
                        stored_weight=np.sign(last.weight).astype(np.int8))
    broken = QuantizedGraph("broken", graph.input, graph.output,
                            (*graph.operators[:-1], too_large))
    with pytest.raises(InputError, match=r"'dense_1': .*\(--engine systolic\) takes it$"):
        compile_mixed(broken, x, {"rows": 2, "columns": 2, "pes": 2})


def test_configuration() -> None:
    """Options of the sparse engine that the systolic one has, too, have another name."""
    config = MixedConfig(SystolicConfig(rows=4, columns=4), SparseConfig(pes=8, io_lanes=2))
    values = config.to_dict()
    assert (values["rows"], values["pes"], values["lanes"], values["io_lanes"]) == (4, 8, 4, 2)
    assert (values["accumulator_width"], values["dense_accumulator_width"]) == (32, 32)
    assert MixedConfig.from_dict(values) == config
    assert config.parts == 2
    assert {option.name for option in ENGINE.options} >= {*values}
    for options, message in (
            ({"lane": 1}, r"Option 'lane' must be one of rows, columns, .*, per_channel"),
            ({"dense_accumulator_depth": 1}, "^Option dense_accumulator_depth must be an integer "),
            ({"accumulator_depth": -1}, "^Option accumulator_depth must be an integer from "),
            ({"rows": 3, "columns": 3, "io_lanes": 2},
             r"^Option io_lanes must divide lanes \(3\) or be a multiple of it, not 2$"),
            ({"dense_coded_images": True}, "^Option coded_images must be false: images for the "),
            ({"dense_activation_width": 8}, "^Option dense_activation_width must be at least 9, ")):
        with pytest.raises(InputError, match=message):
            MixedConfig.from_dict(options)


def test_others_come_first() -> None:
    """What nobody asks for is not chosen: other engines take its networks, too."""
    assert [engine.name for engine in engines()][:3] == ["sparse", "systolic", "mixed"]


def test_places(case: Case) -> None:
    """A pixel begins with a beat, so that not every place of the stream is an input."""
    compiled, x = case
    _, _, channels = compiled.between.shape
    positions, size = input_places(compiled.convolutions)
    assert channels == 1
    assert size == 2 * positions.size
    assert positions.tolist() == list(range(0, size, 2))
    first = compiled.dense.layers[0]
    assert first.matrix.shape[1] == size
    handed = compiled.run(x)[compiled.between.name].reshape(len(x), -1)
    assert np.array_equal(compiled.dense.to_engine(handed)[:, positions],
                          handed.astype(np.int32) - compiled.between.zero_point)


def test_a_design_is_opened(case: Case, tmp_path: Path) -> None:
    compiled, x = case
    made = MixedCompiled(compiled)
    made.write(tmp_path)
    write_manifest(tmp_path, engine="mixed", top="mixed_engine", config=SMALL.to_dict(),
                   network="random")
    opened = open_design(tmp_path)
    assert np.array_equal(opened.inner.image(), compiled.image())
    assert opened.counters(x) == made.counters(x)
    host = ENGINE.host_image((tmp_path / "network.image").read_bytes())
    assert (host.engine, host.fingerprint) == ("mixed", made.host.fingerprint)
    assert host.interval(5000) == made.host.interval(5000)
    assert host.inputs.beats == compiled.convolutions.input_beats
    # The host's driver takes it as it takes other images.
    device = Device(MemoryLine(BoardModel(host, lambda q: opened.run(
        q.reshape(1, *x.shape[1:]))[0])))
    device.load(tmp_path)
    real = compiled.graph.input.dequantize(x)
    assert device.info().engine == "mixed"
    assert np.array_equal(device.infer(real), opened.real(opened.run(x)))
    (tmp_path / "network.image").write_bytes(b"")
    with pytest.raises(InputError):
        open_design(tmp_path)


def test_the_slower_engine_sets_the_interval(case: Case) -> None:
    compiled, x = case
    made = MixedCompiled(compiled)
    timing = made.timings(x)[0]
    beats = compiled.handed_beats
    assert timing.cycles == timing.convolutions.cycles + timing.dense_cycles + hand_over(
        compiled.config, beats)
    assert sum(timing.layer_cycles) == timing.cycles
    inputs, outputs = made.host.inputs.beats, made.host.outputs.beats
    for more in (0, 5000):
        dense = [replace(timing.dense[0], cycles=timing.dense[0].cycles + more), *timing.dense[1:]]
        slower = replace(timing, dense=dense)
        stream = time_stream(compiled, [slower] * 5, inputs, outputs)
        interval = mixed_interval(compiled.config, slower.cycles, timing.convolutions.cycles,
                                  beats, inputs, outputs)
        assert set(np.diff(stream.inputs)[2:].tolist()) == {interval.cycles}
        assert interval.cycles > max(slower.dense_cycles, timing.convolutions.cycles)
        assert interval.cycles < slower.cycles + interval.input + interval.output


def test_accesses(case: Case) -> None:
    """Every multiplication is counted, and only input and output go through ports."""
    compiled, x = case
    timings = MixedCompiled(compiled).timings(x)
    layers = layer_accesses(compiled, timings)
    assert [layer.name for layer in layers] == compiled.layer_names
    assert sum(layer.macs for layer in layers) == np.mean([timing.macs for timing in timings])
    host = MixedCompiled(compiled).host
    config = compiled.config
    assert [layer.outer for layer in layers] == [
        8 * config.convolutions.lanes * host.inputs.beats, 0,
        config.dense.activation_width * compiled.results[-1].elements]
    step = hand_over(config, compiled.handed_beats)
    assert sum(layer.cycles for layer in layers) + step == np.mean(
        [timing.cycles for timing in timings])
