"""Measure the accuracy and the density of a LeNet-300-100 with NumPy alone.

Run ``python evaluate.py`` for the network and the 1,000 images beside this file, or name a weights
file and a file with all of MNIST.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.float_graph import FloatGraph
from eieio.model.graph.load_graph import NetworkFile

__all__ = ["INPUT_SCALE", "accuracy", "load_images"]

FOLDER = Path(__file__).parent

# A power of two rather than 1 / 255: every input is exact in binary.
INPUT_SCALE = np.float32(1 / 256)


def load_images(path: Path, suffix: str = "") -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Load images and their labels from an ``.npz`` file.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        File to read.
    suffix : :class:`str`
        Ending of the arrays' names: ``"_test"`` takes ``x_test`` and ``y_test``.

    Returns
    -------
    float32 array of shape (images, 784), uint8 array of shape (images,)
        Images, from 0 to 255/256, and labels, from 0 to 9.
    """
    try:
        with np.load(path) as file:
            x, y = file["x" + suffix], file["y" + suffix]
    except KeyError as error:
        sys.exit(f"{path}: {error.args[0]}")
    if x.dtype != np.uint8 or x.shape not in {(len(y), 784), (len(y), 28, 28)}:
        sys.exit(f"{path}: x{suffix} must be a uint8 array of {len(y)} images of 28 x 28 pixels, "
                 f"not {x.dtype} of shape {x.shape}")
    return x.reshape(-1, 784) * INPUT_SCALE, y.astype(np.uint8)


def accuracy(network: FloatGraph, x: NDArray[np.float32], y: NDArray[np.uint8]) -> float:
    """Share of the images whose largest output is the one of their label."""
    return float(np.mean(network.forward(x).argmax(axis=1) == y))


def main() -> None:
    """Print accuracy and density."""
    parser = argparse.ArgumentParser(description="Measure a LeNet-300-100.")
    parser.add_argument("weights", type=Path, nargs="?", default=FOLDER / "lenet_300_100.npz")
    parser.add_argument("images", type=Path, nargs="?", default=FOLDER / "mnist_test_1000.npz",
                        help=".npz file with x_test and y_test (all of MNIST), or with x and y")
    arguments = parser.parse_args()

    network = NetworkFile(arguments.weights).real_graph()
    with np.load(arguments.images) as file:
        suffix = "_test" if "x_test" in file else ""
    x, y = load_images(arguments.images, suffix)

    for layer in network.weighted:
        outputs, inputs = layer.weight.shape
        nonzeros = layer.weight[layer.weight != 0]
        print(f"{layer.name}  {inputs:3} x {outputs:3}  {nonzeros.size:6} nonzero  "
              f"density {nonzeros.size / layer.weight.size:6.2%}  "
              f"{np.unique(nonzeros).size} distinct nonzero values")
    print(f"density  {network.density:.3%}")
    correct = round(accuracy(network, x, y) * len(y))
    print(f"accuracy {correct / len(y):.2%} ({correct} of {len(y)} images)")


if __name__ == "__main__":
    main()
