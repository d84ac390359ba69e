"""Layers and an optimizer of mixed precision: binary16 for what is multiplied and kept."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eieio.model.compress.mixed_precision import LossScale, half_product

__all__ = ["Counter", "HalfLinear", "HalfSGD", "binary32_sums", "make_half", "tensor_core_sums"]

#: Takes factors and addends: ``a @ b + c``.
Product = Callable[[Tensor, Tensor, Tensor], Tensor]


def binary32_sums(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Multiply matrices whose elements are binary16, with sums of binary32 in any order."""
    return torch.addmm(c, a, b)


def tensor_core_sums(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Multiply matrices by the golden model of a tensor core: slowly, on the CPU."""
    found = half_product(*(x.detach().cpu().numpy() for x in (a, b, c)))
    return torch.from_numpy(found).to(a.device)


class Counter:
    """Counts gradients while it is active.

    Attributes
    ----------
    active : :class:`bool`
        Whether to count.
    gradients, vanished : :class:`int`
        How many gradients of activations and of weights were not 0, and how many of these are 0 in
        binary16.
    """

    def __init__(self) -> None:
        self.active = False
        self.gradients = self.vanished = 0

    def round(self, gradients: Tensor) -> Tensor:
        """Round gradients to binary16, and count those that vanish."""
        rounded = _round(gradients)
        if self.active:
            before = gradients != 0
            self.gradients += int(before.sum())
            self.vanished += int((before & (rounded == 0)).sum())
        return rounded


def _round(values: Tensor) -> Tensor:
    return values.half().float()


class _HalfLinear(torch.autograd.Function):
    """A fully connected layer all of whose values, and gradients, are binary16."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, product: Product,
                counter: Counter) -> Tensor:
        x, weight = _round(x), _round(weight)
        ctx.save_for_backward(x, weight)
        ctx.product, ctx.counter = product, counter
        return _round(product(x, weight.T, _round(bias)))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        counter: Counter = ctx.counter
        gradient = counter.round(gradients[0])
        none = gradient.new_zeros(1)
        return (counter.round(ctx.product(gradient, weight, none)) if ctx.needs_input_grad[0]
                else None,
                counter.round(ctx.product(gradient.T, x, none)), counter.round(gradient.sum(0)),
                None, None)


class HalfLinear(nn.Module):
    """A fully connected layer in binary16, with the parameters of another one.

    Parameters
    ----------
    layer : :class:`torch.nn.Linear`
        Whose weights and biases it has. They stay binary32, and are rounded where they are used.
    product : callable
        How matrices are multiplied.
    counter : Counter
        What counts the gradients.
    """

    def __init__(self, layer: nn.Linear, product: Product, counter: Counter) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.product, self.counter = product, counter

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer."""
        return _HalfLinear.apply(x, self.weight, self.bias, self.product, self.counter)


def make_half(model: nn.Sequential, product: Product, counter: Counter) -> nn.Sequential:
    """Put layers of binary16 in place of a network's fully connected ones."""
    for name, layer in list(model.named_children()):
        if isinstance(layer, nn.Linear):
            setattr(model, name, HalfLinear(layer, product, counter))
    return model


class HalfSGD(torch.optim.Optimizer):
    """Gradient descent with momentum, of a loss that is multiplied by a scale.

    Its state has the scale, so that a checkpoint has it, too.

    Parameters
    ----------
    parameters : sequence of tensors
        What to train.
    rate : :class:`float`
        Learning rate.
    momentum : :class:`float`
        Momentum.
    scale : LossScale
        The first scale.
    master : :class:`bool`
        Whether weights and momentum are binary32. Else both are rounded to binary16 after each
        step, as where there is no other copy of the weights than the one that is multiplied.

    Attributes
    ----------
    skipped : :class:`int`
        Steps that were left out, since gradients were not finite.
    """

    def __init__(self, parameters: Sequence[Tensor], rate: float, momentum: float,
                 scale: LossScale, *, master: bool = True) -> None:
        super().__init__(parameters, {
            "lr": rate, "momentum": momentum, "scale": scale.scale, "interval": scale.interval,
            "clean": scale.clean, "skipped": 0, "master": master})

    @property
    def scale(self) -> LossScale:
        """What the next loss is to be multiplied by."""
        group = self.param_groups[0]
        return LossScale(group["scale"], group["interval"], group["clean"])

    @property
    def skipped(self) -> int:
        return self.param_groups[0]["skipped"]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Divide the gradients by the scale, and do a step, unless one is not finite."""
        del closure
        group = self.param_groups[0]
        scale = self.scale
        trained = [p for p in group["params"] if p.grad is not None]
        finite = all(bool(torch.isfinite(p.grad).all()) for p in trained)
        after = scale.after(finite)
        group["scale"], group["clean"] = after.scale, after.clean
        if not finite:
            group["skipped"] += 1
            return
        for p in trained:
            momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
            momentum.mul_(group["momentum"]).add_(p.grad / scale.scale)
            if not group["master"]:
                momentum.copy_(_round(momentum))
            p.sub_(group["lr"] * momentum)
            if not group["master"]:
                p.copy_(_round(p))
