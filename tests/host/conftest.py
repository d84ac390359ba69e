"""Fixtures of the host driver: a small network, and its golden outputs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.engine_config import EngineConfig
from eieio.model.graph.golden import run_graph
from eieio.model.host_image import HostImage
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.host import sparse_host_image
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.host import systolic_host_image
from eieio.model.systolic.image import describe
from eieio.model.systolic.work import Work
from eieio.sim.board_model import BoardModel
from eieio.sim.sparse.random_network import compile_random, random_inputs, random_network
from eieio.sim.systolic import random_graph

CONFIG = SparseConfig(pes=2, queue_depth=2, entry_depth=256, pointer_depth=128,
                      accumulator_depth=16, activation_depth=16, output_depth=32, layer_depth=2,
                      coded_images=True)

SYSTOLIC_CONFIG = SystolicConfig(rows=4, columns=2, lanes=2, accumulator_depth=8,
                                 activation_depth=256, weight_depth=256, parameter_depth=16,
                                 program_depth=8)


class Example(NamedTuple):
    """A network, inputs for it, and what comes out."""

    config: EngineConfig
    image: HostImage
    x: NDArray[np.int32]
    golden: NDArray[np.integer]
    compute: Callable[[NDArray[np.int32]], NDArray[np.int32]]
    work: tuple[Work, ...] = ()


@pytest.fixture(scope="session")
def example() -> Example:
    rng = np.random.default_rng(1)
    network = random_network(CONFIG, [20, 12, 7], [0.5, 0.5], rng)
    compiled = compile_random(network, CONFIG, [1, 1], "all", rng)
    x = random_inputs(CONFIG, 6, 20, 0.6, rng)

    def compute(sample: NDArray[np.int32]) -> NDArray[np.int32]:
        return compiled.run(sample[np.newaxis])[-1][0]

    return Example(CONFIG, sparse_host_image(compiled), x, compiled.run(x)[-1],
                   compute)


@pytest.fixture(scope="session")
def systolic_example() -> Example:
    """Of an output whose last beat is not full."""
    rng = np.random.default_rng(0)
    compiled = random_graph.random_graph(SYSTOLIC_CONFIG, rng, operators=3, max_cycles=1000)
    graph = compiled.graph

    def compute(sample: NDArray[np.int32]) -> NDArray[np.int32]:
        x = sample.reshape(1, *graph.input.shape).astype(np.int8)
        return run_graph(graph, x)[compiled.result.name].reshape(-1).astype(np.int32)

    x = random_graph.random_inputs(compiled, 6, rng)[:, 0]
    golden = run_graph(graph, x)[graph.output.name]
    return Example(SYSTOLIC_CONFIG, systolic_host_image(describe(compiled)),
                   x.reshape(6, -1).astype(np.int32), golden.reshape(6, -1).astype(np.int32),
                   compute, tuple(layer.work for layer in compiled.layers))


@pytest.fixture
def board(example: Example) -> BoardModel:
    return BoardModel(example.image, example.compute)
