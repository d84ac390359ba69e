"""Binary and ternary weights: thresholds, scales, gradients and codes."""

import itertools

import numpy as np
import pytest

from eieio.model.compress.ternary import (
    binary_probability,
    binary_scale,
    binary_signs,
    optimal_ternary,
    sign_codes,
    ternary_scale,
    ternary_signs,
    ttq_gradients,
    ttq_threshold,
    twn_threshold,
)
from eieio.model.errors import InputError

RNG = np.random.default_rng(0)


def missed(weight: np.ndarray, signs: np.ndarray, scale: float) -> float:
    return float(np.sum((weight - scale * signs) ** 2))


@pytest.mark.parametrize("seed", range(10))
def test_optimum_is_that_of_all_signs(seed: int) -> None:
    """Brute force over all signs, each with the scale of least squares."""
    weight = np.random.default_rng(seed).normal(size=6)
    least = min(missed(weight, signs, float(weight @ signs / max(signs @ signs, 1)))
                for signs in map(np.array, itertools.product((-1, 0, 1), repeat=6)))
    assert missed(weight, *optimal_ternary(weight)) == pytest.approx(least)


@pytest.mark.parametrize(("draw", "ratio"), [("normal", 0.767), ("uniform", 2 / 3)])
def test_twn_is_near_the_optimum(draw: str, ratio: float) -> None:
    """TWN's closed form: the best threshold, by the mean magnitude, is about 0.7."""
    weight = RNG.normal(size=100_000) if draw == "normal" else RNG.uniform(-1, 1, 100_000)
    signs, scale = optimal_ternary(weight)
    best = float(np.min(np.abs(weight[signs != 0])))
    assert best / np.mean(np.abs(weight)) == pytest.approx(ratio, abs=0.02)
    threshold = twn_threshold(weight)
    assert threshold == pytest.approx(0.7 * np.mean(np.abs(weight)))
    ours = ternary_signs(weight, threshold)
    assert missed(weight, ours, ternary_scale(weight, ours)) <= 1.01 * missed(weight, signs, scale)


def test_scale_is_that_of_least_squares() -> None:
    weight = RNG.normal(size=500)
    signs = ternary_signs(weight, 0.4)
    scale = ternary_scale(weight, signs)
    assert scale == pytest.approx(float(weight @ signs / np.count_nonzero(signs)))
    assert ternary_scale(weight, np.zeros(500, np.int8)) == 0


def test_signs() -> None:
    weight = np.array([[-1, -0.5, -0.1], [0, 0.5, 2]], np.float32)
    assert ternary_signs(weight, 0.5).tolist() == [[-1, 0, 0], [0, 0, 1]]
    assert binary_signs(weight).tolist() == [[-1, -1, -1], [1, 1, 1]]
    assert ttq_threshold(weight) == pytest.approx(0.1)


def test_drawn_signs_have_the_weight_as_their_mean() -> None:
    scale = binary_scale(100, 50)
    assert scale == pytest.approx(0.2)
    weight = np.array([-0.3, -0.2, -0.1, 0, 0.15, 0.2, 1])
    probability = binary_probability(weight, scale)
    assert scale * (2 * probability - 1) == pytest.approx(np.clip(weight, -scale, scale))


def test_ttq_gradients_are_those_of_finite_differences() -> None:
    """Of a loss of the ternary weights, by either scale."""
    weight, target = RNG.normal(size=40), RNG.normal(size=40)
    signs = ternary_signs(weight, ttq_threshold(weight))

    def ternary(positive: float, negative: float) -> np.ndarray:
        return np.where(signs > 0, positive, np.where(signs < 0, -negative, 0))

    def loss(positive: float, negative: float) -> float:
        return float(np.sum(np.sin(ternary(positive, negative) - target)))

    gradient = np.cos(ternary(0.8, 1.3) - target)
    of_positive, of_negative, of_weight = ttq_gradients(signs, gradient, 0.8, 1.3)
    step = 1e-6
    assert of_positive == pytest.approx(
        (loss(0.8 + step, 1.3) - loss(0.8 - step, 1.3)) / (2 * step), rel=1e-6)
    assert of_negative == pytest.approx(
        (loss(0.8, 1.3 + step) - loss(0.8, 1.3 - step)) / (2 * step), rel=1e-6)
    for sign, factor in ((1, 0.8), (0, 1), (-1, 1.3)):
        assert of_weight[signs == sign] == pytest.approx(factor * gradient[signs == sign])


def test_codes_decode_to_the_weights() -> None:
    signs = RNG.integers(-1, 2, (5, 7)).astype(np.int8)
    codes = sign_codes(signs, 0.5, 0.75)
    codes.check("here")
    assert codes.code_width == 2
    assert np.array_equal(codes.weight, np.choose(signs + 1, (-0.75, 0, 0.5)).astype(np.float32))


@pytest.mark.parametrize("weight", [np.zeros(0), np.array([np.inf, 1])])
def test_refuses(weight: np.ndarray) -> None:
    for function in (twn_threshold, ttq_threshold, optimal_ternary):
        with pytest.raises(InputError, match=r"^Weights must be some, and finite$"):
            function(weight)
