"""Gradient descent by old gradients, as the workers of an asynchronous parameter server have it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["DelayedSGD"]


class DelayedSGD(torch.optim.Optimizer):
    """Takes each gradient so many steps after it was computed.

    Step t changes the parameters p by ``-rate * gradient(p[t - delay])``, and the first ``delay``
    steps do not change them. It is what a server has of ``delay + 1`` workers that take turns.

    Parameters
    ----------
    parameters : sequence of tensors
        What to train.
    rate : :class:`float`
        Learning rate.
    delay : :class:`int`
        Steps that a gradient waits.
    """

    def __init__(self, parameters: Sequence[Tensor], rate: float, delay: int) -> None:
        super().__init__(parameters, {"lr": rate, "delay": delay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Take the oldest gradients, and keep the new ones."""
        del closure
        for group in self.param_groups:
            places = group["delay"] + 1
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = 0
                    state["waiting"] = torch.zeros((places, *parameter.shape),
                                                   device=parameter.device)
                state["waiting"][state["step"] % places] = parameter.grad
                state["step"] += 1
                parameter -= group["lr"] * state["waiting"][state["step"] % places]
