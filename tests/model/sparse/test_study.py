"""Timing of layers in many configurations."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from eieio.model.sparse.balance import AS_THEY_COME, EVEN_WORK
from eieio.model.sparse.broadcast_timing import LayerWork
from eieio.model.sparse.chain import layers_of, shared_weights
from eieio.model.sparse.config import FETCH_COLUMNS, SparseConfig
from eieio.model.sparse.eie_layers import EIE_LAYERS, EieLayer, random_layer
from eieio.model.sparse.mapping import compile_network
from eieio.model.sparse.study import (
    DEEP,
    OURS,
    PAPER,
    VARIANTS,
    LayerStudy,
    Variant,
    ablation_variants,
    benchmark_config,
    critical_path,
    geomean,
    run_ablation,
    run_depths,
    run_fillers,
    run_scaling,
    run_seeds,
)
from eieio.model.sparse.timing import simulate_layer
from eieio.model.sparse.tuning import tune_network


def scaled(layer: EieLayer) -> EieLayer:
    """Scale a layer of the paper down to a sixteenth each way."""
    return replace(layer, inputs=layer.inputs // 16, outputs=layer.outputs // 16)


SMALL = [scaled(layer) for layer in EIE_LAYERS]


def test_configurations() -> None:
    """The paper's engine has nothing of ours, and deep queues fill a LUT RAM."""
    assert PAPER.options(64) == {"queue_depth": 8, "run_width": 4, "column_groups": 1,
                                 "skip_empty_columns": False, "absorb_fillers": False}
    assert (PAPER.balance, OURS.balance) == ("none", "all")
    assert OURS.queue_depth == 8
    assert DEEP.queue_depth + FETCH_COLUMNS == 32
    assert [OURS.options(pes)["column_groups"] for pes in (1, 2, 6, 64)] == [1, 2, 2, 4]


def test_full_size_engine() -> None:
    config = benchmark_config(OURS, 64, EIE_LAYERS)
    assert config == SparseConfig(
        pes=64, run_width=6, entry_depth=1 << 17, pointer_depth=25090, accumulator_depth=512,
        activation_depth=512, output_depth=256, layer_depth=2, column_groups=4, io_lanes=64)
    paper = benchmark_config(PAPER, 64, EIE_LAYERS)
    assert (paper.entry_depth, paper.accumulator_depth) == (1 << 17, 256)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("pes", [1, 4, 6, 64, 256])
def test_layers_fit(variant: Variant, pes: int) -> None:
    """The compiler finds room, with one column group and with two if there are two."""
    config = benchmark_config(variant, pes, SMALL)
    for layer in SMALL:
        network, _ = random_layer(layer)
        for groups in config.column_group_choices[:2]:
            compile_network(network, config, groups=[groups], balance=variant.balance)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("layer", SMALL[:1] + SMALL[-3:], ids=lambda layer: layer.name)
def test_equals_compiling(layer: EieLayer, variant: Variant) -> None:
    """Columns that the input does not reach may be left out: cycles and causes are the same."""
    network, x = random_layer(layer, 3)
    config = benchmark_config(variant, 8, SMALL)
    quantized, = layers_of(network)
    groups, timing = LayerStudy(shared_weights(quantized).codes, x[0]).best(variant, config)
    order = EVEN_WORK if variant.balance_rows else AS_THEY_COME
    layout, = tune_network(network, config, x, orders=[order])
    assert (layout.groups, layout.cycles) == (groups, timing.cycles)
    compiled = compile_network(network, config, groups=[groups], balance=variant.balance)
    expected = simulate_layer(LayerWork.of(compiled.layers[0].matrix, config),
                              compiled.to_engine(x)[0])
    assert timing.cycles == expected.cycles
    for name in ("products", "filler_cycles", "empty_cycles", "starved_cycles"):
        assert np.array_equal(getattr(timing, name), getattr(expected, name))


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_critical_path_adds_up(variant: Variant) -> None:
    config = benchmark_config(variant, 8, SMALL)
    for layer in SMALL:
        study = LayerStudy.random(layer)
        _, timing = study.best(variant, config)
        parts = critical_path(timing)
        assert sum(parts.values()) == pytest.approx(timing.cycles)
        assert min(parts.values()) >= 0
        reached = np.count_nonzero(study.codes[:, study.activations != 0])
        assert parts["ideal"] == reached / 8


def test_geomean() -> None:
    assert geomean([1.0, 4.0]) == pytest.approx(2.0)
    assert geomean([]) is None


def test_ablation() -> None:
    """Rows name what they change, and equal variants have equal figures."""
    studies = {layer.name: LayerStudy.random(layer) for layer in SMALL[:2]}
    tables = run_ablation(studies, SMALL, 8)
    chain = dict(tables["Added one after the other"])
    alone = dict(tables["Taken from ours, each alone"])
    assert chain["+ up to 4 column groups (ours)"] == alone["ours"]
    assert dict(tables["Queue depth"])["8"] == alone["ours"]
    assert dict(tables["Run width"])["6 bits"] == alone["ours"]
    config = benchmark_config(PAPER, 8, SMALL)
    assert chain["as in the paper"] == [
        timing.cycles / timing.ideal
        for timing in (study.best(PAPER, config)[1] for study in studies.values())]
    assert all(len(ratios) == 2 and min(ratios) > 1
               for rows in tables.values() for _, ratios in rows)


def test_ablation_changes_one_thing_at_a_time() -> None:
    chain = [variant for _, variant in ablation_variants()["Added one after the other"]]
    assert chain[0] == PAPER
    assert chain[-2:] == [OURS, DEEP]
    for before, after in pairwise(chain):
        changed = [name for name in vars(before) if vars(before)[name] != vars(after)[name]]
        assert len(changed) == 1


def test_studies() -> None:
    layer = SMALL[3]
    studies = {layer.name: LayerStudy.random(layer)}
    counts = (1, 2, 64)
    cycles = run_scaling(studies, SMALL, counts, {"paper": PAPER, "ours": OURS})[layer.name]
    for variant, taken in cycles.items():
        ideal = np.count_nonzero(studies[layer.name].codes[
            :, studies[layer.name].activations != 0])
        assert taken[0] > taken[1] > taken[2], variant
        assert all(cycles > ideal / pes for cycles, pes in zip(taken, counts, strict=True))
    assert cycles["ours"][2] < cycles["paper"][2]
    # Deeper queues can only help; fillers vanish where no column is longer than a run.
    efficiency, = run_depths(studies, SMALL, 8, (2, 8, 64), PAPER).values()
    assert 0 < efficiency[0] <= efficiency[1] <= efficiency[2] <= 1
    shares, = run_fillers(studies, (1, 16, 256), 4).values()
    assert 0 < shares[0] < shares[1] <= shares[2] == 1


def test_seeds() -> None:
    ratios = run_seeds(SMALL[:2], SMALL, 8, (1, 2), {"ours": OURS})
    assert [*ratios] == ["ours"]
    first, second = ratios["ours"]
    config = benchmark_config(OURS, 8, SMALL)
    for layer, ratio in zip(SMALL, second, strict=False):
        _, timing = LayerStudy.random(layer, 2).best(OURS, config)
        assert ratio == timing.cycles / timing.ideal
    assert len(first) == len(second) == 2
    assert first != second
