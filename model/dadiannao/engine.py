"""What the DaDianNao engine is to the rest of eieio: see :mod:`eieio.model.engine`."""

from pathlib import Path
from typing import Any, ClassVar

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.functions import FUNCTIONS
from eieio.model.dadiannao.sizing import DaDianNaoSizing
from eieio.model.engine import (
    PROTECTION_HELP,
    Compiled,
    Engine,
    Messages,
    Option,
    Prepared,
    Request,
)
from eieio.model.graph.calibration import METHODS
from eieio.model.host_image import HostImage
from eieio.model.interval import Interval
from eieio.model.register import Access, Register

__all__ = ["ENGINE", "DaDianNao"]


class DaDianNao(Engine):
    """Tiles beside their synapses."""

    name = "dadiannao"
    title = "Tiles of multipliers and adder trees beside wide memories that hold all weights"
    takes = ("networks of convolutions, fully connected layers, pooling, padding and additions "
             "(.onnx, .tflite, .eie, .npz, .net)")
    suffixes = (".onnx", ".tflite", ".eie", ".npz", ".net")
    config = DaDianNaoConfig
    help: ClassVar = {
        "tiles": "Tiles of a node.",
        "inputs": "Inputs that a tile takes in a cycle.",
        "outputs": "Outputs that a tile computes of them.",
        "sb_banks": "Banks of a tile's synapse buffer.",
        "sb_depth": "Rows of a bank, each with a weight for each multiplier of the tile.",
        "nbin_depth": "Rows of inputs that a tile keeps to take them again.",
        "nbout_depth": "Words of sums that wait in a tile.",
        "central_depth": "Rows of the central buffer, for activations.",
        "program_depth": "Instructions.",
        "parameter_depth": "Words whose biases and factors a node holds.",
        "activation_width": "Bits of an activation, less its zero point.",
        "weight_width": "Bits of a weight: 8 or 16.",
        "sum_width": "Bits of a sum.",
        "additions": "Whether tensors can be added.",
        "functions": "Whether there is the table for sigmoid and tanh.",
        "nodes": "Nodes in a ring.",
        "clock_mhz": "Clock, for times in seconds.",
        **PROTECTION_HELP,
    }
    defaults: ClassVar = dict.fromkeys(
        ("sb_depth", "central_depth", "program_depth", "parameter_depth", "activation_width",
         "weight_width", "sum_width", "additions", "functions"), "what the network needs")
    settings = (
        Option("function", "Function of the network's outputs that the engine computes by its "
               "table.", "none", "choice", ("none", *FUNCTIONS)),
        Option("calibration", "How to find the ranges of a floating-point network's activations in "
               "the samples.", "minmax", "choice", METHODS),
        Option("percentile", "Share of the activations, in percent, that stays unclamped at each "
               "end with --calibration percentile.", 99.99, "number", least=50, most=100),
    )
    example = ("eieio build lenet_5.onnx --engine dadiannao --samples mnist_test.npz --tiles 4 "
               "--inputs 4 --outputs 4 --out design --simulate 1")
    number = 4
    counters = (
        Register("NBOUT_STALLS", 0x50, Access.READ_ONLY,
                 "Cycles of the last inference in which the tiles waited for room in NBout."),
        Register("CENTRAL_READS", 0x54, Access.READ_ONLY,
                 "Rows that it read of the central buffers."),
        Register("CENTRAL_WRITES", 0x58, Access.READ_ONLY,
                 "Words that it wrote into the central buffers."),
        Register("NBIN_READS", 0x5C, Access.READ_ONLY, "Rows that tiles read of their NBin."),
    )
    benchmarks = "eieio.scripts.dadiannao.bench"
    simulation = "eieio.sim.dadiannao.simulation"
    hardware = "eieio.rtl.dadiannao.hardware"
    sizing = DaDianNaoSizing()

    def interval(self, config: Any, cycles: float, input_beats: int, output_beats: int) -> Interval:
        """Return an interval in which a word of output takes as long as reading it does."""
        return Interval(input_beats, cycles, 5 * output_beats, 2)

    def read(self, path: Path, output: str | None = None) -> Any:
        from eieio.model.graph.load_graph import NetworkFile

        return NetworkFile(path, output)

    def prepare(self, network: Any, request: Request, messages: Messages) -> Prepared:
        from eieio.model.dadiannao.prepared import prepare

        DaDianNaoConfig.from_dict({**request.options})
        return prepare(network, request, messages)

    def open(self, folder: Path) -> Compiled:
        from eieio.model.dadiannao.prepared import open_design

        return open_design(folder)

    def host_image(self, data: bytes) -> HostImage:
        from eieio.model.dadiannao.image import load

        return load(data)


ENGINE = DaDianNao()
