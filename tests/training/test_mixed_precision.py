"""Training in binary16: gradients, what vanishes, and what a small loss changes."""

from pathlib import Path

import numpy as np
import pytest

from eieio.model.compress.mixed_precision import LossScale, half_product, to_half, vanished
from eieio.model.formats.image_set import ImageSet

torch = pytest.importorskip("torch")

from eieio.training.half import (  # noqa: E402
    Counter,
    HalfLinear,
    HalfSGD,
    binary32_sums,
    tensor_core_sums,
)
from eieio.training.recipes.mixed_precision import (  # noqa: E402
    RECIPE,
    Arm,
    Scaled,
    train_arm,
)
from eieio.training.session import Session  # noqa: E402

torch.set_num_threads(1)
RNG = np.random.default_rng(0)


def images(train: int = 160, test: int = 40) -> ImageSet:
    """Make images of ten kinds that are easy to tell: a row of each is bright."""
    arrays = []
    for count in (train, test):
        y = np.arange(count) % 10
        x = RNG.integers(0, 60, (count, 28, 28), np.uint8)
        x[np.arange(count), 2 * y + 3] += 190
        arrays += [x, y]
    return ImageSet("rows", *arrays)


SETTINGS = {**RECIPE.settings, "epochs": 6, "batch": 16, "rate": 0.05, "small": (0, 24),
            "interval": 5, "golden": 2}


@pytest.mark.parametrize("product", [binary32_sums, tensor_core_sums])
def test_layer(product: object) -> None:
    """Outputs and gradients are NumPy's, but for the order of sums where it is free."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(20, 7)
    counter = Counter()
    counter.active = True
    half = HalfLinear(layer, product, counter)  # type: ignore[arg-type]
    x, g = RNG.normal(size=(5, 20)).astype(np.float32), RNG.normal(0, 1e-6, (5, 7)).astype(
        np.float32)
    given = torch.tensor(x, requires_grad=True)
    outputs = half(given)
    outputs.backward(torch.from_numpy(g))
    x16, w16, b16, g16 = map(to_half, (x, layer.weight.detach().numpy(),
                                       layer.bias.detach().numpy(), g))
    exact = product is tensor_core_sums
    raw = {"outputs": half_product(x16, w16.T, b16), "x": half_product(g16, w16, np.zeros(1)),
           "weight": half_product(g16.T, x16, np.zeros(1)), "bias": g16.sum(axis=0)}
    assert given.grad is not None
    found = {"outputs": outputs.detach(), "x": given.grad, "weight": layer.weight.grad,
             "bias": layer.bias.grad}
    for name, value in raw.items():
        tensor = found[name]
        assert tensor is not None
        if exact:
            assert np.array_equal(tensor.numpy(), to_half(value)), name
        else:
            assert tensor.numpy() == pytest.approx(to_half(value), rel=2e-3, abs=2 ** -24), name
    gradients = [g, *(raw[name] for name in ("x", "weight", "bias"))]
    assert counter.gradients == pytest.approx(sum(map(np.count_nonzero, gradients)), abs=2)
    if exact:
        assert counter.vanished == sum(map(vanished, gradients)) > 0


def test_optimizer_without_scale_is_pytorchs() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.arange(5.0)) for _ in range(2))
    optimizers = (HalfSGD([ours], 0.1, 0.9, LossScale(8.0, interval=2)),
                  torch.optim.SGD([theirs], lr=0.1, momentum=0.9))
    for _ in range(5):
        gradient = torch.randn(5)
        ours.grad, theirs.grad = gradient * optimizers[0].scale.scale, gradient
        for optimizer in optimizers:
            optimizer.step()
    assert ours.detach().numpy() == pytest.approx(theirs.detach().numpy())
    assert optimizers[0].scale.scale == 32


def test_a_step_that_is_not_finite_is_left_out() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = HalfSGD([weight], 0.1, 0.9, LossScale(8.0, interval=2))
    weight.grad = torch.tensor([1.0, torch.inf, 0.0])
    optimizer.step()
    assert weight.tolist() == [1, 1, 1]
    assert (optimizer.scale.scale, optimizer.skipped) == (4, 1)


def test_a_power_of_two_changes_nothing_in_binary32(tmp_path: Path) -> None:
    session = Session(0, tmp_path, images(), {**SETTINGS, "epochs": 2})
    plain = Arm("float32")
    first, second = (
        train_arm(session, f"{small}", lambda: Scaled(plain, Counter(), "cpu"), plain, small)
        .model.state_dict() for small in (0, 20))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_weights_without_master_are_binary16(tmp_path: Path) -> None:
    session = Session(0, tmp_path, images(), {**SETTINGS, "epochs": 1})
    arm = Arm("alone", half=True, master=False)
    model = train_arm(session, "alone", lambda: Scaled(arm, Counter(), "cpu"), arm, 0)
    for parameter in model.parameters():
        assert torch.equal(parameter, parameter.half().float())


def test_recipe(tmp_path: Path) -> None:
    """A small loss makes all gradients vanish, and a scale that adapts itself brings them back."""
    session = Session(0, tmp_path, images(), SETTINGS)
    found = {arm.name: arm.value for arm in RECIPE.measure(session)}
    assert found["float32"] <= 5
    for arm in ("float16 alone", "master weights"):
        assert found[f"{arm}, loss / 2^24"] >= 50
        assert found[f"{arm}, loss / 2^24: gradients that become 0"] > 99
    assert found["master weights, dynamic scale, loss / 2^24"] <= 5
    assert found["master weights, dynamic scale, loss / 2^24: gradients that become 0"] < 30
    assert found["torch.amp, bfloat16, loss / 2^24"] <= 5
    # Gradients are rounded to binary16, which hides most or all of what the sums differ by.
    assert found["largest difference of a gradient by a tensor core's sums"] < 1
    # What was trained is not trained again, and gives the same.
    assert {arm.name: arm.value for arm in RECIPE.measure(session)} == found
