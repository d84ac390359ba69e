"""What a recipe works with: images, one seed, and stages of training that are kept."""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from eieio.model.formats import compressed
from eieio.model.formats.image_set import PIXEL, ImageSet
from eieio.model.graph.float_graph import FloatGraph
from eieio.training.checkpoint import Keeper, load_state, save_state
from eieio.training.recipes.recipe import Measured, Setting, read_arms, write_arms
from eieio.training.trainer import Trainer, adam, cross_entropy, warm_cosine

__all__ = ["Session"]

_Model = TypeVar("_Model", bound=torch.nn.Module)

# Images computed together where nothing is trained.
_BATCH = 1000


class Session:
    """The work of one seed of a recipe.

    Parameters
    ----------
    seed : :class:`int`
        Source of all randomness.
    folder : :class:`pathlib.Path`
        Where stages and checkpoints are kept.
    images : ImageSet
        What to train and test on.
    settings : dict
        The recipe's settings.
    device : :class:`str`
        Where PyTorch computes, such as ``"cpu"`` or ``"cuda"``.
    interval : :class:`float`
        Seconds between two checkpoints.
    report : callable
        Called with the name of a stage, the steps done and all steps.

    Attributes
    ----------
    x, y : tensors of shape (images, 1, 28, 28) and (images,)
        Images to train on, in float32 from 0 to 1, and their kinds.
    x_test, y_test : tensors
        The same to test on.
    """

    def __init__(self, seed: int, folder: Path, images: ImageSet, settings: dict[str, Setting], *,
                 device: str = "cpu", interval: float = 30.0,
                 report: Callable[[str, int, int], None] = lambda stage, step, last: None) -> None:
        self.seed = seed
        self.folder = folder
        self.images = images
        self.settings: dict[str, Any] = settings
        self.device = device
        self.interval = interval
        self.report = report
        self.x, self.x_test = (
            (torch.from_numpy(x)[:, None].to(device, torch.float32) * PIXEL)
            for x in (images.x_train, images.x_test))
        self.y, self.y_test = (torch.from_numpy(y).to(device)
                               for y in (images.y_train, images.y_test))

    def train(self, stage: str, make: Callable[[], _Model], *, epochs: int, rate: float,
              batch: int = 128, draw: str = "", images: Sequence[int] | Tensor | None = None,
              distort: Callable[[Tensor], Tensor] = lambda images: images,
              after_step: Callable[[_Model, int], None] = lambda model, step: None,
              optimizer: Callable[[Sequence[Tensor], float], torch.optim.Optimizer] = adam,
              schedule: Callable[[float, int, int], float] = warm_cosine,
              loss: Callable[[Tensor, Tensor, Tensor], Tensor] = cross_entropy) -> _Model:
        """Train a network, or go on training it, or take what was trained before.

        Parameters
        ----------
        stage : :class:`str`
            Name of the stage, its own in the recipe.
        make : callable
            Makes the network to begin with. It is random by the seed: all stages with the same
            `draw` begin with the same weights and see the same images in the same order, so that
            what differs between them is the method.
        epochs, rate, optimizer, schedule, loss
            See :meth:`eieio.training.trainer.Trainer.fit`.
        batch, distort
            See :class:`eieio.training.trainer.Trainer`.
        draw : :class:`str`
            Other randomness, for stages that are to differ.
        images : integer sequence or tensor, optional
            Places of the images to train on. The default is all. The loss is called with places
            among these.
        after_step : callable
            Called with the network and the number of batches done, after each.

        Returns
        -------
        :class:`torch.nn.Module`
            The trained network, ready to be evaluated.
        """
        seed = zlib.crc32(f"{self.seed} {draw}".encode())
        torch.manual_seed(seed)
        model = make().to(self.device)
        done = self.folder / f"{stage}.pt"
        if done.exists():
            model.load_state_dict(load_state(done))
        else:
            keeper = Keeper(self.folder / f"{stage}.checkpoint", self.interval,
                            lambda step, last: self.report(stage, step, last))
            x, y = (self.x, self.y) if images is None else (self.x[images], self.y[images])
            trainer = Trainer(x, y, batch, distort, torch.Generator().manual_seed(seed + 1))
            trainer.fit(model, epochs=epochs, rate=rate, optimizer=optimizer, schedule=schedule,
                        loss=loss, after_step=lambda step: after_step(model, step), keeper=keeper)
            save_state(done, model.state_dict())
            keeper.forget()
        return model.eval()

    def once(self, part: str, measure: Callable[[], list[Measured]]) -> list[Measured]:
        """Measure something, or take what was measured before.

        Parameters
        ----------
        part : :class:`str`
            Name of what is measured, its own in the recipe.
        measure : callable
            Measures it.
        """
        done = self.folder / f"{part}.json"
        if not done.exists():
            self.report(part, 0, 1)
            write_arms(done, measure())
            self.report(part, 1, 1)
        return read_arms(done)

    def outputs(self, model: torch.nn.Module, x: Tensor) -> Tensor:
        """Compute a network's outputs without training it."""
        with torch.no_grad():
            return torch.cat([model(part) for part in x.split(_BATCH)])

    def wrong(self, model: torch.nn.Module) -> int:
        """Count the test images whose largest output is another one than their kind's."""
        found = self.outputs(model.eval(), self.x_test).argmax(1)
        return int((found != self.y_test).sum())

    def error(self, model: torch.nn.Module) -> float:
        """Return the share of the test images that are wrong, in percent."""
        return 100 * self.wrong(model) / len(self.y_test)

    def write(self, name: str, network: FloatGraph) -> None:
        """Write a network for the engines beside the stages."""
        compressed.write(self.folder / f"{name}.eie", network)
