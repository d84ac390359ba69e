"""Networks as layers for the array: what each layer is given computes what its operator does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_layer import every_layer
from numpy.lib.stride_tricks import sliding_window_view

from eieio.model.errors import InputError
from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.eyeriss.counters import expected_output
from eieio.model.eyeriss.mapping import Mapping
from eieio.model.eyeriss.network import MappedLayer, map_network
from eieio.model.eyeriss.prepared import EyerissCompiled, open_design, read_mappings
from eieio.model.eyeriss.program import make_program
from eieio.model.formats.design_folder import write_manifest
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.graph.rescale import rescale

CONFIG = EyerissConfig(rows=4, columns=3, filter_words=32, ifmap_words=8, psum_words=4,
                       glb_bytes=4096, glb_banks=8, bus_words=2)


def convolve(mapped: MappedLayer, x: Any) -> Any:
    """Compute a layer of its numbers alone, by the definition of a convolution."""
    layer, numbers = mapped.layer, mapped.numbers(x)
    filters = layer.channels // layer.groups
    sums = []
    for group in range(layer.groups):
        part = numbers.x[..., group * layer.depth:(group + 1) * layer.depth].astype(np.int64)
        windows: Any = sliding_window_view(part, (layer.kernel_height, layer.kernel_width),
                                           axis=(1, 2))  # pyright: ignore
        windows = windows[:, ::layer.stride, ::layer.stride]
        weight = numbers.weight[group * filters:(group + 1) * filters].astype(np.int64)
        sums.append(np.einsum("nhwcrs,mcrs->nhwm", windows, weight))
    return rescale(np.concatenate(sums, axis=3) + numbers.bias, numbers.multiplier, numbers.shift,
                   0, numbers.minimum, numbers.maximum, single_rounding=numbers.single_rounding)


def test_layers_compute_their_operators() -> None:
    graph = every_layer()
    x = np.random.default_rng(6).integers(-128, 128, (1, 7, 8, 3)).astype(np.int8)
    values = run_graph(graph, x)
    mapped = map_network(graph, CONFIG)
    assert [each.layer.name for each in mapped] == ["padded", "far", "depthwise", "dense"]
    assert (mapped[1].layer.height, mapped[1].layer.stride) == (4, 1)
    for each in mapped:
        inputs = values[each.operator.input.name]
        y = convolve(each, inputs).astype(np.int16)
        assert np.array_equal(each.activations(y), values[each.operator.output.name])
        numbers = each.numbers(inputs)
        program = make_program(each.layer, each.mapping, CONFIG, numbers)
        assert np.array_equal(program.output(expected_output(program, y)), y)


def test_is_written_and_opened(tmp_path: Path) -> None:
    given = {"padded": Mapping(1, 3, 2, 2, 1, 1, 1)}
    compiled = EyerissCompiled(every_layer(), CONFIG, given)
    assert compiled.layers[0].mapping == given["padded"]
    compiled.write(tmp_path)
    write_manifest(tmp_path, engine="eyeriss", top="eyeriss_engine", network="net",
                   config=CONFIG.to_dict())
    found = open_design(tmp_path)
    assert [each.mapping for each in found.layers] == [each.mapping for each in compiled.layers]
    x = compiled.quantize(compiled.random_inputs(3))
    assert np.array_equal(found.run(x), compiled.run(x))
    figures = compiled.figures()
    assert figures["cycles_per_inference"] == compiled.cycles() == sum(
        layer["model_cycles"] for layer in figures["layers"])
    assert compiled.host.inputs.size == 7 * 8 * 3


@pytest.mark.parametrize(("graph", "mappings", "message"), [
    (every_layer(), {"none": Mapping(1, 1, 1, 1, 1, 1, 1)},
     "Mapping of 'none' must be of one of padded, far, depthwise, dense"),
    (every_layer(), {"padded": Mapping(1, 5, 7, 5, 1, 1, 1)},
     "Mapping of layer 'padded': p, partial sums of a PE, must be at most 4, not 5"),
    (every_layer(dilation=2), {},
     ("Operator 'padded' must have one stride down and across and no dilation, not (1, 1) and "
      "(2, 2)")),
])
def test_refuses(graph: QuantizedGraph, mappings: dict[str, Mapping], message: str) -> None:
    with pytest.raises(InputError) as error:
        map_network(graph, CONFIG, mappings)
    assert str(error.value) == message


def test_refuses_narrow_sums_and_files_that_hold_no_mappings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'padded' must have sums of at most 16 bits, not 2"):
        map_network(every_layer(), EyerissConfig(psum_width=16))
    for text in ("[]", '{"a": {"n": 1}}', "{"):
        (tmp_path / "m.json").write_text(text)
        with pytest.raises(InputError, match="must be a JSON object that has an object with n, m"):
            read_mappings(tmp_path / "m.json")
    (tmp_path / "m.json").write_text(json.dumps({"a": Mapping(1, 2, 3, 4, 5, 6, 7).to_dict()}))
    assert read_mappings(tmp_path / "m.json") == {"a": Mapping(1, 2, 3, 4, 5, 6, 7)}


def test_tells_where_cycles_go() -> None:
    compiled = EyerissCompiled(every_layer(), CONFIG)
    profile, = compiled.profiles(compiled.random_inputs(1))
    assert sum(layer.cycles for layer in profile) == compiled.cycles()
    assert all(layer.causes["pass"] > layer.causes["scan"] > 0 for layer in profile[:1])
    assert compiled.describe(compiled.random_inputs(1))["causes"].keys() == profile[0].causes.keys()
