"""Pruning and weight sharing while a network trains."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.compress.weight_sharing import centroid_gradient

torch = pytest.importorskip("torch")

from eieio.training import compression  # noqa: E402
from eieio.training.trainer import Trainer  # noqa: E402

DENSITIES = {"conv": 0.5, "fc": 0.25}
WIDTHS = {"conv": 3, "fc": 2}


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    made = torch.nn.Sequential()
    made.add_module("conv", torch.nn.Conv2d(1, 4, 3))
    made.add_module("relu", torch.nn.ReLU())
    made.add_module("flatten", torch.nn.Flatten())
    made.add_module("fc", torch.nn.Linear(64, 2))
    return made.to(memory_format=torch.channels_last)


@pytest.fixture
def trainer() -> Trainer:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(60) % 2
    images = torch.rand((60, 1, 6, 6), generator=generator) + labels[:, None, None, None]
    return Trainer(images, labels, 10, lambda batch: batch, generator)


def correct(model: Any, trainer: Trainer) -> float:
    with torch.no_grad():
        return float((model(trainer.images).argmax(1) == trainer.labels).float().mean())


def test_prune_and_share(model: Any, trainer: Trainer) -> None:
    trainer.fit(model, epochs=5, rate=0.01)
    compression.prune(trainer, model, DENSITIES, epochs=10, rate=0.01, interval=3)
    weights = compression.weights_of(model)
    assert [*weights] == ["conv", "fc"]
    places = {name: weight != 0 for name, weight in weights.items()}
    assert {name: float(place.float().mean()) for name, place in places.items()} == DENSITIES
    compression.train_shared(trainer, model, WIDTHS, epochs=5, rate=0.01)
    for name, weight in weights.items():
        assert torch.equal(weight != 0, places[name])
        assert 1 < len(weight[places[name]].unique()) <= 2 ** WIDTHS[name] - 1
    assert correct(model, trainer) == 1


def test_shared_weights_move_as_autograd_says(
        model: Any, trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A codebook's gradient is that of PyTorch, of weights that are taken from the codebook."""
    with torch.no_grad():
        model.fc.weight[:, ::3] = 0
    seen = []

    def gradient(codes: NDArray[np.uint8], weights: NDArray[np.float32], width: int
                 ) -> NDArray[np.float32]:
        seen.append((codes, centroid_gradient(codes, weights, width)))
        return seen[-1][1]

    monkeypatch.setattr("eieio.training.compression.centroid_gradient", gradient)
    compression.train_shared(trainer, model, WIDTHS, epochs=0, rate=0.01)
    one = Trainer(trainer.images, trainer.labels, 60, trainer.distort, trainer.generator)
    parameters = dict(model.named_parameters())
    books = {}
    for name, weight in compression.weights_of(model).items():
        values, index = weight.detach().unique(return_inverse=True)
        books[name] = values.requires_grad_(), index
    outputs = torch.func.functional_call(model, {
        f"{name}.weight": book[index] for name, (book, index) in books.items()} | {
        name: value for name, value in parameters.items() if name.endswith("bias")},
        (one.images,))
    torch.nn.functional.cross_entropy(outputs, one.labels).backward()
    compression.train_shared(one, model, WIDTHS, epochs=1, rate=1e-6)
    for (codes, found), (book, index) in zip(seen, books.values(), strict=True):
        assert book.grad is not None
        for code in range(1, codes.max() + 1):
            expected = book.grad[index.numpy()[codes == code][0]]
            assert found[code] == pytest.approx(float(expected), rel=1e-4, abs=1e-6)
        assert found[0] == 0
