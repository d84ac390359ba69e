"""Matrix steps of the tensor core in Verilog: results and cycles against the models."""

import numpy as np
import pytest

from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.timing import latency
from eieio.sim.runner import Build
from eieio.sim.tensor_core.random_steps import random_steps
from eieio.sim.tensor_core.steps import build_steps, run_steps

CONFIG = StepConfig(rows=1, columns=2)


@pytest.fixture(scope="module")
def built() -> Build:
    return build_steps(CONFIG, quick=True)


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_golden_model(built: Build, stall: float) -> None:
    steps = random_steps(CONFIG, 500, np.random.default_rng(0))
    seen = run_steps(built, *steps[:3], CONFIG, half=steps.half, stall=stall)
    assert np.array_equal(seen.d, steps.results(CONFIG))
    assert seen.latency == latency(CONFIG)
