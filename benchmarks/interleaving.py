"""Measures what it brings to interleave inferences on the EIE paper's layers, by the cycle model.

::

    python benchmarks/interleaving.py --json interleaving.json

Each layer runs on 64 PEs, with queues of 8 and of 24, on four inputs: the benchmark's, and three
with its activations in other places. The table gives cycles by ideal: of an inference alone; and
from one to the next in a stream of these inputs, one at a time and interleaved, with an output lane
for each PE and with one for four of them. The streams are a word of activations wide, and limit
nothing.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from eieio.model.sparse.chain import layers_of, shared_weights
from eieio.model.sparse.eie_layers import EIE_LAYERS, EieLayer, random_layer
from eieio.model.sparse.interleaving import steady_interval
from eieio.model.sparse.mapping import compile_network
from eieio.model.sparse.study import DEEP, OURS, LayerStudy, Variant, benchmark_config, geomean
from eieio.model.sparse.timing import NetworkTimer, inference_interval

PES = 64
INPUTS = 4
LANES = (1, 4)
VARIANTS = {"queues of 8": OURS, "queues of 24": DEEP}


def measure(layer: EieLayer, variant: Variant) -> dict[str, float]:
    """Return cycles by ideal of a layer."""
    network, x = random_layer(layer, 0)
    rng = np.random.default_rng(1)
    x = np.stack([x[0], *(rng.permutation(x[0]) for _ in range(INPUTS - 1))])
    config = replace(benchmark_config(variant, PES, EIE_LAYERS), double_buffered=True)
    study = LayerStudy(shared_weights(layers_of(network)[0]).codes, x[0])
    groups, _ = study.best(variant, config)
    del study
    figures: dict[str, float] = {}
    compiled = compile_network(network, config, groups=[groups], balance=variant.balance)
    beats = -(-network.input.elements // PES), -(-network.output.elements // PES)
    for turns in LANES:
        shared = replace(config, pes_per_lane=turns)
        timer = NetworkTimer(replace(compiled, config=shared))
        timings = [timer(sample, [sample])[0] for sample in x]
        ideal = float(np.mean([timing.ideal for timing in timings]))
        cycles = float(np.mean([timing.cycles for timing in timings]))
        both = replace(shared, interleaved=True)
        figures |= {
            f"alone, {turns}": cycles / ideal,
            f"stream, {turns}": inference_interval(shared, cycles, *beats).cycles / ideal,
            f"interleaved, {turns}": steady_interval(
                both, [timer.inputs(sample, [sample]) for sample in x], *beats) / ideal}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for title, variant in VARIANTS.items():
        found[title] = {}
        for layer in EIE_LAYERS:
            found[title][layer.name] = measure(layer, variant)
            print(title, layer.name, *(f"{key}: {value:.4f}" for key, value
                                 in found[title][layer.name].items()), sep="  ", flush=True)
        keys = next(iter(found[title].values()))
        means = {key: geomean([of[key] for of in found[title].values()]) for key in keys}
        found[title]["geometric mean"] = {key: value or 0 for key, value in means.items()}
        print(title, *(f"{key}: {value:.4f}" for key, value in
                       found[title]["geometric mean"].items()), sep="  ", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
