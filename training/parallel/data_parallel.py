"""Data parallel training by PyTorch's DistributedDataParallel, and the same in one process."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed import GradBucket, ProcessGroup
from torch.futures import Future
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parameters_to_vector

from eieio.model.parallel.gradients import ordered_sum
from eieio.model.parallel.shares import split

__all__ = ["any_order_hook", "ordered_hook", "shard_gradient", "train_in_processes",
           "train_in_turn"]

#: What adds the gradients of a bucket of parameters.
Hook = Callable[[ProcessGroup, GradBucket], Future[Tensor]]


def ordered_hook(group: ProcessGroup, bucket: GradBucket) -> Future[Tensor]:
    """Add gradients in the order of the ranks, as :func:`eieio.model.parallel.gradients` does."""
    own = bucket.buffer()
    parts = [torch.empty_like(own) for _ in range(group.size())]
    work = distributed.all_gather(parts, own, group=group, async_op=True)
    assert work is not None

    def add(_: Future[Any]) -> Tensor:
        total = parts[0]
        for part in parts[1:]:
            total += part
        return total

    return work.get_future().then(add)


def any_order_hook(group: ProcessGroup, bucket: GradBucket) -> Future[Tensor]:
    """Add gradients by Gloo's own reduction, which chooses its order by rank and place."""
    total = bucket.buffer().clone()
    work = distributed.all_reduce(total, group=group, async_op=True)
    assert work is not None
    return work.get_future().then(lambda _: total)


def _loss(model: nn.Module, x: Tensor, y: Tensor, batch: int) -> Tensor:
    """Sum the losses of a shard, divided by the images of the batch."""
    return functional.cross_entropy(model(x), y, reduction="sum") / batch


def _descend(model: nn.Module, x: Tensor, batch: int, rate: float, momentum: float,
             gradient: Callable[[slice], None]) -> tuple[Tensor, Tensor]:
    """Train for one pass; return the first batch's gradient, and the parameters at the end."""
    first = torch.empty(0)
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=momentum)
    for start in range(0, len(x) // batch * batch, batch):
        optimizer.zero_grad()
        gradient(slice(start, start + batch))
        if not start:
            first = _gradients(model)
        optimizer.step()
    return first, parameters_to_vector(model.parameters()).detach()


def _gradients(model: nn.Module) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()
                      if parameter.grad is not None])


def train_in_processes(model: nn.Module, group: ProcessGroup, x: Tensor, y: Tensor, *, batch: int,
                       rate: float, momentum: float, hook: Hook = ordered_hook
                       ) -> tuple[Tensor, Tensor]:
    """Train for one pass over the images, with the other processes of a group.

    Parameters
    ----------
    model : :class:`torch.nn.Module`
        The same network in each process.
    group : :class:`torch.distributed.ProcessGroup`
        The processes.
    x, y : tensors of shape (images, ...) and (images,)
        The same in each process, which takes its shard of each batch; images that are left after
        the last whole batch are not seen.
    batch : :class:`int`
        Images of a batch, of all processes together.
    rate, momentum : :class:`float`
        Of the gradient descent.
    hook : callable
        Adds the gradients.

    Returns
    -------
    gradient, parameters : tensors of shape (parameters,)
        Of the first batch, and at the end.
    """
    wrapped = DistributedDataParallel(model, process_group=group)
    wrapped.register_comm_hook(group, hook)
    shard = split(batch, group.size())[group.rank()]

    def gradient(places: slice) -> None:
        own = slice(places.start + shard.start, places.start + shard.stop)
        _loss(wrapped, x[own], y[own], batch).backward()

    return _descend(model, x, batch, rate, momentum, gradient)


def shard_gradient(model: nn.Module, x: Tensor, y: Tensor, batch: int) -> list[Tensor]:
    """Compute a shard's gradient of each parameter: its sum, divided by the images of the batch."""
    return list(torch.autograd.grad(_loss(model, x, y, batch), list(model.parameters())))


def train_in_turn(model: nn.Module, workers: int, x: Tensor, y: Tensor, *, batch: int, rate: float,
                  momentum: float) -> tuple[Tensor, Tensor]:
    """Do what :func:`train_in_processes` does, in this process, one shard after the other."""
    shards = split(batch, workers)
    parameters: Sequence[nn.Parameter] = list(model.parameters())

    def gradient(places: slice) -> None:
        parts = []
        for shard in shards:
            own = slice(places.start + shard.start, places.start + shard.stop)
            parts.append(shard_gradient(model, x[own], y[own], batch))
        for parameter, *of_shards in zip(parameters, *parts, strict=True):
            total = ordered_sum([part.numpy() for part in of_shards])
            parameter.grad = torch.from_numpy(total)

    return _descend(model, x, batch, rate, momentum, gradient)
