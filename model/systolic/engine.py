"""What the systolic engine is to the rest of eieio: see :mod:`eieio.model.engine`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from eieio.model.engine import (
    PROTECTION_HELP,
    Compiled,
    Engine,
    Messages,
    Option,
    Prepared,
    Request,
)
from eieio.model.engine_config import EngineConfig
from eieio.model.graph.calibration import METHODS
from eieio.model.host_image import HostImage
from eieio.model.interval import Interval
from eieio.model.register import Access, Register
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.fitting import MEMORY_DEPTHS, PATCHES, make_config
from eieio.model.systolic.presets import PRESETS
from eieio.model.systolic.sizing import SystolicSizing
from eieio.model.word_layout import WordLayout

__all__ = ["ENGINE", "Systolic"]

#: Registers of each multiplier on an ECP5, which has three of its own.
_PRODUCT_STAGES = 3


class Systolic(Engine):
    """The systolic engine."""

    name = "systolic"
    title = "Weight-stationary array of 8-bit multipliers, directly or by Winograd's transforms"
    takes = ("networks of operators on images and vectors, in 8 bits (.onnx, .tflite, .eie, .npz, "
             ".net)")
    suffixes = (".onnx", ".tflite", ".eie", ".npz", ".net")
    config = SystolicConfig
    help: ClassVar = {
        "rows": "Rows of the array; each takes one activation of a vector.",
        "columns": "Columns of the array; each gives one sum.",
        "activation_width": "Bits of the array's activations.",
        "weight_width": "Bits of the array's weights.",
        "accumulator_width": "Bits of an accumulator.",
        "product_stages": "Registers behind each multiplier, 1 to 3.",
        "winograd": "0, or the m of F(m x m, 3 x 3): 2 or 4, where it is faster.",
        "residual": "Let the engine add two tensors.",
        "lanes": "Activations that are requantized, received and sent in a cycle.",
        "accumulator_depth": "Vectors in each of two banks of accumulators.",
        "activation_depth": "Words of a row's activations in the buffer.",
        "weight_depth": "Words of a column's weights.",
        "parameter_depth": "Words of a lane's output channels: biases and factors.",
        "program_depth": "Layers of a program, input and output included.",
        "code_width": "Bits of a weight in memory, where a codebook decodes it on its way into the "
                      "array: 4 or 8; 0 keeps the weights themselves.",
        "input_depth": "Words of each half of an input memory, which takes an input while another "
                       "is computed; 0 for none.",
        "output_queue_depth": "Beats of output that may wait while the next inference runs.",
        "patch_rows": "Rows of the patches that a convolution of the input takes in place of "
                      "pixels.",
        "patch_columns": "Columns of these patches.",
        "patch_channels": "Channels of their pixels; 0 for no patches.",
        "line_depth": "Columns of an image whose patches can have more than one row.",
        "depthwise_lanes": "Channels that a unit for depthwise convolutions computes in a cycle; a "
                           "divisor of lanes, or 0 without such a unit.",
        "depthwise_kernel": "Side of the largest window of that unit.",
        "depthwise_width": "Pixels in a row of the widest image that it takes.",
        "depthwise_multipliers": "What its multipliers are made of: dsp, the FPGA's, or lut, its "
                                 "logic.",
        "requantize_multipliers": "What the multipliers of requantization are made of: dsp or lut.",
        "products_per_multiplier": "Products that a multiplier of the array computes at once, 1 or "
                                   "2; 2 without winograd, and for an even number of columns.",
        "coded_images": "Let the shell take Huffman-coded images, too.",
        **PROTECTION_HELP,
    }
    defaults: ClassVar = {
        **dict.fromkeys(("residual", *MEMORY_DEPTHS), "what the network needs"),
        "activation_width": "8, or what Winograd's transforms need",
        "weight_width": "8, or what Winograd's transforms need",
        "product_stages": "1, or on an ECP5 board 3",
        "lanes": "the most, up to 8, that divide rows and columns",
        "depthwise_width": "what the network needs",
        "accumulator_depth": "4 for each row, or a tile of Winograd's for each",
        **dict.fromkeys(PATCHES, "what is fastest"),
    }
    settings = (
        Option("batch", "Samples of an inference; more than 1 for networks of fully connected "
               "layers only.", 1, least=1),
        Option("calibration", "How to find the ranges of a floating-point network's activations in "
               "the samples.", "minmax", "choice", METHODS),
        Option("percentile", "Share of the activations, in percent, that stays unclamped at each "
               "end with --calibration percentile.", 99.99, "number", least=50, most=100),
    )
    example = ("eieio build lenet_5.onnx --engine systolic --samples mnist_test.npz --rows 8 "
               "--columns 8 --winograd 2 --out design")
    number = 2
    counters = (
        Register("ACCUMULATOR_STALLS", 0x50, Access.READ_ONLY,
                 "Cycles of the last inference in which the array waited for accumulators."),
        Register("TRANSFORM_STALLS", 0x54, Access.READ_ONLY,
                 "Cycles of the last inference in which the array waited for a transform."),
    )
    area = "eieio.model.systolic.area"
    hardware = "eieio.rtl.systolic.hardware"
    simulation = "eieio.sim.systolic.simulation"
    benchmarks = "eieio.scripts.systolic.bench"
    sizing = SystolicSizing()
    presets = PRESETS

    def make_config(self, options: Mapping[str, Any]) -> EngineConfig:
        return make_config(options)

    def for_board(self, options: Mapping[str, Any], family: str) -> dict[str, Any]:
        return ({"product_stages": _PRODUCT_STAGES} if family == "ecp5" else {}) | {**options}

    def interval(self, config: Any, cycles: float, input_beats: int, output_beats: int) -> Interval:
        from eieio.model.systolic.timing import inference_interval

        return inference_interval(config, cycles, input_beats, output_beats)

    def read(self, path: Path, output: str | None = None) -> Any:
        from eieio.model.graph.load_graph import NetworkFile

        return NetworkFile(path, output)

    def prepare(self, network: Any, request: Request, messages: Messages) -> Prepared:
        from eieio.model.systolic.prepared import prepare

        make_config(request.options)
        return prepare(network, request, messages)

    def open(self, folder: Path) -> Compiled:
        from eieio.model.systolic.prepared import open_design

        return open_design(folder)

    def word_layouts(self, config: Any) -> Mapping[int, WordLayout]:
        from eieio.model.systolic.program import word_layouts

        return word_layouts(config)

    def host_image(self, data: bytes) -> HostImage:
        from eieio.model.systolic import image
        from eieio.model.systolic.host import systolic_host_image

        return systolic_host_image(image.load(data))


ENGINE = Systolic()
