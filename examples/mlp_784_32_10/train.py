"""Train a network of 784-32-10 on MNIST and prune it, for the smallest FPGAs.

Dense training at first; then pruning by magnitude, little by little while training goes on, until
so few weights are left as an iCE40 UP5K's block RAMs hold; then training of what is left.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import Linear, functional

from eieio.model.formats import npz
from eieio.model.graph.chain import chain, fully_connected

HIDDEN = 32
DENSITIES = (0.13, 0.6)
EPOCHS, BATCH, RATE = 30, 128, 2e-3
# Pruning begins and ends after so much of the training, one step every so many batches.
PRUNE_FROM, PRUNE_FOR, PRUNE_INTERVAL = 0.15, 0.45, 100
TRAINING_IMAGES = 55_000


def largest(layer: Linear, density: float) -> Tensor:
    """Choose the weights to keep: 1 for the largest ones, as many as the density says."""
    count = layer.weight.numel()
    kept = int(count * density)
    threshold = layer.weight.abs().flatten().kthvalue(max(1, count - kept + 1)).values
    return (layer.weight.abs() >= threshold).float()


def train(x: Tensor, y: Tensor, seed: int) -> tuple[Linear, Linear]:
    """Train and prune; ``x`` has shape (images, 784), ``y`` the labels."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    layers = Linear(784, HIDDEN), Linear(HIDDEN, 10)
    generator = torch.Generator().manual_seed(seed + 1)
    optimizer = torch.optim.Adam([p for layer in layers for p in layer.parameters()], RATE)
    steps = EPOCHS * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    masks: list[Tensor] = []
    step = 0
    for epoch in range(EPOCHS):
        order = torch.randperm(len(x), generator=generator)
        for first in range(0, len(x) - BATCH + 1, BATCH):
            batch = order[first:first + BATCH]
            hidden = functional.relu(layers[0](x[batch]))
            loss = functional.cross_entropy(layers[1](hidden), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            with torch.no_grad():
                if step % PRUNE_INTERVAL == 0:
                    done = min(1.0, max(0.0, (step / steps - PRUNE_FROM) / PRUNE_FOR))
                    masks = [largest(layer, 1 - (1 - density) * (1 - (1 - done) ** 3))
                             for layer, density in zip(layers, DENSITIES, strict=True)]
                for layer, mask in zip(layers, masks, strict=False):
                    layer.weight *= mask
        print(f"epoch {epoch + 1} of {EPOCHS}: loss {loss.item():.3f}", file=sys.stderr)
    return layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True,
                        help="MNIST as .npz: x_train, y_train")
    parser.add_argument("--out", type=Path, required=True, help="network to write")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    options = parser.parse_args()
    with np.load(options.data) as file:
        x = file["x_train"][:TRAINING_IMAGES].reshape(-1, 784)
        y = file["y_train"][:TRAINING_IMAGES]
    layers = train(torch.tensor(x / 255, dtype=torch.float32), torch.tensor(y.astype(np.int64)),
                   options.seed)
    weights = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in layers]
    npz.write(options.out, chain("mlp_784_32_10", [
        fully_connected("fc1", *weights[0], rectified=True), fully_connected("fc2", *weights[1])]))


if __name__ == "__main__":
    main()
