"""Interleaved inferences: streams of inputs in RTL against the golden and the cycle model."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from long_cases import long
from sparse_engines import INTERLEAVED, SMALL, built, cases, few

from eieio.model.sparse.chain import run_layers
from eieio.model.sparse.interleaving import steady_interval, stream_interleaved
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.prepared import SparseCompiled
from eieio.model.sparse.timing import NetworkTimer
from eieio.sim.interval import measure_stream
from eieio.sim.sparse.random_network import compile_random, random_inputs, random_network
from eieio.sim.sparse.streaming import compare_stream

#: A build each.
POOL = {
    "groups": INTERLEAVED,
    "plain": replace(SMALL, pes=3, queue_depth=2, run_width=4, activation_width=8, weight_width=8,
                     accumulator_width=40, skip_empty_columns=False, absorb_fillers=False,
                     double_buffered=True, interleaved=True),
    "deep": replace(SMALL, pes=8, column_groups=4, queue_depth=16, columns_ahead=9, run_width=5,
                    code_width=5, weight_width=8, io_lanes=8, accumulator_depth=256,
                    pes_per_lane=2, double_buffered=True, interleaved=True),
}


def random_case(name: str, sizes: tuple[int, ...], density: float, samples: int
                ) -> tuple[CompiledNetwork, np.ndarray]:
    config = POOL[name]
    rng = np.random.default_rng(3)
    layers = len(sizes) - 1
    compiled = compile_random(
        random_network(config, sizes, [density] * layers, rng), config,
        [int(rng.choice(config.column_group_choices)) for _ in range(layers)], "none", rng)
    return compiled, random_inputs(config, samples, sizes[0], density, rng)


@pytest.mark.parametrize("name", ["groups", *long("plain", "deep")])
def test_random_streams(name: str) -> None:
    """Whatever networks, inputs and stalls: every integer, last write of a layer, and counter."""
    config = POOL[name]
    build = built(config)

    @few(max_examples=8)
    @given(cases(config), st.sampled_from([0, 0, 0.3, 0.8]), st.sampled_from([0, 0, 0.3, 0.9]))
    def run_case(case: tuple[CompiledNetwork, np.ndarray, float], input_stall: float,
                 output_stall: float) -> None:
        compiled, x, _ = case
        x = np.concatenate([x, x[::-1], x])[:7]
        result = compare_stream(compiled, x, build, input_stall=input_stall,
                                output_stall=output_stall)
        assert result.written.tolist() == result.timing.written.tolist()
        assert (result.mismatches, result.cycle_mismatches) == (0, 0)

    run_case()


@pytest.mark.parametrize(("name", "sizes", "density"), [
    ("groups", (40, 60, 30, 7), 0.4), ("groups", (16, 4, 4, 4, 4, 5), 0.8),
    *long(("groups", (13, 9, 8), 0.6), ("groups", (60, 50), 1), ("groups", (6, 250), 0.02),
          ("groups", (250, 3), 0.02), ("groups", (4, 4), 0.5), ("plain", (40, 60, 30, 7), 0.4),
          ("deep", (40, 60, 30, 7), 0.4), ("deep", (100, 90, 80), 0.3))])
def test_interval(name: str, sizes: tuple[int, ...], density: float) -> None:
    """When beats move, if no one waits; and what the figure of the steady state says of it."""
    config = POOL[name]
    compiled, x = random_case(name, sizes, density, 5)
    golden = run_layers(compiled.network, x)
    timer = NetworkTimer(compiled)
    host = SparseCompiled(compiled).host
    inferences = [timer.inputs(sample, [layer[number] for layer in golden])
                  for number, sample in enumerate(x)]
    beats = host.inputs.beats, host.outputs.beats
    turns = np.arange(11) % 5
    seen = measure_stream(host, x[turns], built(config), shell=False)
    _, expected = stream_interleaved(config, [inferences[turn] for turn in turns], *beats)
    assert np.array_equal(seen.outputs, golden[-1][turns])
    assert (seen.inputs_from - seen.inputs_from[0]).tolist() == expected.inputs.tolist()
    assert (seen.outputs_from - seen.inputs_from[0]).tolist() == expected.outputs.tolist()
    assert steady_interval(config, inferences, *beats) \
        == (seen.inputs_from[10] - seen.inputs_from[5]) / 5


def test_interleaving_pays() -> None:
    """A network whose layers mostly wait: of two inferences one computes meanwhile."""
    compiled, x = random_case("groups", (40, 60, 30, 7), 0.4, 8)
    result = compare_stream(compiled, x, built(INTERLEAVED))
    alone = [sum(layer.cycles for layer in NetworkTimer(compiled)(
        sample, list(golden))) for sample, golden in zip(
            x, zip(*run_layers(compiled.network, x), strict=True), strict=True)]
    # The first begins alone, and may be held up by the second.
    assert result.timing.cycles[0] >= alone[0]
    assert np.diff(result.hand_overs)[2:].mean() < 0.8 * np.mean(alone)
