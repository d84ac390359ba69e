"""Dense-Sparse-Dense training on few images, beside dense trainings of as many epochs."""

from collections.abc import Callable

import torch
from torch import nn

from eieio.model.compress.dense_sparse_dense import Phase, dsd_masks, dsd_phases
from eieio.training.networks import lenet_5, lenet_300_100, weighted
from eieio.training.recipes.recipe import Measured, Recipe
from eieio.training.session import Session

__all__ = ["RECIPE", "few_images", "train_phase"]

_NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    "lenet-300-100": lenet_300_100, "lenet-5": lenet_5}


def few_images(session: Session) -> torch.Tensor:
    """Choose some of the training images, other ones for each seed."""
    generator = torch.Generator().manual_seed(session.seed)
    order = torch.randperm(len(session.y), generator=generator)
    return order[:session.settings["few"]].to(session.device)


def train_phase(session: Session, stage: str, phase: Phase, before: nn.Sequential | None,
                make: Callable[[], nn.Sequential], images: torch.Tensor) -> nn.Sequential:
    """Train a phase from where the one before it ended, with the smallest weights held at 0."""
    masks: dict[str, torch.Tensor] = {}
    if before is not None and phase.sparsity:
        found = dsd_masks({name: layer.weight.detach().cpu().numpy()
                           for name, layer in weighted(before)}, phase.sparsity)
        masks = {name: torch.from_numpy(mask).to(session.device) for name, mask in found.items()}

    def hold(model: nn.Module) -> None:
        with torch.no_grad():
            for name, layer in weighted(model):
                if name in masks:
                    layer.weight.mul_(masks[name])

    def begin() -> nn.Sequential:
        model = make().to(session.device)
        if before is not None:
            model.load_state_dict(before.state_dict())
        hold(model)
        return model

    return session.train(stage, begin, epochs=phase.epochs, rate=phase.rate, images=images,
                         batch=session.settings["batch"], draw=phase.name,
                         after_step=lambda model, step: hold(model))


def _measure(session: Session) -> list[Measured]:
    settings = session.settings
    make = _NETWORKS[settings["network"]]
    images = few_images(session)
    sparsities: tuple[float, ...] = settings["sparsities"]
    arms = [("control", dsd_phases(settings["epochs"], settings["more_epochs"], settings["rate"],
                                   0.0, slower=settings["slower"])),
            *((f"{sparsity:.0%}", dsd_phases(
                settings["epochs"], settings["more_epochs"], settings["rate"], sparsity,
                slower=settings["slower"])) for sparsity in sparsities)]
    dense = train_phase(session, "dense", arms[0][1][0], None, make, images)
    measured = [Measured("dense, first phase alone", session.error(dense))]
    last: dict[str, float] = {}
    for name, (_, second, third) in arms:
        label = name.rstrip("%")
        sparse = train_phase(session, f"sparse-{label}", second, dense, make, images)
        model = train_phase(session, f"dense-again-{label}", third, sparse, make, images)
        last[name] = session.error(model)
        if name == "control":
            measured.append(Measured("control: dense in all three", last[name]))
        else:
            measured += [Measured(f"sparse, {name} off", session.error(sparse)),
                         Measured(f"DSD, {name} off", last[name])]
    epochs = settings["epochs"] + 2 * settings["more_epochs"]
    once = train_phase(session, "at-once", Phase("dense", epochs, settings["rate"]), None, make,
                       images)
    measured.append(Measured("control: dense, all epochs in one phase", session.error(once)))
    return measured + [
        Measured(f"DSD, {name} off, minus the first control", error - last["control"],
                 unit="points") for name, error in last.items() if name != "control"]


RECIPE = Recipe(
    name="dense-sparse-dense", method="Dense-Sparse-Dense training",
    unit="% of the test images that are wrong", measure=_measure, seeds=10,
    settings={"few": 1000, "network": "lenet-300-100", "sparsities": (0.25, 0.3, 0.5),
              "epochs": 40, "more_epochs": 20, "rate": 2e-3, "slower": 0.1, "batch": 50})
