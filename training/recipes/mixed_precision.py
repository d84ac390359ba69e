"""Mixed precision: a LeNet-300-100 trained in binary16, by a loss that is smaller and smaller."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from eieio.model.compress.mixed_precision import LossScale
from eieio.training.half import (
    Counter,
    HalfSGD,
    Product,
    binary32_sums,
    make_half,
    tensor_core_sums,
)
from eieio.training.networks import lenet_300_100
from eieio.training.recipes.recipe import Measured, Recipe
from eieio.training.session import Session

__all__ = ["RECIPE", "Arm", "Scaled", "train_arm"]

# Batches whose gradients are counted.
_COUNTED = 10

_UNSCALED = LossScale(1.0, interval=0)


@dataclass(frozen=True)
class Arm:
    """How to train.

    Attributes
    ----------
    name : :class:`str`
        Name of the arm.
    half : :class:`bool`
        Whether layers are binary16.
    master : :class:`bool`
        Whether the weights that are trained are binary32.
    scale : LossScale
        The first scale of the loss.
    automatic : :class:`torch.dtype` or None
        PyTorch's own mixed precision in this format, instead.
    """

    name: str
    half: bool = False
    master: bool = True
    scale: LossScale = _UNSCALED
    automatic: torch.dtype | None = None


class Scaled(nn.Module):
    """A network, and what the scale of its loss has become."""

    scale: Tensor
    skipped: Tensor

    def __init__(self, arm: Arm, counter: Counter, device: str,
                 product: Product = binary32_sums) -> None:
        super().__init__()
        self.model, self.arm, self.device = lenet_300_100(), arm, torch.device(device).type
        if arm.half:
            make_half(self.model, product, counter)
        if not arm.master:
            for parameter in self.model.parameters():
                parameter.data = parameter.data.half().float()
        self.register_buffer("scale", torch.tensor(arm.scale.scale, dtype=torch.float64))
        self.register_buffer("skipped", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs."""
        if self.arm.automatic is None:
            return self.model(x)
        with torch.autocast(self.device, dtype=self.arm.automatic):
            return self.model(x).float()


def train_arm(session: Session, stage: str, make: Callable[[], Scaled], arm: Arm, small: int
              ) -> Scaled:
    """Train by a loss times ``2**-small``; the learning rate is ``2**small`` times as large.

    Both are powers of two. So binary32 gives the same weights, bit for bit, whatever the loss.
    """
    settings = session.settings
    made: list[HalfSGD] = []

    def optimizer(parameters: Sequence[Tensor], rate: float) -> HalfSGD:
        made.append(HalfSGD(parameters, rate, settings["momentum"], arm.scale,
                            master=arm.master))
        return made[0]

    def loss(outputs: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        del indices
        return functional.cross_entropy(outputs, labels) * (made[0].scale.scale * 2.0 ** -small)

    def keep(model: Scaled, step: int) -> None:
        del step
        model.scale.fill_(made[0].scale.scale)
        model.skipped.fill_(made[0].skipped)

    return session.train(stage, make, epochs=settings["epochs"],
                         rate=settings["rate"] * 2.0 ** small, batch=settings["batch"],
                         optimizer=optimizer, loss=loss, after_step=keep)


def _gradients(session: Session, model: Scaled, factor: float, places: slice) -> list[Tensor]:
    """Compute the weights' gradients of the loss of some images, times a factor."""
    model.zero_grad()
    outputs = model(session.x[places])
    (functional.cross_entropy(outputs, session.y[places]) * factor).backward()
    return [parameter.grad.clone() for parameter in model.parameters()
            if parameter.grad is not None]


def _vanished(session: Session, model: Scaled, counter: Counter, small: int) -> float:
    """Return how many of the gradients that are not 0 become 0, in percent."""
    counter.active = True
    counter.gradients = counter.vanished = 0
    batch, factor = session.settings["batch"], float(model.scale) * 2.0 ** -small
    for first in range(0, min(_COUNTED * batch, len(session.y)), batch):
        _gradients(session, model, factor, slice(first, first + batch))
    counter.active = False
    return 100 * counter.vanished / max(counter.gradients, 1)


def _tensor_core(session: Session, model: Scaled) -> float:
    """Return the largest difference that a tensor core's sums make, in percent of a gradient.

    It is measured by each parameter's largest gradient, so that those near 0 do not count.
    """
    other = Scaled(model.arm, Counter(), session.device, tensor_core_sums).to(session.device)
    other.load_state_dict(model.state_dict())
    settings = session.settings
    ours, theirs = (
        _gradients(session, network, settings["fixed_scale"], slice(settings["golden"]))
        for network in (model, other))
    return max(100 * float((a - b).abs().max() / a.abs().max().clamp(min=2.0 ** -24))
               for a, b in zip(ours, theirs, strict=True))


def _measure(session: Session) -> list[Measured]:
    settings = session.settings
    plain = Arm("float32")
    model = train_arm(session, "float32", lambda: Scaled(plain, Counter(), session.device), plain,
                      0)
    measured = [Measured("float32", session.error(model))]
    dynamic = Arm("master weights, dynamic scale", half=True,
                  scale=LossScale(settings["first_scale"], settings["interval"]))
    arms = (Arm("float16 alone", half=True, master=False), Arm("master weights", half=True),
            Arm("master weights, fixed scale", half=True,
                scale=LossScale(settings["fixed_scale"], interval=0)), dynamic)
    counts: list[Measured] = []
    core = 0.0
    for arm in arms:
        for small in settings["small"]:
            counter = Counter()
            stage = f"{arm.name.replace(', ', '-').replace(' ', '-')}-{small}"
            model = train_arm(session, stage, lambda arm=arm, counter=counter: Scaled(
                arm, counter, session.device), arm, small)
            name = f"{arm.name}, loss / 2^{small}"
            measured.append(Measured(name, session.error(model), arm.name, small))
            counts += [
                Measured(f"{name}: gradients that become 0",
                         _vanished(session, model, counter, small), unit="%"),
                Measured(f"{name}: steps left out", int(model.skipped), unit="steps")]
            if arm is dynamic and small == settings["small"][0]:
                core = _tensor_core(session, model)
    formats = {"bfloat16": torch.bfloat16}
    if torch.device(session.device).type == "cuda":
        formats["float16"] = torch.float16
    for label, dtype in formats.items():
        arm = Arm(f"torch.amp, {label}", automatic=dtype,
                  scale=_UNSCALED if label == "bfloat16" else dynamic.scale)
        for small in settings["small"]:
            model = train_arm(session, f"automatic-{label}-{small}", lambda arm=arm: Scaled(
                arm, Counter(), session.device), arm, small)
            measured.append(Measured(f"{arm.name}, loss / 2^{small}", session.error(model),
                                     arm.name, small))
    return [*measured, *counts, Measured(
        "largest difference of a gradient by a tensor core's sums", core,
        unit="% of the largest gradient")]


RECIPE = Recipe(
    name="mixed-precision", method="Mixed precision", unit="% of the test images that are wrong",
    measure=_measure,
    settings={"epochs": 2, "rate": 0.1, "momentum": 0.9, "batch": 128, "small": (0, 8, 16, 20),
              "fixed_scale": 1024.0, "first_scale": 65536.0, "interval": 200, "golden": 8},
    axis="bits that the loss is smaller by")
