"""Matrix steps of the tensor core in Verilog: results and cycles against the models."""

import numpy as np
import pytest
from long_cases import long

from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.golden import matrix_step
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


@pytest.mark.parametrize("config", long(
    StepConfig(1, 1), StepConfig(1, 1, products=8, extra_bits=1),
    StepConfig(1, 1, products=2, extra_bits=2, input_format="bfloat16")), ids=lambda c: c.label)
def test_ends(config: StepConfig) -> None:
    """Sums of products that are all as large as they can be, and ones of which little is left."""
    n, rng = config.products, np.random.default_rng(0)
    # In binary16 2 less its last bit, in bfloat16 the same; 1 is the exponent alone.
    one = 0x3F80 if config.input_format == "bfloat16" else 0x3C00
    two = one + (0x7F if config.input_format == "bfloat16" else 0x3FF)
    steps: list[tuple[list[int], list[int], int]] = []
    for used in range(n + 1):
        for large in (one, two):
            row = [large] * used + [0] * (n - used)
            steps += [(row, [two] * n, addend) for addend in (0, 0x40800000, 0x407FFFFF,
                                                               0x3FFFFFFF)]
    # One less something of its size, so that any number of leading bits cancel.
    for bit in range(24):
        for row, addend in (([one] + [0] * (n - 1), 0xBF800000 - (1 << bit)),
                            ([two] + [0] * (n - 1), 0xC07FE000 - (1 << bit)),
                            ([one] + [0] * (n - 1), 0xBF800000 + (1 << bit))):
            steps.append((row, [one] * n, addend))
    a = np.array([row for row, _, _ in steps], np.uint16)[:, None]
    b = np.array([column for _, column, _ in steps], np.uint16)[:, :, None]
    c = np.array([addend for _, _, addend in steps], np.uint32)[:, None, None]
    negated = rng.random(len(steps)) < 0.5
    a[negated] ^= 0x8000
    c[negated] ^= np.uint32(1 << 31)
    seen = run_steps(build_steps(config, quick=True), a, b, c, config)
    assert np.array_equal(seen.d, matrix_step(a, b, c, config))
