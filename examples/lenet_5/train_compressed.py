"""Train Caffe's LeNet-5 on MNIST, prune it, share its weights, and write it compressed.

The recipe has three stages, each starting from the network of the one before:

1. dense training, on randomly distorted images;
2. pruning by magnitude, little by little while training goes on, then training what is left;
3. weight sharing, then training the shared weights.

Every stage trains on the first 55,000 training images. The last 5,000 are the validation images;
the test images are looked at once, when all stages are done.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from evaluate import INPUT_SCALE
from train import VALIDATION_IMAGES, accuracy, distort, write_onnx

from eieio.model.compress.stages import compress_network
from eieio.model.formats import compressed, onnx
from eieio.model.graph.float_graph import FloatGraph
from eieio.training.compression import prune, train_shared
from eieio.training.trainer import Trainer

__all__ = ["lenet_5_caffe", "to_network"]

BATCH = 128

DENSE_EPOCHS, DENSE_RATE = 8, 2e-3

PRUNE_EPOCHS, PRUNE_RATE = 10, 2e-3
DENSITIES = {"conv1": 0.5, "conv2": 0.08, "ip1": 0.03, "ip2": 0.16}

SHARE_EPOCHS, SHARE_RATE = 3, 5e-4
CODE_WIDTHS = {"conv1": 5, "conv2": 4, "ip1": 3, "ip2": 4}


def lenet_5_caffe() -> torch.nn.Sequential:
    """Create the network with random weights: 430,500 of them, and 580 biases.

    It is the one that Caffe brings, and that Deep Compression calls LeNet-5: no rectifier follows
    the convolutions.
    """
    model = torch.nn.Sequential()
    model.add_module("conv1", torch.nn.Conv2d(1, 20, 5))
    model.add_module("pool1", torch.nn.MaxPool2d(2))
    model.add_module("conv2", torch.nn.Conv2d(20, 50, 5))
    model.add_module("pool2", torch.nn.MaxPool2d(2))
    model.add_module("flatten", torch.nn.Flatten())
    model.add_module("ip1", torch.nn.Linear(800, 500))
    model.add_module("relu1", torch.nn.ReLU())
    model.add_module("ip2", torch.nn.Linear(500, 10))
    return model


def to_network(model: torch.nn.Sequential) -> FloatGraph:
    """Copy a PyTorch model, by way of ONNX."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lenet_5_caffe.onnx")
        write_onnx(path, model)
        return onnx.read(path).graph


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description="Train, prune and share Caffe's LeNet-5 on MNIST.")
    parser.add_argument("--mnist", type=Path, default=Path("mnist.npz"),
                        help="MNIST: x_train, y_train, x_test, y_test (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("lenet_5_caffe.eie"),
                        help="network to write (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)

    with np.load(arguments.mnist) as file:
        data = {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    x, x_test = (torch.from_numpy(data[name][:, None] * np.float32(INPUT_SCALE))
                 for name in ("x_train", "x_test"))
    y, y_test = (torch.from_numpy(data[name].astype(np.int64)) for name in ("y_train", "y_test"))
    trainer = Trainer(x[:-VALIDATION_IMAGES], y[:-VALIDATION_IMAGES], BATCH,
                      lambda images: distort(images, generator), generator)
    start = time.monotonic()
    stages: dict[str, float] = {}

    def record(stage: str) -> None:
        # Each stage begins with the seed, so that what comes before can change its length.
        generator.manual_seed(arguments.seed)
        found = accuracy(model, x[-VALIDATION_IMAGES:], y[-VALIDATION_IMAGES:])
        stages[stage] = accuracy(model, x_test, y_test)
        print(f"{stage}: validation accuracy {found:.2%}, {time.monotonic() - start:.0f} s",
              flush=True)

    # PyTorch's convolutions are twice as fast with the channels last.
    model = lenet_5_caffe().to(memory_format=torch.channels_last)
    trainer.fit(model, epochs=DENSE_EPOCHS, rate=DENSE_RATE)
    record("dense")
    prune(trainer, model, DENSITIES, epochs=PRUNE_EPOCHS, rate=PRUNE_RATE)
    record("pruned")
    train_shared(trainer, model, CODE_WIDTHS, epochs=SHARE_EPOCHS, rate=SHARE_RATE,
                 initialisation="linear")
    record("shared, trained")
    # No layer has more different weights than codes, so that sharing changes none.
    compression = compress_network(to_network(model), code_width=[*CODE_WIDTHS.values()])
    compressed.write(arguments.out, compression.shared)
    for stage in compression.stages():
        print(f"{stage.name}: {stage.bytes} bytes, {stage.ratio:.1f} times smaller")
    for stage, found in stages.items():
        print(f"{stage}: test accuracy {found:.2%}")


if __name__ == "__main__":
    main()
