"""A parameter server: what it adds, and how old gradients may be."""

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.parallel.gradients import ordered_sum
from eieio.model.parallel.parameter_server import ParameterServer, stale_limit

RNG = np.random.default_rng(0)


def test_synchronous_is_one_step() -> None:
    """Where sums are exact, the changes of all are one step by the sum of their gradients."""
    first = RNG.integers(-99, 99, 6).astype(np.float64)
    gradients = [RNG.integers(-99, 99, 6).astype(np.float64) for _ in range(3)]
    server = ParameterServer(first)
    answer = server.push(*(-0.5 * gradient for gradient in gradients))
    assert np.array_equal(answer, first - 0.5 * ordered_sum(gradients))
    assert server.pushed == 3
    # What a worker or the caller has is its own.
    answer += 1
    assert np.array_equal(server.parameters, answer - 1)
    assert not np.array_equal(first, server.parameters)


def descend(curvature: float, rate: float, workers: int, steps: int) -> float:
    """Let workers take turns, each with the parameters of its last turn."""
    server = ParameterServer(np.array([1.0]))
    own = [server.parameters.copy() for _ in range(workers)]
    for step in range(steps):
        worker = step % workers
        own[worker] = server.push(-rate * curvature * own[worker])
    return abs(float(server.parameters[0]))


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 8])
def test_limit_of_old_gradients(workers: int) -> None:
    """Just below the limit x tends to 0, just above it grows, for any curvature."""
    limit = stale_limit(workers - 1)
    for curvature in (0.25, 3.0):
        below, above = (descend(curvature, factor * limit / curvature, workers, 4000)
                        for factor in (0.97, 1.03))
        assert below < 1e-3
        assert above > 1e3


def test_limits() -> None:
    assert stale_limit(0) == pytest.approx(2)
    assert stale_limit(1) == pytest.approx(1)
    assert stale_limit(100) == pytest.approx(np.pi / 201, rel=1e-3)
    with pytest.raises(InputError, match="Delay must not be negative, not -1"):
        stale_limit(-1)


def test_refuses_other_shapes() -> None:
    server = ParameterServer(np.zeros(3, np.float32))
    for change in (np.zeros(2, np.float32), np.zeros(3)):
        with pytest.raises(InputError, match=r"A change must have shape \(3,\) and dtype float32"):
            server.push(np.ones(3, np.float32), change)
    assert not server.parameters.any()
