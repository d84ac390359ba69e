"""Layers of coded weights: PyTorch's weights and gradients are those of NumPy."""

import numpy as np
import pytest

from eieio.model.compress.ternary import ternary_signs, ttq_gradients, ttq_threshold
from eieio.model.graph.chain import as_chain

torch = pytest.importorskip("torch")

from eieio.training.coded import CodedLinear, Kind, coded_graph  # noqa: E402


def layer(kind: Kind) -> CodedLinear:
    torch.manual_seed(0)
    made = CodedLinear(30, 20, kind)
    if kind == "ttq":
        with torch.no_grad():
            made.positive.fill_(0.3)
            made.negative.fill_(0.7)
    return made.eval()


@pytest.mark.parametrize("kind", ["binary", "stochastic", "twn", "ttq"])
def test_codes_are_what_the_layer_computes_with(kind: Kind) -> None:
    made = layer(kind)
    found = made.codes()
    found.check(kind)
    assert found.weight == pytest.approx(made.coded().detach().numpy(), rel=1e-5)
    assert len(np.unique(found.codes)) == (3 if kind in {"twn", "ttq"} else 2)


@pytest.mark.parametrize("kind", ["binary", "stochastic", "twn", "ttq"])
def test_gradients(kind: Kind) -> None:
    made = layer(kind)
    gradient = torch.randn(20, 30, generator=torch.Generator().manual_seed(1))
    (made.coded() * gradient).sum().backward()
    assert made.weight.grad is not None
    if kind != "ttq":
        assert torch.equal(made.weight.grad, gradient)
        return
    weight = made.weight.detach().numpy()
    of_positive, of_negative, of_weight = ttq_gradients(
        ternary_signs(weight, ttq_threshold(weight)), gradient.numpy(), 0.3, 0.7)
    assert made.weight.grad.numpy() == pytest.approx(of_weight, rel=1e-6)
    for scale, expected in ((made.positive, of_positive), (made.negative, of_negative)):
        assert scale.grad is not None
        assert scale.grad.item() == pytest.approx(expected, rel=1e-5)


def test_drawn_signs_have_the_weights_as_their_mean() -> None:
    made = layer("stochastic").train()
    torch.manual_seed(2)
    mean = torch.stack([made.coded().detach() for _ in range(4000)]).mean(0)
    # Four standard deviations of a mean of 4,000 signs.
    assert (mean - made.weight).abs().max() < 4.5 * made.scale / 4000 ** 0.5


def test_binary_weights_stay_where_signs_change() -> None:
    made = layer("binary")
    with torch.no_grad():
        made.weight.mul_(100)
    made.clip()
    assert made.weight.abs().max().item() == pytest.approx(made.scale)


def test_graph_has_codes_of_two_bits() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), CodedLinear(784, 12, "twn"), torch.nn.ReLU(),
                                CodedLinear(12, 10, "twn")).eval()
    graph = as_chain(coded_graph("net", model))
    assert [item.code_width for item in graph.weighted] == [2, 2]
    x = np.random.default_rng(0).random((5, 784), np.float32)
    with torch.no_grad():
        assert graph.forward(x) == pytest.approx(
            model(torch.from_numpy(x)).numpy(), abs=1e-4)
