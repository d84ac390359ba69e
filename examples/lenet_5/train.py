"""Train LeNet-5 on MNIST, in floating point, and write it in ONNX.

The network trains on the first 55,000 training images, each distorted anew whenever it is seen. The
last 5,000 are the validation images; the test images are looked at once, at the end. Training knows
nothing of 8-bit integers: calibration quantizes the network afterwards.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from evaluate import INPUT_SCALE
from torch import Tensor
from torch.nn import functional

from eieio.training.trainer import Trainer

__all__ = ["accuracy", "distort", "lenet_5", "write_onnx"]

VALIDATION_IMAGES = 5_000
CALIBRATION_IMAGES = 256
BATCH = 100
EPOCHS, RATE = 8, 4e-3

# Bounds of the distortions: degrees, share, share, pixels.
ROTATION, SCALE, SHEAR, SHIFT = 10.0, 0.1, 0.1, 1.5

OPSET, IR_VERSION = 13, 7


def lenet_5() -> torch.nn.Sequential:
    """Create the network with random weights: 61,706 of them, biases included.

    The layers are LeCun's; rectifiers and the largest of every four take the place of hyperbolic
    tangents and trained means.
    """
    model = torch.nn.Sequential()
    model.add_module("conv1", torch.nn.Conv2d(1, 6, 5, padding=2))
    model.add_module("relu1", torch.nn.ReLU())
    model.add_module("pool1", torch.nn.MaxPool2d(2))
    model.add_module("conv2", torch.nn.Conv2d(6, 16, 5))
    model.add_module("relu2", torch.nn.ReLU())
    model.add_module("pool2", torch.nn.MaxPool2d(2))
    model.add_module("flatten", torch.nn.Flatten())
    model.add_module("fc1", torch.nn.Linear(400, 120))
    model.add_module("relu3", torch.nn.ReLU())
    model.add_module("fc2", torch.nn.Linear(120, 84))
    model.add_module("relu4", torch.nn.ReLU())
    model.add_module("fc3", torch.nn.Linear(84, 10))
    return model


def distort(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate, scale, shear and shift each image of a float tensor of shape (images, 1, 28, 28)."""
    def uniform(bound: float) -> Tensor:
        return (torch.rand(len(images), generator=generator) * 2 - 1) * bound

    angle, shear = uniform(math.radians(ROTATION)), uniform(SHEAR)
    across, down = 1 + uniform(SCALE), 1 + uniform(SCALE)
    pixel = 2 / images.shape[-1]  # the grid runs from -1 to 1
    matrix = torch.stack([
        across * angle.cos(), across * (shear - angle.sin()), uniform(SHIFT * pixel),
        down * angle.sin(), down * angle.cos(), uniform(SHIFT * pixel)], 1).reshape(-1, 2, 3)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def accuracy(model: torch.nn.Sequential, images: Tensor, labels: Tensor) -> float:
    """Share of the images whose largest output is the one of their label."""
    with torch.no_grad():
        return float((model(images).argmax(1) == labels).float().mean())


def write_onnx(path: Path, model: torch.nn.Sequential) -> None:
    """Write the network: it takes ``input`` of shape (batch, 1, 28, 28) and gives ``output``."""
    nodes, tensors = [], []
    current = "input"
    layers = list(model.named_children())
    for number, (name, layer) in enumerate(layers):
        operands, end = [current], "output" if number == len(layers) - 1 else f"{name}_out"
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            for what, parameter in layer.named_parameters():
                operands.append(f"{name}_{what}")
                tensors.append(onnx.numpy_helper.from_array(
                    parameter.detach().numpy().copy(), operands[-1]))
        match layer:
            case torch.nn.Conv2d():
                assert isinstance(layer.padding, tuple)
                kind, options = "Conv", {
                    "kernel_shape": layer.kernel_size, "pads": [*layer.padding, *layer.padding]}
            case torch.nn.Linear():
                kind, options = "Gemm", {"transB": 1}
            case torch.nn.MaxPool2d():
                size = [layer.kernel_size] * 2
                kind, options = "MaxPool", {"kernel_shape": size, "strides": size}
            case torch.nn.ReLU():
                kind, options = "Relu", {}
            case _:
                kind, options = "Flatten", {}
        nodes.append(onnx.helper.make_node(kind, operands, [end], name, **options))
        current = end
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes, "lenet_5", [onnx.helper.make_tensor_value_info("input", kind, ["batch", 1, 28, 28])],
        [onnx.helper.make_tensor_value_info("output", kind, ["batch", 10])], tensors)
    written = onnx.helper.make_model(
        graph, producer_name="eieio", ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    onnx.checker.check_model(written, full_check=True)
    path.write_bytes(written.SerializeToString(deterministic=True))


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description="Train LeNet-5 on MNIST.")
    parser.add_argument("--data", type=Path, default=Path("mnist.npz"),
                        help="MNIST: x_train, y_train, x_test, y_test (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("lenet_5.onnx"),
                        help="network to write (default: %(default)s)")
    parser.add_argument("--samples", type=Path, default=Path("mnist_train_256.npz"),
                        help="images for calibration to write (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)

    with np.load(arguments.data) as file:
        data = {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez_compressed(arguments.samples, x=data["x_train"][:CALIBRATION_IMAGES, None],
                        y=data["y_train"][:CALIBRATION_IMAGES])
    x, x_test = (torch.from_numpy(data[name][:, None] * np.float32(INPUT_SCALE))
                 for name in ("x_train", "x_test"))
    y, y_test = (torch.from_numpy(data[name].astype(np.int64)) for name in ("y_train", "y_test"))

    start = time.monotonic()
    model = lenet_5()
    trainer = Trainer(x[:-VALIDATION_IMAGES], y[:-VALIDATION_IMAGES], BATCH,
                      lambda images: distort(images, generator), generator)
    trainer.fit(model, epochs=EPOCHS, rate=RATE)
    print(f"{time.monotonic() - start:.0f} s")
    print(f"validation {accuracy(model, x[-VALIDATION_IMAGES:], y[-VALIDATION_IMAGES:]):.2%}")
    print(f"test       {accuracy(model, x_test, y_test):.2%}")
    write_onnx(arguments.out, model)


if __name__ == "__main__":
    main()
