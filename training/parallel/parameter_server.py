"""A parameter server in a process of its own, and its workers."""

from collections.abc import Iterator
from itertools import cycle
from typing import NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from eieio.model.parallel.parameter_server import ParameterServer
from eieio.model.parallel.shares import split
from eieio.training.parallel.data_parallel import shard_gradient

__all__ = ["SERVER", "Served", "serve", "serve_in_turn", "work"]

#: Rank of the server.
SERVER = 0


class Served(NamedTuple):
    """What a server has done.

    Attributes
    ----------
    parameters : tensor of shape (parameters,)
        At the end.
    order : list of :class:`int`
        Whose changes it added, one after the other.
    """

    parameters: Tensor
    order: list[int]


def serve(model: nn.Module, workers: int, steps: int, *, synchronous: bool = True,
          in_turn: bool = True) -> Served:
    """Add the workers' changes and answer, until all have pushed so many.

    Parameters
    ----------
    model : :class:`torch.nn.Module`
        Network with the first parameters, which the workers have, too.
    workers : :class:`int`
        Workers: the ranks behind the server's.
    steps : :class:`int`
        Changes that each worker pushes.
    synchronous : :class:`bool`
        Whether to wait for all workers before they are answered.
    in_turn : :class:`bool`
        Whether workers that are not waited for are served in the order of their ranks; otherwise
        who comes first is.
    """
    server = ParameterServer(parameters_to_vector(model.parameters()).detach().numpy())
    change = torch.empty(server.parameters.shape)
    order: list[int] = []
    ranks = [SERVER + 1 + worker for worker in range(workers)]
    for _ in range(steps):
        if synchronous:
            changes = []
            for rank in ranks:
                distributed.recv(change, rank)
                changes.append(change.numpy().copy())
            answer = torch.from_numpy(server.push(*changes))
            for rank in ranks:
                distributed.send(answer, rank)
            order += ranks
            continue
        for rank in ranks:
            source = distributed.recv(change, rank if in_turn else None)
            answer = server.push(change.numpy())
            distributed.send(torch.from_numpy(answer), source)
            order.append(source)
    return Served(torch.from_numpy(server.parameters), order)


def _shards(x: Tensor, y: Tensor, batch: int, workers: int, worker: int, *, synchronous: bool
            ) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield what a worker sees: shards of all batches, or every so many batches."""
    batches = len(x) // batch
    if synchronous:
        shard = split(batch, workers)[worker]
        for number in range(batches):
            own = slice(number * batch + shard.start, number * batch + shard.stop)
            yield x[own], y[own]
    else:
        for number in range(worker, batches // workers * workers, workers):
            own = slice(number * batch, (number + 1) * batch)
            yield x[own], y[own]


def work(model: nn.Module, workers: int, x: Tensor, y: Tensor, *, batch: int, rate: float,
         synchronous: bool = True) -> list[Tensor]:
    """Push changes to the server and take what it answers, for one pass over the images.

    A synchronous worker has a shard of each batch; an asynchronous one every so many batches.

    Parameters
    ----------
    model : :class:`torch.nn.Module`
        Network with the first parameters.
    workers : :class:`int`
        Workers, of whom this process is one.
    x, y : tensors of shape (images, ...) and (images,)
        The same for all workers.
    batch : :class:`int`
        Images of a batch.
    rate : :class:`float`
        Learning rate.
    synchronous : :class:`bool`
        As the server has it.

    Returns
    -------
    list of tensors of shape (parameters,)
        The changes.
    """
    worker = distributed.get_rank() - SERVER - 1
    answer = parameters_to_vector(model.parameters()).detach().clone()
    changes = []
    for own_x, own_y in _shards(x, y, batch, workers, worker, synchronous=synchronous):
        changes.append(_change(model, own_x, own_y, batch, rate))
        distributed.send(changes[-1], SERVER)
        distributed.recv(answer, SERVER)
        vector_to_parameters(answer.clone(), model.parameters())
    return changes


def _change(model: nn.Module, x: Tensor, y: Tensor, batch: int, rate: float) -> Tensor:
    return -rate * torch.cat([part.flatten() for part in shard_gradient(model, x, y, batch)])


def serve_in_turn(model: nn.Module, workers: int, x: Tensor, y: Tensor, *, batch: int, rate: float,
                  synchronous: bool = True) -> Tensor:
    """Do what a server that serves in turn and its workers do, in this process.

    Returns
    -------
    tensor of shape (parameters,)
        Parameters at the end.
    """
    first = parameters_to_vector(model.parameters()).detach().clone()
    server = ParameterServer(first.numpy())
    seen = [_shards(x, y, batch, workers, worker, synchronous=synchronous)
            for worker in range(workers)]
    own = [first] * workers
    changes = []
    for worker in cycle(range(workers)):
        shard = next(seen[worker], None)
        if shard is None:
            return torch.from_numpy(server.parameters)
        vector_to_parameters(own[worker].clone(), model.parameters())
        changes.append(_change(model, *shard, batch, rate).numpy())
        if not synchronous:
            own[worker] = torch.from_numpy(server.push(changes.pop()))
        elif worker == workers - 1:
            own = [torch.from_numpy(server.push(*changes))] * workers
            changes = []
    raise AssertionError("a cycle has no end")
