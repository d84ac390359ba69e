"""Parallel training: sums over processes, large batches, split layers, and a shared search."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn.utils import parameters_to_vector

from eieio.model.errors import InputError
from eieio.model.leftovers import temporary_folder
from eieio.model.parallel.learning_rate import gradual_rate, linear_rate
from eieio.training.networks import lenet_5, lenet_300_100
from eieio.training.parallel.data_parallel import (
    any_order_hook,
    ordered_hook,
    train_in_processes,
    train_in_turn,
)
from eieio.training.parallel.delayed import DelayedSGD
from eieio.training.parallel.model_parallel import by_feature_maps, by_image_regions
from eieio.training.parallel.parameter_server import SERVER, serve, serve_in_turn, work
from eieio.training.parallel.processes import run_processes
from eieio.training.recipes.recipe import Measured, Recipe
from eieio.training.session import Session

__all__ = ["RECIPE", "Together", "compute_together", "measure_large_batches", "measure_processes",
           "measure_search"]

# Passes after which the learning rate is a tenth, as shares of all: the last two of Goyal et al.,
# who have 30, 60 and 80 of 90.
_FALLS = (2 / 3, 8 / 9)

_LAST_BITS = "2^-24 of the largest"


class Together(NamedTuple):
    """What processes compute together.

    Attributes
    ----------
    counts : tuple of :class:`int`
        How many processes take part, one number after the other.
    dense, layers : modules
        A network to train, and one whose layers are split.
    x, y : tensors of shape (images, 1, 28, 28) and (images,)
        Images to train on.
    batch : :class:`int`
        Images of a batch, of all processes together.
    rate, momentum : :class:`float`
        Of the gradient descent; servers have no momentum.
    seen : tensor of shape (images, 1, 28, 28)
        Images for the split layers.
    """

    counts: tuple[int, ...]
    dense: nn.Sequential
    layers: nn.Sequential
    x: Tensor
    y: Tensor
    batch: int
    rate: float
    momentum: float
    seen: Tensor

    @property
    def convolutions(self) -> list[nn.Module]:
        """The layers in front of the first that has no image."""
        found = list(self.layers)
        ends = [number for number, layer in enumerate(found) if isinstance(layer, nn.Flatten)]
        return found[:ends[0]] if ends else found


def _integers(layers: nn.Sequential) -> nn.Sequential:
    """Copy layers, with integers from -7 to 7 for their parameters, in float64.

    With inputs up to 15 no sum of a LeNet-5 reaches ``2**53``.
    """
    copy = deepcopy(layers).double()
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.copy_((parameter * (7 / parameter.abs().max())).round())
    return copy


def _modes(together: Together) -> list[tuple[str, Together]]:
    """Return split layers in real numbers, and in integers, whose sums float64 holds exactly."""
    exact = together._replace(layers=_integers(together.layers),
                              seen=(together.seen * 15).round().double())
    return [("float32", together), ("integers", exact)]


def compute_together(rank: int, count: int, together: Together) -> dict[Any, Any]:
    """Do everything in processes, of which this is one; see :func:`measure_processes`."""
    found: dict[Any, Any] = {}
    train: dict[str, Any] = {"batch": together.batch, "rate": together.rate,
                             "momentum": together.momentum}
    for workers in together.counts:
        group = distributed.new_group(list(range(workers)))
        for name, hook in (("ordered", ordered_hook), ("any order", any_order_hook)):
            if rank < workers:
                found[name, workers] = train_in_processes(
                    deepcopy(together.dense), group, together.x, together.y, hook=hook, **train)
        distributed.barrier()
        with torch.no_grad():
            for mode, own in _modes(together):
                found["maps", mode, workers] = by_feature_maps(list(own.layers), own.seen, workers)
                distributed.barrier()
                found["regions", mode, workers] = by_image_regions(
                    own.convolutions, own.seen, workers)
                distributed.barrier()
    workers = count - 1
    batches = len(together.x) // together.batch
    for name, synchronous, in_turn in (("synchronous", True, True), ("in turn", False, True),
                                       ("first come", False, False)):
        model = deepcopy(together.dense)
        found[name] = (
            serve(model, workers, batches if synchronous else batches // workers,
                  synchronous=synchronous, in_turn=in_turn) if rank == SERVER
            else work(model, workers, together.x, together.y, batch=together.batch,
                      rate=together.rate, synchronous=synchronous))
        distributed.barrier()
    return found


def measure_processes(together: Together, timeout: float = 600.0) -> list[Measured]:
    """Compare what processes compute with what this one does.

    Parameters
    ----------
    together : Together
        What to compute.
    timeout : :class:`float`
        Seconds for it.
    """
    count = max(*together.counts, 2)
    every = run_processes(compute_together, count, together, timeout=timeout)
    found = every[0]
    train: dict[str, Any] = {"batch": together.batch, "rate": together.rate}
    measured = []
    for workers in together.counts:
        gradient, parameters = train_in_turn(
            deepcopy(together.dense), workers, together.x, together.y,
            momentum=together.momentum, **train)
        ours = [every[rank]["ordered", workers] for rank in range(workers)]
        theirs = found["any order", workers]
        name = f"{workers} processes"
        measured += [
            Measured(f"{name}: elements of the first gradient that differ from one process's",
                     max(_differ(one[0], gradient) for one in ours), unit="elements"),
            Measured(f"{name}: parameters after training that differ from one process's",
                     max(_differ(one[1], parameters) for one in ours), unit="parameters"),
            Measured(f"{name}: elements of the first gradient that Gloo's own order changes",
                     _differ(theirs[0], gradient), unit="elements")]
    whole, _ = train_in_turn(deepcopy(together.dense), 1, together.x, together.y,
                             momentum=together.momentum, **train)
    shards, _ = train_in_turn(deepcopy(together.dense), max(together.counts), together.x,
                              together.y, momentum=together.momentum, **train)
    measured.append(Measured(
        f"batch at once, and in {max(together.counts)} shards: largest difference of a gradient",
        _apart(whole, shards), unit=_LAST_BITS))
    return [*measured, *_served(every, together), *_split(every, together)]


def _differ(found: Tensor, expected: Tensor) -> int:
    return int((found != expected).sum())


def _apart(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, in last bits of float32 of the largest value."""
    return 2.0 ** 24 * float((found - expected).abs().max() / expected.abs().max())


