"""What the tensor core is to the rest of eieio: see :mod:`eieio.model.engine`."""

from pathlib import Path
from typing import Any, ClassVar

from eieio.model.engine import PROTECTION_HELP, Compiled, Engine, Messages, Prepared, Request
from eieio.model.interval import Interval
from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.sizing import TensorCoreSizing

__all__ = ["ENGINE", "TensorCore"]


class TensorCore(Engine):
    """The tensor core, with memories around it."""

    name = "tensor_core"
    title = "Matrix products in binary floating point, bit for bit as GPUs compute them"
    takes = ("networks of convolutions, fully connected layers, pools and additions, in real "
             "numbers (.onnx, .tflite, .eie, .npz, .net)")
    suffixes = (".onnx", ".tflite", ".eie", ".npz", ".net")
    config = TensorCoreConfig
    help: ClassVar = {
        "products": "Products that are added at a time, a power of two.",
        "extra_bits": "Bits kept below binary32's fraction.",
        "input_format": "Format of activations and weights, float16 or bfloat16.",
        "rows": "Rows of a step's result: windows.",
        "columns": "Columns of a step's result: channels, at most as many as products.",
        "accumulators": "Tiles of sums.",
        "activation_depth": "Activations in memory.",
        "weight_depth": "Tiles of weights in memory.",
        "bias_depth": "Tiles of biases in memory.",
        "program_depth": "Descriptors of a program.",
        **PROTECTION_HELP,
    }
    defaults: ClassVar = dict.fromkeys(
        ("activation_depth", "weight_depth", "bias_depth", "program_depth"),
        "what the network needs")
    example = ("eieio build lenet_5.onnx --engine tensor_core --samples mnist_test.npz "
               "--out design --simulate 1")
    simulation = "eieio.sim.tensor_core.simulation"
    hardware = "eieio.rtl.tensor_core.hardware"
    benchmarks = "eieio.scripts.tensor_core.bench"
    sizing = TensorCoreSizing()

    def interval(self, config: Any, cycles: float, input_beats: int, output_beats: int) -> Interval:
        return Interval(input_beats, cycles, output_beats, 6)

    def read(self, path: Path, output: str | None = None) -> Any:
        from eieio.model.graph.load_graph import NetworkFile

        return NetworkFile(path, output)

    def prepare(self, network: Any, request: Request, messages: Messages) -> Prepared:
        from eieio.model.tensor_core.prepared import prepare

        return prepare(network, request, messages)

    def open(self, folder: Path) -> Compiled:
        from eieio.model.tensor_core.prepared import open_design

        return open_design(folder)


ENGINE = TensorCore()
