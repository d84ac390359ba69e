"""Pruning and weight sharing while a network trains, as in Deep Compression.

Han et al., "Deep Compression" (ICLR 2016), sections 2 and 3. What is removed, how weights are
clustered and how a gradient is summed is NumPy's part: :mod:`eieio.model.compress`.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from eieio.model.compress.pruning import IterativePruner
from eieio.model.compress.weight_sharing import Initialisation, centroid_gradient, cluster
from eieio.training.trainer import Trainer

__all__ = ["prune", "train_shared", "weights_of"]


def weights_of(model: torch.nn.Module) -> dict[str, Tensor]:
    """Return the weights of the convolutions and the fully connected layers, by their names."""
    return {name: layer.weight for name, layer in model.named_modules()
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)}


def prune(trainer: Trainer, model: torch.nn.Module, densities: Mapping[str, float], *,
          epochs: int, rate: float, share: float = 0.5, interval: int = 50) -> None:
    """Prune a network while it trains; pruned weights become 0 and stay so.

    Parameters
    ----------
    trainer : Trainer
        What to train on.
    model : :class:`torch.nn.Module`
        Trained network.
    densities : mapping of :class:`str` to :class:`float`
        Share of the weights to keep, for the layers to prune.
    epochs : :class:`int`
        Passes over the images.
    rate : :class:`float`
        Highest learning rate.
    share : :class:`float`
        Share of the passes within which the densities are reached; the others train what is left.
    interval : :class:`int`
        Batches from one step of the pruning to the next.
    """
    # The arrays share memory with the model.
    weights = {name: weight.detach().numpy() for name, weight in weights_of(model).items()}
    pruner = IterativePruner(densities, int(epochs * trainer.batches * share) // interval)

    def after_step(step: int) -> None:
        if step % interval == 0 and not pruner.done:
            pruner.prune(weights)
        for name, weight in pruner.apply(weights).items():
            weights[name][...] = weight

    trainer.fit(model, epochs=epochs, rate=rate, after_step=after_step)


def train_shared(trainer: Trainer, model: torch.nn.Module, code_widths: Mapping[str, int], *,
                 epochs: int, rate: float, initialisation: Initialisation = "optimal") -> None:
    """Share the weights of each layer, then train the shared weights and the biases.

    The nonzero weights of a layer are clustered, and each becomes its cluster's centroid. Then the
    clusters stay: a shared weight moves by the sum of the gradients of all weights that share it.

    Parameters
    ----------
    trainer : Trainer
        What to train on.
    model : :class:`torch.nn.Module`
        Pruned network. Its zeros stay zeros.
    code_widths : mapping of :class:`str` to :class:`int`
        Bits of a code, from 2 to 8, of each layer's weights; w bits give ``2 ** w - 1`` clusters.
    epochs : :class:`int`
        Passes over the images; without one, the weights stay at the centroids.
    rate : :class:`float`
        Highest learning rate.
    initialisation : :data:`~eieio.model.compress.weight_sharing.Initialisation`
        How to find the clusters: see :func:`~eieio.model.compress.weight_sharing.cluster`.
    """
    weights = weights_of(model)
    codes, codebooks = {}, {}
    for name, weight in weights.items():
        values = weight.detach().numpy()
        centroids, labels = cluster(values[values != 0], 2 ** code_widths[name] - 1, initialisation)
        codes[name] = np.zeros(values.shape, np.uint8)
        codes[name][values != 0] = labels + np.uint8(1)
        codebooks[name] = torch.zeros(2 ** code_widths[name])
        codebooks[name][1:len(centroids) + 1] = torch.from_numpy(centroids)
    indices = {name: torch.from_numpy(code.astype(np.int64)) for name, code in codes.items()}

    def after_gradient() -> None:
        for name, weight in weights.items():
            assert weight.grad is not None
            codebooks[name].grad = torch.from_numpy(
                centroid_gradient(codes[name], weight.grad.numpy(), code_widths[name]))

    def after_step(step: int) -> None:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(codebooks[name][indices[name]])

    after_step(0)
    trained = {id(weight) for weight in weights.values()}
    others = [parameter for parameter in model.parameters() if id(parameter) not in trained]
    trainer.fit(model, [*codebooks.values(), *others], epochs=epochs, rate=rate,
                after_gradient=after_gradient, after_step=after_step)