def _served(every: Sequence[dict[Any, Any]], together: Together) -> list[Measured]:
    workers = len(every) - 1
    measured = []
    for name, synchronous in (("synchronous", True), ("in turn", False)):
        expected = serve_in_turn(deepcopy(together.dense), workers, together.x, together.y,
                                 batch=together.batch, rate=together.rate, synchronous=synchronous)
        measured.append(Measured(
            f"parameter server, {name}, {workers} workers: parameters that differ from one "
            "process's", _differ(every[SERVER][name].parameters, expected), unit="parameters"))
    served = every[SERVER]["first come"]
    expected = parameters_to_vector(together.dense.parameters()).detach().clone()
    waiting = {rank: iter(every[rank]["first come"]) for rank in range(1, workers + 1)}
    for rank in served.order:
        expected += next(waiting[rank])
    left = sum(1 for changes in waiting.values() for _ in changes)
    return [*measured, Measured(
        f"parameter server, first come, {workers} workers: parameters that differ from the sum of "
        "all changes", _differ(served.parameters, expected) + left, unit="parameters")]


def _split(every: Sequence[dict[Any, Any]], together: Together) -> list[Measured]:
    measured = []
    for mode, own in _modes(together):
        with torch.no_grad():
            whole = own.layers(own.seen)
            image = own.seen
            for layer in own.convolutions:
                image = layer(image)
        for workers in together.counts:
            maps = [every[rank]["maps", mode, workers] for rank in range(workers)]
            regions = [every[rank]["regions", mode, workers] for rank in range(workers)]
            pairs = (("feature maps", maps, whole), ("image regions", [
                output for output, _ in regions], image))
            for name, outputs, expected in pairs:
                label = f"{name}, {workers} processes"
                if mode == "integers":
                    measured.append(Measured(
                        f"{label}: integers that differ from the unsplit layers'",
                        max(_differ(output, expected) for output in outputs), unit="integers"))
                else:
                    measured.append(Measured(
                        f"{label}: largest difference of an output in float32",
                        max(_apart(output, expected) for output in outputs), unit=_LAST_BITS))
            if mode == "integers":
                measured.append(Measured(f"image regions, {workers} processes: rows of halos",
                                         sum(rows for _, rows in regions), unit="rows"))
    return measured


def _schedule(base: float, warm: float, passes: int) -> Callable[[float, int, int], float]:
    """Climb from the small batch's rate over so many passes; then fall to tenths."""
    def rate_of(rate: float, step: int, last: int) -> float:
        falls = sum(step >= share * last for share in _FALLS)
        return gradual_rate(base, rate, step, round(warm * last / passes)) / 10 ** falls

    return rate_of


