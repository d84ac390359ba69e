"""Distillation: Hinton's two experiments on MNIST, a small network that learns from a large one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from eieio.model.compress.distillation import Distillation, geometric_mean, soften
from eieio.training.networks import mlp
from eieio.training.recipes.recipe import Measured, Recipe
from eieio.training.session import Session

__all__ = ["RECIPE", "jitter", "soft_targets", "student_loss"]

# The kind that the second experiment leaves out, and by how much the paper raises its bias.
_LEFT_OUT, _PAPER_RAISE = 3, 3.5


def jitter(images: Tensor, pixels: int = 2) -> Tensor:
    """Move each image by up to so many pixels in both directions; what comes in is 0."""
    count, _, height, width = images.shape
    padded = functional.pad(images[:, 0], (pixels,) * 4)
    down, across = torch.randint(0, 2 * pixels + 1, (2, count, 1, 1)).to(images.device)
    rows = down + torch.arange(height, device=images.device)[:, None]
    columns = across + torch.arange(width, device=images.device)
    return padded[torch.arange(count, device=images.device)[:, None, None], rows, columns][:, None]


def soft_targets(session: Session, teachers: Sequence[nn.Module], x: Tensor, temperature: float
                 ) -> Tensor:
    """Return what teachers say together at a temperature, for each image."""
    outputs = torch.stack([session.outputs(teacher, x) for teacher in teachers])
    found = geometric_mean(soften(outputs.cpu().numpy(), temperature))
    return torch.from_numpy(found).to(x.device, torch.float32)


def student_loss(method: Distillation, targets: Tensor
                 ) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the loss of :class:`Distillation` with the soft targets of all images."""
    def loss(outputs: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        soft = functional.cross_entropy(outputs / method.temperature, targets[indices])
        true = functional.cross_entropy(outputs, labels)
        return (1 - method.hard) * method.temperature ** 2 * soft + method.hard * true

    return loss


def _measure(session: Session) -> list[Measured]:
    settings = session.settings
    big, small = ((784, settings[who], settings[who], 10) for who in ("teacher", "student"))

    def teach(number: int) -> nn.Module:
        return session.train(
            f"teacher-{number}", lambda: mlp(*big, dropout=0.5, input_dropout=0.2),
            epochs=settings["teacher_epochs"], rate=settings["rate"], batch=settings["batch"],
            distort=jitter, draw=f"teacher {number}")

    teachers = [teach(number) for number in range(settings["teachers"])]
    method = Distillation(settings["temperature"], settings["hard"])
    targets = soft_targets(session, teachers, session.x, method.temperature)

    def learn(stage: str, places: Tensor | None,
              loss: Callable[[Tensor, Tensor, Tensor], Tensor] | None) -> nn.Sequential:
        return session.train(
            stage, lambda: mlp(*small), epochs=settings["student_epochs"], rate=settings["rate"],
            batch=settings["batch"], images=places, **({} if loss is None else {"loss": loss}))

    alone = learn("student", None, None)
    distilled = learn("distilled", None, student_loss(method, targets))
    measured = [Measured("teacher", session.wrong(teachers[0]))]
    if len(teachers) > 1:
        said = soft_targets(session, teachers, session.x_test, 1.0).argmax(1)
        measured.append(Measured(f"{len(teachers)} teachers, geometric mean",
                                 int((said != session.y_test).sum())))
    hot = f"distilled, T = {method.temperature:g}"
    measured += [Measured("student alone", session.wrong(alone)),
                 Measured(hot, session.wrong(distilled))]
    known = (session.y != _LEFT_OUT).nonzero()[:, 0]
    blind = learn("without-3", known, student_loss(method, targets[known]))
    return measured + _raised(session, blind)


def _raised(session: Session, model: nn.Sequential) -> list[Measured]:
    """Measure a network that has never seen a 3, with its bias of the 3 raised more and more."""
    outputs, seen = (session.outputs(model, x) for x in (session.x_test, session.x))
    ours = session.y_test == _LEFT_OUT

    def wrong(found: Tensor, labels: Tensor, raised: float) -> Tensor:
        lifted = found.clone()
        lifted[:, _LEFT_OUT] += raised
        return lifted.argmax(1) != labels

    def arms(name: str, raised: float) -> list[Measured]:
        mistakes = wrong(outputs, session.y_test, raised)
        return [Measured(name, int(mistakes.sum())),
                Measured(f"{name}: 3s among these", int(mistakes[ours].sum()), unit="images")]

    raises: tuple[float, ...] = session.settings["raises"]
    best = min(raises, key=lambda raised: int(wrong(seen, session.y, raised).sum()))
    name = "distilled without any 3"
    return [*arms(name, 0.0), *arms(f"{name}, its bias + {_PAPER_RAISE}", _PAPER_RAISE),
            *arms(f"{name}, its bias raised as is best for the training images", best),
            Measured("that raise", best, unit="logits"),
            *(Measured(f"{name}, its bias + {raised:g}",
                       int(wrong(outputs, session.y_test, raised).sum()), name, raised)
              for raised in raises if raised != _PAPER_RAISE)]


RECIPE = Recipe(
    name="distillation", method="Distillation", unit="test images that are wrong",
    measure=_measure, seeds=3,
    settings={"teachers": 1, "teacher": 1200, "student": 800, "temperature": 20.0, "hard": 0.1,
              "teacher_epochs": 15, "student_epochs": 15, "rate": 2e-3, "batch": 256,
              "raises": (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)},
    axis="raise of the bias of the 3")
