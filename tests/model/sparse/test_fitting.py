"""Memories that just fit."""

import re
from dataclasses import fields, replace

import numpy as np
import pytest

from eieio.model.compress.weight_sharing import share_weights
from eieio.model.errors import InputError
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.sparse.choices import fit_network
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.fitting import MEMORY_DEPTHS, fitted_config
from eieio.model.sparse.mapping import compile_network
from eieio.model.sparse.quantization import quantize_network

RNG = np.random.default_rng(2)
SAMPLES = RNG.random((4, 40))


def shared(*sizes: int, density: float = 0.3) -> FloatGraph:
    layers = tuple(
        fully_connected(f"fc{number}", (RNG.normal(size=shape) * (
            RNG.random(shape) < density)).astype(np.float32), np.zeros(shape[0], np.float32), True)
        for number, shape in enumerate(zip(sizes[1:], sizes, strict=False)))
    return share_weights(chain("net", layers), 4)


def test_depths_are_all_memories() -> None:
    depths = {field.name for field in fields(SparseConfig) if field.name.endswith("_depth")}
    assert set(MEMORY_DEPTHS) == depths - {"queue_depth"}
    SparseConfig.from_dict(MEMORY_DEPTHS)
    for name, depth in MEMORY_DEPTHS.items():
        with pytest.raises(InputError, match=name):
            SparseConfig.from_dict({**MEMORY_DEPTHS, name: 2 * depth})


@pytest.mark.parametrize(("pes", "groups"), [(1, 1), (4, 1), (4, 2), (16, 4)])
def test_half_as_much_does_not_fit(pes: int, groups: int) -> None:
    config = SparseConfig(pes=pes, column_groups=groups)
    network = quantize_network(shared(40, 30, 17), SAMPLES, config)
    chosen = [groups, 1]
    fitted = fitted_config(network, config, groups=chosen)
    compile_network(network, fitted, groups=chosen)
    smallest = {"entry_depth": 4, "pointer_depth": 4, "accumulator_depth": 2 * groups}
    for name in MEMORY_DEPTHS:
        depth = getattr(fitted, name)
        assert depth.bit_count() == 1
        if depth > smallest.get(name, 2):
            with pytest.raises(InputError, match=f"and {name} is {depth // 2}$"):
                compile_network(network, replace(fitted, **{name: depth // 2}), groups=chosen)


def test_empty_network_fits() -> None:
    network = quantize_network(shared(40, 1, density=0), SAMPLES, SparseConfig())
    fitted = fitted_config(network, SparseConfig())
    compile_network(network, fitted)
    assert (fitted.entry_depth, fitted.accumulator_depth, fitted.layer_depth) == (4, 2, 2)


def test_keeps() -> None:
    network = quantize_network(shared(40, 30), SAMPLES, SparseConfig())
    fitted = fitted_config(network, SparseConfig(), keep={"entry_depth", "layer_depth"})
    assert (fitted.entry_depth, fitted.layer_depth) == (4096, 8)
    message = ("Layer 'fc0' is too large: it needs 30 accumulators in each PE, "
               "and accumulator_depth is 2")
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        fitted_config(network, SparseConfig(pes=1, accumulator_depth=2),
                      keep={"accumulator_depth"})


def test_compiles_with_options() -> None:
    network = shared(40, 30, 17)
    compiled = fit_network(network, SAMPLES,
                           {"pes": 8, "queue_depth": 4, "entry_depth": 500}).compiled
    assert (compiled.config.pes, compiled.config.queue_depth, compiled.config.entry_depth) == (
        8, 4, 500)
    assert compiled.config.code_width == 4
    assert fit_network(network, SAMPLES, {"code_width": 6}).compiled.config.code_width == 6
    with pytest.raises(InputError, match=r"^Layer 'fc0' needs codes of 4 bits, and code_width "
                                         r"is 3$"):
        fit_network(network, SAMPLES, {"code_width": 3})


def test_column_groups_are_chosen() -> None:
    # Four rows for each PE keep PEs waiting for columns, so that groups pay.
    network = shared(40, 64, density=0.05)
    compiled = fit_network(network, SAMPLES, {"pes": 16, "column_groups": 4}).compiled
    assert compiled.layers[0].groups > 1
