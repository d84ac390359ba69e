"""Train a network on images that are distorted anew whenever they are seen."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Trainer"]


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
            after_step: Callable[[int], None] = lambda step: None) -> None:
        """Train with Adam, on the cross entropy of the outputs as logits.

        The learning rate climbs to ``rate`` over the first tenth of the batches and follows half a
        cosine down to 0.

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
        """
        optimizer = torch.optim.Adam(parameters or list(model.parameters()), lr=rate, fused=True)
        last = epochs * self.batches
        step = 0
        for _ in range(epochs):
            order = torch.randperm(len(self.images), generator=self.generator)
            for batch in order[:self.batches * self.batch].reshape(self.batches, self.batch):
                for group in optimizer.param_groups:
                    group["lr"] = (rate * min(1, 10 * (step + 1) / last)
                                   * (1 + math.cos(math.pi * step / last)) / 2)
                model.zero_grad()
                outputs = model(self.distort(self.images[batch]))
                functional.cross_entropy(outputs, self.labels[batch]).backward()
                after_gradient()
                optimizer.step()
                step += 1
                after_step(step)
