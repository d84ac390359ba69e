"""A small sparse engine in its shell, with random networks."""

import numpy as np

from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.image_layout import Target
from eieio.model.sparse.prepared import SparseCompiled
from eieio.sim.bad_transactions import SAMPLES
from eieio.sim.shell_session import ShellSession, traffic
from eieio.sim.sparse.random_network import compile_random, random_inputs, random_network

__all__ = ["CONFIG", "small_session"]

#: A small engine. Its beats are no whole bytes, its images may be coded, and the next input comes
#: while an inference is under way.
CONFIG = SparseConfig(
    pes=4, queue_depth=2, run_width=3, activation_width=12, weight_width=8, entry_depth=256,
    pointer_depth=64, accumulator_depth=16, activation_depth=16, output_depth=32, layer_depth=3,
    coded_images=True, double_buffered=True)


def small_session(seed: int = 0, config: SparseConfig = CONFIG) -> ShellSession:
    """Make a session with two random networks, of two layers and of one."""
    networks = []
    rng = np.random.default_rng(seed)
    for sizes in ((13, 11, 6), (7, 9)):
        layers = len(sizes) - 1
        network = random_network(config, sizes, [0.5] * layers, rng)
        compiled = SparseCompiled(compile_random(network, config, [1] * layers, "hidden", rng))
        networks.append(traffic(compiled, random_inputs(config, SAMPLES, sizes[0], 0.8, rng)))
    return ShellSession(config, networks, Target.__members__, config.pes)
