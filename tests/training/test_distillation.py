"""The student's loss is that of NumPy's part, and images are moved as they should be."""

from pathlib import Path

import numpy as np
import pytest

from eieio.model.compress.distillation import Distillation, geometric_mean, soften
from eieio.model.formats.image_set import ImageSet

torch = pytest.importorskip("torch")

from eieio.training.recipes.distillation import (  # noqa: E402
    RECIPE,
    jitter,
    soft_targets,
    student_loss,
)
from eieio.training.session import Session  # noqa: E402

RNG = np.random.default_rng(0)
torch.set_num_threads(1)


def images(train: int = 120, test: int = 40) -> ImageSet:
    """Make images of ten kinds that are easy to tell: a row of each is bright."""
    arrays = []
    for count in (train, test):
        y = np.arange(count) % 10
        x = RNG.integers(0, 60, (count, 28, 28), np.uint8)
        x[np.arange(count), 2 * y + 3] += 190
        arrays += [x, y]
    return ImageSet("rows", *arrays)


@pytest.mark.parametrize("hard", [0.0, 0.4, 1.0])
def test_loss_and_gradient(hard: float) -> None:
    method = Distillation(7.0, hard)
    teacher = soften(RNG.normal(0, 3, (9, 10)), method.temperature)
    logits, kinds = RNG.normal(0, 3, (4, 10)), RNG.integers(0, 10, 4)
    places = np.array([5, 0, 8, 3])
    z = torch.tensor(logits, requires_grad=True)
    loss = student_loss(method, torch.from_numpy(teacher))(
        z, torch.from_numpy(kinds), torch.from_numpy(places))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(method.loss(logits, kinds, teacher[places]))
    assert z.grad is not None
    assert z.grad.numpy() == pytest.approx(method.gradient(logits, kinds, teacher[places]))


def test_jitter_moves_within_bounds() -> None:
    torch.manual_seed(0)
    x = torch.zeros(400, 1, 28, 28)
    x[:, 0, 10, 20] = 1
    moved = jitter(x)
    assert moved.shape == x.shape
    _, _, rows, columns = moved.nonzero(as_tuple=True)
    assert {*zip(rows.tolist(), columns.tolist(), strict=True)} == {
        (row, column) for row in range(8, 13) for column in range(18, 23)}
    assert torch.equal(jitter(torch.ones(50, 1, 28, 28)).amax((1, 2, 3)), torch.ones(50))


def test_targets_of_two_teachers(tmp_path: Path) -> None:
    session = Session(0, tmp_path, images(), {})
    torch.manual_seed(0)
    teachers = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
                for _ in range(2)]
    found = soft_targets(session, teachers, session.x, 3.0)
    expected = geometric_mean(np.stack([
        soften(session.outputs(teacher, session.x).numpy(), 3.0) for teacher in teachers]))
    assert found.numpy() == pytest.approx(expected, abs=1e-6)


def test_recipe(tmp_path: Path) -> None:
    """Without any 3 all 3s are wrong; raised far enough, nothing else is said."""
    session = Session(0, tmp_path, images(), {
        **RECIPE.settings, "teachers": 2, "teacher": 32, "student": 16, "batch": 20,
        "teacher_epochs": 6, "student_epochs": 6, "rate": 0.02, "hard": 0.5,
        "raises": (0.0, 5.0, 1000.0)})
    found = {arm.name: arm.value for arm in RECIPE.measure(session)}
    assert found["distilled, T = 20"] <= 4
    assert found["distilled without any 3: 3s among these"] >= 3
    assert found["distilled without any 3, its bias + 1000"] == 36
    best = found["distilled without any 3, its bias raised as is best for the training images"]
    assert best <= found["distilled without any 3"]
    assert found["that raise"] < 1000
    assert "2 teachers, geometric mean" in found
