"""Trained networks become graphs that compute the same."""

from collections.abc import Callable

import numpy as np
import pytest

from eieio.model.errors import InputError

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from eieio.training.networks import from_graph, lenet_5, lenet_300_100, to_graph  # noqa: E402


def normalized() -> nn.Sequential:
    """Make a network with all that may be in one."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.Conv2d(4, 6, 1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Dropout(0.5), nn.Flatten(), nn.Linear(216, 12), nn.BatchNorm1d(12), nn.ReLU(),
        nn.Linear(12, 10))
    for layer in model:
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            for tensor in (layer.running_mean, layer.weight, layer.bias):
                nn.init.normal_(tensor)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return model


@pytest.mark.parametrize("make", [lenet_5, lenet_300_100, normalized])
def test_graph_computes_the_same(make: Callable[[], nn.Sequential]) -> None:
    torch.manual_seed(0)
    model = make().eval()
    x = np.random.default_rng(0).random((20, 28, 28, 1), np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    graph = to_graph("net", model)
    assert graph.forward(x) == pytest.approx(expected, abs=1e-4)
    again = to_graph("net", from_graph(graph))
    assert np.array_equal(again.forward(x), graph.forward(x))


def test_other_layers_are_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Tanh())
    with pytest.raises(InputError, match=r"^Layer '2' must be of a kind that engines have, not "
                                         r"Tanh$"):
        to_graph("net", model)
