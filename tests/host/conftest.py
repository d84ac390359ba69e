"""Fixtures of the host driver: a small network, and its golden outputs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.host_image import HostImage, sparse_host_image
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.golden import run_network
from eieio.sim.board_model import BoardModel
from eieio.sim.random_network import compile_random, random_inputs, random_network

CONFIG = SparseConfig(pes=2, queue_depth=2, entry_depth=256, pointer_depth=128,
                      accumulator_depth=16, activation_depth=16, output_depth=32, layer_depth=2)


class Example(NamedTuple):
    """A network, inputs for it, and what comes out."""

    config: SparseConfig
    image: HostImage
    x: NDArray[np.int32]
    golden: NDArray[np.int32]
    compute: Callable[[NDArray[np.int32]], NDArray[np.int32]]


@pytest.fixture(scope="session")
def example() -> Example:
    rng = np.random.default_rng(1)
    network = random_network(CONFIG, [20, 12, 7], [0.5, 0.5], rng)
    compiled = compile_random(network, CONFIG, [1, 1], "all", rng)
    x = random_inputs(CONFIG, 6, 20, 0.6, rng)

    def compute(sample: NDArray[np.int32]) -> NDArray[np.int32]:
        return run_network(compiled.network, sample[np.newaxis])[-1][0]

    return Example(CONFIG, sparse_host_image(compiled), x, run_network(compiled.network, x)[-1],
                   compute)


@pytest.fixture
def board(example: Example) -> BoardModel:
    return BoardModel(example.image, example.compute)
