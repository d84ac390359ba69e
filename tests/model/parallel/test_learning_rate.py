"""Learning rates of large batches."""

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.parallel.learning_rate import gradual_rate, linear_rate


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_one_large_step_is_as_many_small_ones(workers: int) -> None:
    """It is so where a gradient does not change with the weights, which is the rule's reason."""
    rng = np.random.default_rng(workers)
    gradients = rng.normal(size=(workers, 6))
    small = np.ones(6)
    for gradient in gradients:
        small -= 0.1 * gradient
    large = 1 - linear_rate(0.1, 32 * workers, 32) * gradients.mean(axis=0)
    assert large == pytest.approx(small)


def test_rate_climbs_evenly() -> None:
    rates = [gradual_rate(0.1, 1.6, step, 5) for step in range(8)]
    assert rates[0] == 0.1
    assert rates[5:] == [1.6] * 3
    assert np.diff(rates[:6]) == pytest.approx(0.3)
    assert gradual_rate(0.1, 1.6, 0, 0) == 1.6


def test_refuses_no_images() -> None:
    with pytest.raises(InputError, match="A batch must have at least one image, not 0"):
        linear_rate(0.1, 0, 32)
