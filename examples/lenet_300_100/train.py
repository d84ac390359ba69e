"""Train LeNet-300-100 on MNIST, prune it and share its weights.

The recipe has three stages, each starting from the network of the one before:

1. dense training, on randomly distorted images;
2. pruning by magnitude, little by little while training goes on, then training what is left;
3. weight sharing with 4-bit codes, then training the shared weights.

Every stage trains on the first 55,000 training images. The last 5,000 are the validation images;
the test images are looked at once, when all stages are done.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from evaluate import accuracy, load_images
from torch import Tensor
from torch.nn import functional

from eieio.model.compress.weight_sharing import share_weights
from eieio.model.formats import compressed, npz
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph
from eieio.training.compression import prune, train_shared
from eieio.training.trainer import Trainer

__all__ = ["Distortion", "lenet_300_100", "to_network"]

VALIDATION_IMAGES = 5_000
BATCH = 256

DENSE_EPOCHS, DENSE_RATE = 40, 2e-3

PRUNE_EPOCHS, PRUNE_RATE = 80, 3e-3
DENSITIES = {"fc1": 0.073, "fc2": 0.12, "fc3": 0.30}

SHARE_EPOCHS, SHARE_RATE = 15, 5e-4
CODE_WIDTH = 4


class Distortion:
    """Random distortions of 28 x 28 images: affine, plus a smooth elastic displacement.

    Parameters
    ----------
    generator : :class:`torch.Generator`
        Source of randomness.

    Attributes
    ----------
    rotation, scale, shear, shift : :class:`float`
        Bounds of the affine part: degrees, share, share, pixels.
    elastic : :class:`float`
        Standard deviation in pixels of the displacement of 5 x 5 points, between which it is
        interpolated.
    """

    rotation = 12.0
    scale = 0.12
    shear = 0.1
    shift = 2.0
    elastic = 1.2

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self._grid = functional.affine_grid(
            torch.eye(2, 3)[None], [1, 1, 28, 28], align_corners=False).reshape(784, 2)
        # Interpolation is linear: as a matrix it serves a whole batch at once.
        self._interpolate = functional.interpolate(
            torch.eye(25).reshape(25, 1, 5, 5), size=(28, 28), mode="bicubic",
            align_corners=True).reshape(25, 784)

    def __call__(self, images: Tensor) -> Tensor:
        """Distort each image of a float tensor of shape (images, 784) in its own way."""
        count = len(images)
        pixel = 2 / 28  # the grid runs from -1 to 1
        angle = self._uniform(count, math.radians(self.rotation))
        across, down = 1 + self._uniform(count, self.scale), 1 + self._uniform(count, self.scale)
        shear = self._uniform(count, self.shear)
        matrix = torch.stack([across * angle.cos(), across * (shear - angle.sin()),
                              down * angle.sin(), down * angle.cos()], 1).reshape(count, 2, 2)
        shift = torch.stack([self._uniform(count, self.shift * pixel) for _ in range(2)], 1)
        points = torch.randn(count, 2, 25, generator=self.generator) * (self.elastic * pixel)
        grid = (self._grid @ matrix.transpose(1, 2) + shift[:, None]
                + (points @ self._interpolate).transpose(1, 2))
        return functional.grid_sample(
            images.reshape(count, 1, 28, 28), grid.reshape(count, 28, 28, 2),
            align_corners=False).reshape(count, 784)

    def _uniform(self, count: int, bound: float) -> Tensor:
        return (torch.rand(count, generator=self.generator) * 2 - 1) * bound


def lenet_300_100() -> torch.nn.Sequential:
    """Create the network with random weights."""
    model = torch.nn.Sequential()
    model.add_module("fc1", torch.nn.Linear(784, 300))
    model.add_module("relu1", torch.nn.ReLU())
    model.add_module("fc2", torch.nn.Linear(300, 100))
    model.add_module("relu2", torch.nn.ReLU())
    model.add_module("fc3", torch.nn.Linear(100, 10))
    return model


def to_network(model: torch.nn.Sequential) -> FloatGraph:
    """Copy a PyTorch model."""
    return chain("lenet_300_100", [
        fully_connected(name, layer.weight.detach().numpy().copy(),
                        layer.bias.detach().numpy().copy(), rectified=name != "fc3")
        for name, layer in model.named_children() if isinstance(layer, torch.nn.Linear)])


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description="Train, prune and share LeNet-300-100 on MNIST.")
    parser.add_argument("--mnist", type=Path, default=Path("mnist.npz"),
                        help="MNIST: x_train, y_train, x_test, y_test (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("lenet_300_100.npz"),
                        help="network to write (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)

    x, y = load_images(arguments.mnist, "_train")
    validation = x[-VALIDATION_IMAGES:], y[-VALIDATION_IMAGES:]
    images = torch.from_numpy(x[:-VALIDATION_IMAGES])
    labels = torch.from_numpy(y[:-VALIDATION_IMAGES].astype(np.int64))

    networks: dict[str, FloatGraph] = {}
    start = time.monotonic()

    def record(stage: str, network: FloatGraph) -> None:
        networks[stage] = network
        print(f"{stage}: density {network.density:.3%}, validation accuracy "
              f"{accuracy(network, *validation):.2%}, {time.monotonic() - start:.0f} s", flush=True)

    trainer = Trainer(images, labels, BATCH, Distortion(generator), generator)
    model = lenet_300_100()
    trainer.fit(model, epochs=DENSE_EPOCHS, rate=DENSE_RATE)
    record("dense", to_network(model))
    prune(trainer, model, DENSITIES, epochs=PRUNE_EPOCHS, rate=PRUNE_RATE)
    record("pruned", to_network(model))
    widths = dict.fromkeys(DENSITIES, CODE_WIDTH)
    record("shared", share_weights(to_network(model), CODE_WIDTH))
    train_shared(trainer, model, widths, epochs=SHARE_EPOCHS, rate=SHARE_RATE)
    record("shared, trained", to_network(model))
    npz.write(arguments.out, networks["shared, trained"])
    compressed.write(arguments.out.with_suffix(".eie"),
                     share_weights(networks["shared, trained"], CODE_WIDTH))

    test = load_images(arguments.mnist, "_test")
    for stage, network in networks.items():
        print(f"{stage}: test accuracy {accuracy(network, *test):.2%}")


if __name__ == "__main__":
    main()
