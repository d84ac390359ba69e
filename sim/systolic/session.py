"""A small systolic engine in its shell, with random graphs."""

import functools

import numpy as np

from eieio.model.errors import InputError
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.prepared import SystolicCompiled
from eieio.model.systolic.program import Target
from eieio.sim.bad_transactions import MAX_BEATS, MIN_WORDS, SAMPLES
from eieio.sim.shell_session import ShellSession, Traffic, traffic
from eieio.sim.systolic.random_graph import random_graph, random_inputs

__all__ = ["CONFIG", "small_session"]

#: A small engine. Its words are two beats.
CONFIG = SystolicConfig(
    rows=4, columns=2, lanes=2, accumulator_depth=8, activation_depth=256, weight_depth=256,
    parameter_depth=16, program_depth=8, input_depth=64, patch_rows=2, patch_columns=2,
    patch_channels=1, line_depth=16)


def small_session(seed: int = 0, config: SystolicConfig = CONFIG) -> ShellSession:
    """Make a session with two random graphs, of three operators and of one."""
    return ShellSession(config, _networks(seed, config), Target.__members__,
                        -(-config.columns // config.weights_per_word))


@functools.cache
def _networks(seed: int, config: SystolicConfig) -> tuple[Traffic, ...]:
    networks = []
    rng = np.random.default_rng(seed)
    for operators in (3, 1):
        compiled = _small_graph(config, operators, rng)
        networks.append(traffic(SystolicCompiled(compiled),
                                random_inputs(compiled, SAMPLES, rng)[:, 0]))
    return tuple(networks)


def _small_graph(config: SystolicConfig, operators: int, rng: np.random.Generator) -> CompiledGraph:
    """Draw graphs until one has such streams as the transactions need."""
    while True:
        try:
            compiled = random_graph(config, rng, operators=operators, max_cycles=800)
        except InputError:  # Of what was drawn, nothing fits.
            continue
        # What else is in a beat of the output is not known.
        if (len(compiled.image()) >= MIN_WORDS and 1 < compiled.input_beats <= MAX_BEATS
                and compiled.output.channels % config.lanes == 0):
            return compiled
