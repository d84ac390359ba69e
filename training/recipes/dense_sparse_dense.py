"""Dense-Sparse-Dense: train, prune and train, and train what was pruned again from 0."""

from copy import deepcopy

import torch
from torch import nn

from eieio.model.compress.pruning import magnitude_mask
from eieio.training.networks import mlp, weighted
from eieio.training.recipes.recipe import Measured, Recipe
from eieio.training.session import Session

__all__ = ["RECIPE"]


def _measure(session: Session) -> list[Measured]:
    settings = session.settings
    count: int = settings["images"]
    epochs: int = settings["epochs"]
    few = torch.randperm(len(session.y), generator=torch.Generator().manual_seed(session.seed))

    def phase(stage: str, start: nn.Sequential | None, rate: float, draw: str,
              density: float = 1.0) -> nn.Sequential:
        masks: dict[str, torch.Tensor] = {}
        if start is not None and density < 1:
            for name, layer in weighted(start):
                mask = magnitude_mask(layer.weight.detach().cpu().numpy(), density)
                masks[name] = torch.from_numpy(mask).to(session.device)

        def prune(model: nn.Module, step: int = 0) -> None:
            del step
            with torch.no_grad():
                for name, layer in weighted(model):
                    if name in masks:
                        layer.weight.mul_(masks[name])

        def make() -> nn.Sequential:
            model = mlp(784, 300, 100, 10) if start is None else deepcopy(start)
            prune(model)
            return model

        return session.train(stage, make, epochs=epochs, rate=rate, batch=settings["batch"],
                             draw=draw, images=few[:count], after_step=prune)

    rate: float = settings["rate"]
    dense = phase("dense", None, rate, "1")
    measured = [Measured("dense, a third of the epochs", session.error(dense))]
    control = phase("control-2", dense, rate / 10, "2")
    control = phase("control-3", control, rate / 10, "3")
    ended = session.error(control)
    measured.append(Measured("dense, all epochs", ended))
    for percent in settings["sparsities"]:
        sparse = phase(f"sparse-{percent}", dense, rate / 10, "2", 1 - percent / 100)
        again = phase(f"dense-{percent}", sparse, rate / 10, "3")
        measured.append(Measured(f"{percent} % sparse: sparse", session.error(sparse)))
        error = session.error(again)
        measured.append(Measured(f"{percent} % sparse: dense again", error))
        measured.append(Measured(f"{percent} % sparse: difference", error - ended,
                                 unit="points, to dense with all epochs"))
    return measured


RECIPE = Recipe(
    name="dense-sparse-dense", method="Dense-Sparse-Dense",
    unit="% of the test images that are wrong", measure=_measure, seeds=8, data="fashion",
    settings={"images": 5000, "epochs": 12, "batch": 64, "rate": 2e-3,
              "sparsities": (25, 50)})
