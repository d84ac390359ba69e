"""Measure the accuracy of LeNet-5: in floating point, and in the integers of the hardware.

Run ``python evaluate.py`` for the network here and the 1,000 images beside LeNet-300-100, or name a
network and a file with all of MNIST.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.calibration import METHODS
from eieio.model.graph.float_graph import FloatGraph, run
from eieio.model.graph.golden import run_graph
from eieio.model.graph.load_graph import NetworkFile, arrange, read_graph
from eieio.model.graph.quantized_graph import QuantizedGraph

__all__ = ["INPUT_SCALE", "accuracy", "load_images"]

FOLDER = Path(__file__).parent

# A power of two rather than 1 / 255: every input is exact in binary.
INPUT_SCALE = 1 / 256

# Images computed together.
_BATCH = 250


def load_images(path: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Load images and their labels from an ``.npz`` file: all test images of MNIST, or x and y.

    Returns
    -------
    float64 array of shape (images, 28, 28, 1), uint8 array of shape (images,)
        Images, from 0 to 255/256, and labels, from 0 to 9.
    """
    try:
        with np.load(path) as file:
            suffix = "_test" if "x_test" in file else ""
            x, y = file["x" + suffix], file["y" + suffix]
    except KeyError as error:
        sys.exit(f"{path}: {error.args[0]}")
    return arrange(x * INPUT_SCALE, (28, 28, 1)).astype(np.float64), y


def accuracy(network: FloatGraph | QuantizedGraph, x: NDArray[np.float64],
             y: NDArray[np.uint8]) -> float:
    """Share of the images whose largest output is the one of their label."""
    correct = 0
    for start in range(0, len(x), _BATCH):
        batch = slice(start, start + _BATCH)
        values: dict[str, NDArray[Any]]
        if isinstance(network, FloatGraph):
            values = {**run(network, x[batch])}
        else:
            values = {**run_graph(network, network.input.quantize(x[batch]))}
        correct += int((values[network.output.name].argmax(axis=1) == y[batch]).sum())
    return correct / len(x)


def main() -> None:
    """Print accuracies."""
    parser = argparse.ArgumentParser(description="Measure LeNet-5.")
    parser.add_argument("network", type=Path, nargs="?", default=FOLDER / "lenet_5.onnx")
    parser.add_argument("images", type=Path, nargs="?",
                        default=FOLDER.parent / "lenet_300_100" / "mnist_test_1000.npz",
                        help=".npz file with x_test and y_test (all of MNIST), or with x and y")
    parser.add_argument("--samples", type=Path, default=FOLDER / "mnist_train_256.npz",
                        help="images for calibration (default: %(default)s)")
    arguments = parser.parse_args()

    x, y = load_images(arguments.images)
    network = NetworkFile(arguments.network).real_graph()
    print(f"{'floating point':20} {accuracy(network, x, y):.2%}")
    for method in METHODS:
        graph = read_graph(arguments.network, arguments.samples, method)
        print(f"{f'8 bits, {method}':20} {accuracy(graph, x, y):.2%}")


if __name__ == "__main__":
    main()
