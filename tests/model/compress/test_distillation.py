"""Distillation: softened outputs, ensembles, the loss and its gradient."""

import numpy as np
import pytest

from eieio.model.compress.distillation import Distillation, geometric_mean, soften
from eieio.model.errors import InputError

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 4, (6, 10))
TEACHER = RNG.normal(0, 4, (6, 10))
KINDS = RNG.integers(0, 10, 6)


def test_soften() -> None:
    assert soften(np.log(np.array([[1.0, 3.0, 4.0]])), 1.0) == pytest.approx(
        np.array([[1, 3, 4]]) / 8)
    assert soften(np.log(np.array([1.0, 9.0])), 2.0) == pytest.approx([0.25, 0.75])
    # Neither large logits nor small temperatures overflow.
    assert soften(np.array([0.0, 1e4]), 1e-3).tolist() == [0, 1]


def test_hotter_is_softer() -> None:
    """The entropy rises with the temperature, up to that of kinds that are all alike."""
    entropies = [-(p * np.log(p)).sum(axis=-1) for p in (
        soften(LOGITS, temperature) for temperature in (1, 2, 5, 20, 1e6))]
    assert (np.diff(entropies, axis=0) > 0).all()
    assert entropies[-1] == pytest.approx(np.log(10))


@pytest.mark.parametrize("temperature", [1.0, 20.0])
def test_geometric_mean_is_the_mean_of_logits(temperature: float) -> None:
    members = RNG.normal(0, 4, (3, 6, 10))
    assert geometric_mean(soften(members, temperature)) == pytest.approx(
        soften(members.mean(axis=0), temperature))


def test_geometric_mean_by_its_definition() -> None:
    found = geometric_mean(np.array([[0.1, 0.9, 0.0], [0.4, 0.4, 0.2]]))
    assert found == pytest.approx(np.array([0.2, 0.6, 0.0]) / 0.8)


@pytest.mark.parametrize("temperature", [1.0, 3.0, 20.0])
@pytest.mark.parametrize("hard", [0.0, 0.3, 1.0])
def test_gradient_against_finite_differences(temperature: float, hard: float) -> None:
    method = Distillation(temperature, hard)
    targets = soften(TEACHER, temperature)
    found = method.gradient(LOGITS, KINDS, targets)
    step = 1e-5
    for place in np.ndindex(LOGITS.shape):
        nudge = np.zeros_like(LOGITS)
        nudge[place] = step
        up, down = (method.loss(LOGITS + sign * nudge, KINDS, targets) for sign in (1, -1))
        assert found[place] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-7)


def test_hot_gradients_match_logits() -> None:
    """Equation 4 of the paper, times the square of the temperature."""
    z, v = (x - x.mean(axis=-1, keepdims=True) for x in (LOGITS, TEACHER))
    hot = Distillation(1e5)
    found = hot.gradient(z, KINDS, soften(v, hot.temperature)) * len(KINDS)
    assert found == pytest.approx((z - v) / z.shape[-1], rel=1e-3, abs=1e-4)


def test_temperature_keeps_the_size_of_gradients() -> None:
    sizes = [np.abs(Distillation(t).gradient(LOGITS, KINDS, soften(TEACHER, t))).mean()
             for t in (20.0, 200.0, 2000.0)]
    assert max(sizes) < 1.5 * min(sizes)


def test_a_student_that_says_the_same_rests() -> None:
    found = Distillation(20.0).gradient(TEACHER, KINDS, soften(TEACHER, 20.0))
    assert np.abs(found).max() < 1e-15


@pytest.mark.parametrize(("temperature", "hard", "message"), [
    (0.0, 0.0, "Temperature must be positive and finite, not 0.0"),
    (float("inf"), 0.0, "Temperature must be positive and finite, not inf"),
    (1.0, 1.5, "Share of the true kinds must be from 0 to 1, not 1.5")])
def test_refuses(temperature: float, hard: float, message: str) -> None:
    with pytest.raises(InputError) as error:
        Distillation(temperature, hard)
    assert str(error.value) == message


@pytest.mark.parametrize(("probabilities", "message"), [
    (np.ones(3), r"must be of shape \(members, \.\.\., kinds\) with a member, not of shape \(3,\)"),
    (np.ones((0, 3)), "with a member"),
    (np.array([[0.5, -0.5]]), "must be finite and not negative"),
    (np.eye(2), "must leave a kind of each sample that no member rules out")])
def test_geometric_mean_refuses(probabilities: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        geometric_mean(probabilities)
