"""Train a network on images, which may be distorted anew whenever they are seen."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from eieio.training.checkpoint import Keeper

__all__ = ["Trainer", "adam", "cross_entropy", "warm_cosine"]


def adam(parameters: Sequence[Tensor], rate: float) -> torch.optim.Optimizer:
    """Make the optimizer of Kingma and Ba (ICLR 2015)."""
    return torch.optim.Adam(parameters, lr=rate, fused=True)


def warm_cosine(rate: float, step: int, last: int) -> float:
    """Climb to the highest learning rate over a tenth of the steps, while half a cosine falls to 0.

    Parameters
    ----------
    rate : :class:`float`
        Highest learning rate.
    step : :class:`int`
        Steps done.
    last : :class:`int`
        Steps of the whole training.

    Returns
    -------
    :class:`float`
        Learning rate of the next step.
    """
    return rate * min(1, 10 * (step + 1) / last) * (1 + math.cos(math.pi * step / last)) / 2


def cross_entropy(outputs: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
    """Return the mean cross entropy of a batch's outputs as logits."""
    del indices
    return functional.cross_entropy(outputs, labels)


@dataclass(frozen=True, eq=False)
class Trainer:
    """What all stages of a recipe train on.

    Attributes
    ----------
    images : float tensor of shape (images, ...)
        Images to train on.
    labels : int64 tensor of shape (images,)
        Their labels.
    batch : :class:`int`
        Images of a batch; those that are left after the last whole one of a pass are dropped.
    distort : callable
        Takes the images of a batch, and returns those that the network sees.
    generator : :class:`torch.Generator`
        Source of the images' order.
    """

    images: Tensor
    labels: Tensor
    batch: int
    distort: Callable[[Tensor], Tensor]
    generator: torch.Generator

    @property
    def batches(self) -> int:
        """Batches of a pass."""
        return len(self.images) // self.batch

    def fit(self, model: torch.nn.Module, parameters: Sequence[Tensor] | None = None, *,
            epochs: int, rate: float, after_gradient: Callable[[], None] = lambda: None,
            after_step: Callable[[int], None] = lambda step: None,
            optimizer: Callable[[Sequence[Tensor], float], torch.optim.Optimizer] = adam,
            schedule: Callable[[float, int, int], float] = warm_cosine,
            loss: Callable[[Tensor, Tensor, Tensor], Tensor] = cross_entropy,
            keeper: Keeper | None = None) -> None:
        """Train, from a checkpoint on if there is one.

        Parameters
        ----------
        model : :class:`torch.nn.Module`
            Network to train.
        parameters : sequence of tensors, optional
            What the optimizer changes. The default is all that the network has.
        epochs : :class:`int`
            Passes over the images.
        rate : :class:`float`
            Highest learning rate.
        after_gradient : callable
            Called when the gradients of a batch are known.
        after_step : callable
            Called with the number of batches done, after each.
        optimizer : callable
            Makes the optimizer of parameters and a learning rate.
        schedule : callable
            Takes the highest learning rate, the steps done and all steps; gives the next step's.
        loss : callable
            Takes outputs, labels and the batch's places among the images; gives what to minimize.
        keeper : Keeper, optional
            Where checkpoints are kept. Of what is trained they hold the network's state alone; so
            all parameters must be the network's, and hooks may remember nothing.
        """
        stepper = optimizer(parameters or list(model.parameters()), rate)
        last = epochs * self.batches
        step = 0
        order = torch.empty(0, dtype=torch.int64)
        if keeper is not None and (state := keeper.load()) is not None:
            model.load_state_dict(state["model"])
            stepper.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"])
            torch.set_rng_state(state["random"])
            if self.images.is_cuda:
                torch.cuda.set_rng_state(state["random_cuda"])
            step, order = state["step"], state["order"]

        def state() -> dict[str, object]:
            return {"model": model.state_dict(), "optimizer": stepper.state_dict(),
                    "generator": self.generator.get_state(), "random": torch.get_rng_state(),
                    "step": step, "order": order,
                    **({"random_cuda": torch.cuda.get_rng_state()} if self.images.is_cuda else {})}

        model.train()
        while step < last:
            place = step % self.batches * self.batch
            if not place:
                order = torch.randperm(len(self.images), generator=self.generator)
            batch = order[place:place + self.batch].to(self.images.device)
            for group in stepper.param_groups:
                group["lr"] = schedule(rate, step, last)
            model.zero_grad()
            outputs = model(self.distort(self.images[batch]))
            loss(outputs, self.labels[batch], batch).backward()
            after_gradient()
            stepper.step()
            step += 1
            after_step(step)
            if keeper is not None:
                keeper.offer(step, last, state)
