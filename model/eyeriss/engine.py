"""What the row-stationary array is to the rest of eieio: see :mod:`eieio.model.engine`."""

from pathlib import Path
from typing import Any, ClassVar

from eieio.model.engine import Compiled, Engine, Messages, Option, Prepared, Request
from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.eyeriss.energy import EYERISS
from eieio.model.eyeriss.sizing import EyerissSizing
from eieio.model.graph.calibration import METHODS
from eieio.model.interval import Interval

__all__ = ["ENGINE", "Eyeriss"]


class Eyeriss(Engine):
    """The row-stationary array."""

    name = "eyeriss"
    title = "Row-stationary array: each PE convolves rows, and data moves as little as it can"
    takes = ("networks of operators on images and vectors, of which it computes convolutions and "
             "fully connected layers (.onnx, .tflite, .eie, .npz, .net)")
    suffixes = (".onnx", ".tflite", ".eie", ".npz", ".net")
    config = EyerissConfig
    help: ClassVar = {
        "rows": "Rows of processing elements.",
        "columns": "Columns of processing elements.",
        "filter_words": "Weights in a processing element's scratch pad.",
        "ifmap_words": "Activations in a processing element's scratch pad.",
        "psum_words": "Partial sums in a processing element's scratch pad.",
        "glb_bytes": "Bytes of the global buffer.",
        "glb_banks": "Banks of the global buffer.",
        "bus_words": "Weights, and partial sums each way, that a bus carries in a cycle.",
        "psum_width": "Bits of a partial sum.",
        "clock_mhz": "Clock, for times in seconds.",
    }
    settings = (
        Option("mappings", "JSON file of mappings by layer: objects of n, m, e, p, q, r and t. "
               "Those of other layers are chosen.", None, "text"),
        Option("calibration", "How to find the ranges of a floating-point network's activations in "
               "the samples.", "minmax", "choice", METHODS),
        Option("percentile", "Share of the activations, in percent, that stays unclamped at each "
               "end with --calibration percentile.", 99.99, "number", least=50, most=100),
    )
    example = ("eieio build lenet_5.onnx --engine eyeriss --samples mnist_test.npz --rows 6 "
               "--columns 8 --glb-bytes 65536 --glb-banks 16 --out design --simulate 1")
    area = "eieio.model.eyeriss.area"
    simulation = "eieio.sim.eyeriss.simulation"
    hardware = "eieio.rtl.eyeriss.hardware"
    benchmarks = "eieio.scripts.eyeriss.bench"
    sizing = EyerissSizing()
    energy = EYERISS

    def interval(self, config: Any, cycles: float, input_beats: int, output_beats: int) -> Interval:
        """Return an interval of the cycles alone: data go by among the commands."""
        del config, input_beats, output_beats
        return Interval(0, cycles, 0, 0)

    def read(self, path: Path, output: str | None = None) -> Any:
        from eieio.model.graph.load_graph import NetworkFile

        return NetworkFile(path, output)

    def prepare(self, network: Any, request: Request, messages: Messages) -> Prepared:
        from eieio.model.eyeriss.prepared import prepare

        EyerissConfig.from_dict({**request.options})
        return prepare(network, request, messages)

    def open(self, folder: Path) -> Compiled:
        from eieio.model.eyeriss.prepared import open_design

        return open_design(folder)


ENGINE = Eyeriss()
