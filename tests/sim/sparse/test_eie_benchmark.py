"""The benchmark's library: layers in RTL and in the models."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.eie_layers import EIE_LAYERS, random_layer
from eieio.model.sparse.mapping import compile_network
from eieio.model.sparse.study import OURS, PAPER, VARIANTS
from eieio.sim.sparse import eie_benchmark
from eieio.sim.sparse.eie_benchmark import (
    LayerResult,
    build_engines,
    compile_fitting,
    geomeans,
    run_layer,
    run_random_layer,
)

SMALL = [replace(layer, inputs=layer.inputs // 16, outputs=layer.outputs // 16)
         for layer in EIE_LAYERS if layer.name in {"Alex-8", "VGG-8", "NT-We"}]


def run(names: Sequence[str], pes: int, model_only: bool) -> list[LayerResult]:
    engines = [*build_engines(names, pes, SMALL, model_only=model_only)]
    return [result for layer in SMALL for result in run_random_layer(layer, 1, engines)]


@pytest.mark.long
def test_rtl_equals_models() -> None:
    """Layers smaller than the memories, one after the other, on one simulation."""
    results = run(["ours"], 2, model_only=False)
    assert [result.name for result in results] == [layer.name for layer in SMALL]
    for result, model in zip(results, run(["ours"], 2, model_only=True), strict=True):
        assert (result.mismatches, result.cycle_mismatches) == (0, 0)
        assert result.cycles == result.model_cycles == model.model_cycles
        assert (model.cycles, model.mismatches, model.cycle_mismatches) == (None, None, None)
        assert 1 < (result.ratio or 0) < 1.5
        assert result.ratio == model.ratio


def test_model_only() -> None:
    """Configurations differ as they should, and the figures are JSON."""
    results = run([*VARIANTS], 4, model_only=True)
    assert len(results) == 9
    for paper, ours, deep in zip(results[0::3], results[1::3], results[2::3], strict=True):
        assert [r.configuration for r in (paper, ours, deep)] == ["paper", "ours", "deep"]
        assert paper.ideal == ours.ideal == deep.ideal
        assert paper.model_cycles > ours.model_cycles >= deep.model_cycles
        assert paper.groups == 1
        assert paper.fillers >= ours.fillers
        figures = json.loads(json.dumps(ours.figures()))
        stalls = figures["stalls"]
        assert (ours.ideal + sum(stalls[cause] for cause in (
            "filler", "empty", "starved", "overhead"))) == pytest.approx(ours.model_cycles)
        assert sum(figures["busiest_pe"].values()) == pytest.approx(ours.model_cycles)
    means = geomeans(results)
    assert [*means] == ["paper", "ours", "deep"]
    assert means["ours"] == pytest.approx(math.prod(r.ratio or 0 for r in results[1::3]) ** (1 / 3))


def test_mismatches_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that finds differences ends in the result; the RTL's own cycles count."""
    engine, = build_engines(["ours"], 2, SMALL, model_only=True)
    model, = run_random_layer(SMALL[0], 0, [engine])

    class Differs:
        mismatches, cycle_mismatches = 3, 1

        class rtl:
            layer_cycles = np.array([[7000]])

        def __init__(self, *args: Any) -> None:
            self.timings = [[timing] for timing in model.timings]

    monkeypatch.setattr(eie_benchmark, "compare", Differs)
    result, = run_random_layer(SMALL[0], 0, [replace(
        engine, build=object())])  # pyright: ignore[reportArgumentType]
    assert (result.mismatches, result.cycle_mismatches, result.cycles) == (3, 1, 7000)
    assert result.ratio == 7000 / result.ideal


def test_batch_is_summed() -> None:
    network, x = random_layer(SMALL[0])
    batch = np.concatenate([x, 0 * x, x])
    config = SparseConfig(pes=4, **OURS.options(4))
    compiled = compile_fitting(network, config, batch, balance="all")
    one, zero, three = (run_layer("ours", compiled, part, None, time.monotonic())
                        for part in (x, 0 * x, batch))
    assert three.samples == 3
    assert three.model_cycles == 2 * one.model_cycles + zero.model_cycles
    assert three.ideal == 2 * one.ideal
    assert (zero.ideal, zero.ratio) == (0, None)
    assert geomeans([zero]) == {"ours": None}


@pytest.mark.parametrize("variant", [PAPER, OURS])
def test_fitting(variant: Any) -> None:
    """The memories are as small as powers of two can be, and the layer compiles for them."""
    network, x = random_layer(SMALL[1])
    config = SparseConfig(pes=4, **variant.options(4))
    compiled = compile_fitting(network, config, x, balance=variant.balance)
    fitted = compiled.config
    groups = [compiled.layers[0].groups]
    compile_network(network, fitted, groups=groups, balance=variant.balance)
    for name in ("entry_depth", "pointer_depth", "activation_depth", "output_depth"):
        half = {name: getattr(fitted, name) // 2}
        with pytest.raises(InputError, match=f"{name} is {half[name]}"):
            compile_network(network, replace(fitted, **half), groups=groups,
                            balance=variant.balance)
    with pytest.raises(InputError, match=r"Layer 'VGG-8' is .*, and entry_depth is 8"):
        compile_fitting(network, replace(config, entry_depth=8), x, balance=variant.balance,
                        keep=["entry_depth"])
