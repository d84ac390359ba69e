"""Biases in real numbers: results are those of exact ones, for every sum of products."""

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.graph.real_biases import settle_halves
from eieio.model.graph.rescale import quantize_factors, rescale
from eieio.model.graph.tensor import Tensor


def results(sums: NDArray[np.int64], bias: NDArray[np.int64], finer: int,
            factors: tuple[NDArray[np.int32], NDArray[np.int32]], ends: tuple[int, int]
            ) -> NDArray[np.int64]:
    return rescale((sums << finer) + bias, *factors, 0, *ends, single_rounding=True)


@pytest.mark.parametrize(("ends", "finer"), [((-128, 127), 7), ((0, 127), 7), ((-3, 4), 3)])
def test_every_sum(ends: tuple[int, int], finer: int) -> None:
    """Nearest parts of a step leave some sums wrong; of these, few stay."""
    channels, bound = 64, 1 << 13
    draw = np.random.default_rng(7)
    output = Tensor("y", (channels,), 0.037, 0)
    unit = 0.037 / draw.uniform(40, 90, channels)
    bias = draw.normal(0, 0.3, channels)
    sums = np.arange(-bound, bound)[:, None]
    exact = (sums * unit + bias) / output.scale
    wanted = np.clip(np.trunc(exact + np.copysign(0.5, exact)), *ends)
    nearest = np.rint(bias / unit * 2**finer).astype(np.int64)
    before = quantize_factors(unit / output.scale / 2**finer)
    settled, after = settle_halves(unit, bias, output, ends, nearest, finer, before,
                                   np.full(channels, bound))
    wrong = [np.count_nonzero(results(sums, steps, finer, factors, ends) != wanted)
             for steps, factors in ((nearest, before), (settled, after))]
    assert wrong[0] > 0
    assert wrong[1] <= wrong[0] // 4
    assert np.abs(settled - nearest).max() <= 8


def test_right_ones_stay() -> None:
    """What gives exact results is not changed; nor what has no parts of a step."""
    output = Tensor("y", (2,), 1.0, 3)
    unit, bias = np.array([1 / 64, 1 / 64]), np.array([0.25, -0.5])
    for finer in (0, 7):
        steps = np.rint(bias / unit * 2**finer).astype(np.int64)
        factors = quantize_factors(unit / 2**finer)
        settled, after = settle_halves(unit, bias, output, (-128, 127), steps, finer, factors,
                                       np.full(2, 1 << 14))
        assert settled.tolist() == steps.tolist()
        assert all(np.array_equal(*pair) for pair in zip(after, factors, strict=True))