def measure_large_batches(session: Session) -> list[Measured]:
    """Train with larger and larger batches, by three rules of the learning rate."""
    settings = session.settings
    base, rate, passes = settings["batch"], settings["rate"], settings["epochs"]

    def sgd(parameters: Sequence[Tensor], first: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, first, momentum=settings["momentum"])

    def error(stage: str, batch: int, rate: float, warm: float) -> float:
        return session.error(session.train(
            stage, lenet_300_100, epochs=passes, rate=rate, batch=batch, optimizer=sgd,
            schedule=_schedule(settings["rate"], warm, passes)))

    alone = error("batch-1", base, rate, 0)
    measured = [Measured("small batch", alone)]
    differences = []
    rules = (("same rate", False, 0.0), ("rate in proportion", True, 0.0),
             ("rate in proportion, warmed up", True, settings["warm"]))
    for series, proportional, warm in rules:
        measured.append(Measured(f"{series}, 1 worker", alone, series, 1))
        for workers in settings["workers"]:
            batch = workers * base
            own = linear_rate(rate, batch, base) if proportional else rate
            name = f"{series}, {workers} workers"
            found = error(f"{series.replace(', ', '-').replace(' ', '-')}-{workers}", batch, own,
                          warm)
            measured.append(Measured(name, found, series, workers))
            differences.append(Measured(f"{name}, minus the small batch", found - alone,
                                        unit="points"))
    return measured + differences + _measure_delays(session)


def _measure_delays(session: Session) -> list[Measured]:
    """Train by old gradients, as an asynchronous server of so many workers has them."""
    settings = session.settings
    most, passes = max(settings["servers"]), settings["server_epochs"]
    measured = []
    for workers, part in (*((workers, 1.0) for workers in (1, *settings["servers"])),
                          (most, settings["server_slower"])):
        rate = part * settings["server_rate"]
        model = session.train(
            f"server-{workers}-{rate:g}", lenet_300_100, epochs=passes, rate=rate,
            batch=settings["shared_batch"], schedule=_schedule(rate, 0, passes),
            optimizer=lambda parameters, rate, workers=workers: DelayedSGD(
                parameters, rate, workers - 1))
        measured.append(Measured(
            f"asynchronous server, {workers} worker{'s' * (workers > 1)}, rate {rate:g}: error",
            session.error(model), unit="% wrong"))
    return measured


def measure_search(session: Session) -> list[Measured]:
    """Let processes search hyper-parameters together, and kill one of them."""
    from eieio.training.parallel.search import hyper_space, join_search, open_search

    settings = session.settings
    space = hyper_space(rate=settings["search_rates"], momentum=settings["search_momenta"],
                        batch=settings["search_batches"])
    count, some = settings["search_workers"], settings["search_images"]
    x, y = session.x.cpu(), session.y.cpu()
    half = len(x) // 2
    with temporary_folder() as folder:
        journal = folder / "journal"
        each = run_processes(
            join_search, count, space, journal, session.seed, 0, (x[:some], y[:some]),
            (x[half:half + some], y[half:half + some]), settings["search_hidden"],
            connected=False, mortal=(0,))
        search = open_search(space, journal, session.seed)
        found, lost = search.evaluated(), search.lost
    labels = {one.point.label for one in found}
    errors = [one.outcome.values[0] for one in found if one.outcome.values is not None]
    name = f"search by {count} processes, of which one is killed"
    return [
        Measured(f"{name}: points that were evaluated", len(labels),
                 unit=f"of {len(space)} points"),
        Measured(f"{name}: points that were evaluated twice", len(found) - len(labels),
                 unit="points"),
        Measured(f"{name}: trials that were lost, and tried again", lost, unit="trials"),
        Measured(f"{name}: processes that were killed", each.count(None), unit="processes"),
        Measured(f"{name}: best error", min(errors), unit="% of held-out images"),
        Measured(f"{name}: worst error", max(errors), unit="% of held-out images")]


def _measure(session: Session) -> list[Measured]:
    if find_spec("optuna") is None:
        raise InputError("Recipe parallel-training needs the Python package optuna, too: pip "
                         "install 'eieio[tune]'")
    settings = session.settings
    split = session.train("lenet-5", lenet_5, epochs=1, rate=4e-3).cpu()

    def processes() -> list[Measured]:
        torch.manual_seed(session.seed)
        some = settings["shared_batch"] * settings["batches"]
        return measure_processes(Together(
            settings["processes"], lenet_300_100(), split, session.x[:some].cpu(),
            session.y[:some].cpu(), settings["shared_batch"], settings["shared_rate"],
            settings["momentum"], session.x_test[:settings["split_images"]].cpu()))

    return [*measure_large_batches(session), *session.once("processes", processes),
            *session.once("search", lambda: measure_search(session))]


RECIPE = Recipe(
    name="parallel-training", method="Parallel training",
    unit="% of the test images that are wrong", measure=_measure,
    settings={"epochs": 6, "rate": 0.0125, "momentum": 0.9, "batch": 16, "workers": (4, 16, 64),
              "warm": 1.0, "shared_batch": 64, "shared_rate": 0.05, "servers": (4, 16),
              "server_rate": 0.2, "server_slower": 0.25, "server_epochs": 2,
              "processes": (2, 3, 4), "batches": 20, "split_images": 100, "search_workers": 3,
              "search_images": 2000, "search_hidden": 32,
              "search_rates": (0.01, 0.03, 0.1, 0.3), "search_momenta": (0.0, 0.9),
              "search_batches": (16, 64)},
    axis="workers, each with as many images a step")
