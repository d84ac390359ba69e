"""What the sparse engine is to the rest of eieio: see :mod:`eieio.model.engine`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from eieio.model.compress.report import COMPRESSION_OPTIONS
from eieio.model.engine import (
    PROTECTION_HELP,
    Compiled,
    Engine,
    Messages,
    Option,
    Prepared,
    Request,
)
from eieio.model.errors import InputError
from eieio.model.host_image import HostImage
from eieio.model.interval import Interval
from eieio.model.register import Access, Register
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.fitting import MEMORY_DEPTHS
from eieio.model.sparse.sizing import SparseSizing
from eieio.model.word_layout import WordLayout

__all__ = ["ENGINE", "FASTEST", "NETWORK", "Sparse"]

#: Orders in which the outputs may leave the engine: whichever is fastest, or the network's.
FASTEST, NETWORK = "fastest", "network"


class Sparse(Engine):
    """The sparse engine."""

    name = "sparse"
    title = "Pruned fully connected layers with shared weights, after EIE; 16 bits by default"
    takes = ("networks of fully connected layers (.npz, .onnx, .net with its prototxt, .eie), also "
             "of integers (.tflite, quantized .onnx)")
    suffixes = (".npz", ".onnx", ".net", ".eie", ".tflite")
    config = SparseConfig
    help: ClassVar = {
        "pes": "Processing elements; each does one multiply-accumulate a cycle.",
        "queue_depth": "Activations that wait in front of a processing element.",
        "columns_ahead": "Columns looked up ahead, 4 to 12; fewer make it smaller, and slower.",
        "code_width": "Bits of a weight code, 2 to 8.",
        "run_width": "Bits of a run of zeros before a weight, 3 to 8.",
        "activation_width": "Bits of an activation.",
        "weight_width": "Bits of a shared weight.",
        "accumulator_width": "Bits of an accumulator.",
        "entry_depth": "Weight entries that a processing element can hold.",
        "pointer_depth": "Column pointers that a processing element can hold.",
        "accumulator_depth": "Accumulators of a processing element.",
        "activation_depth": "Words of activations, one for each processing element, in each "
        "buffer.",
        "output_depth": "Biases that an output lane can hold.",
        "layer_depth": "Layers that can run back to back.",
        "column_groups": "Most columns broadcast side by side; the cycle model chooses for each "
        "layer.",
        "skip_empty_columns": "Spend no cycle on a column that is empty in a processing element.",
        "absorb_fillers": "Decode a filler in one cycle with the entry behind it.",
        "io_lanes": "Activations in a beat of the input and output streams.",
        "per_channel": "Hold a factor for each output of a layer, in place of one for the layer.",
        "coded_images": "Let the shell take Huffman-coded images, too.",
        "double_buffered": "Take the next input and send the output before while an inference is "
        "under way, from a second memory of activations.",
        "pes_per_lane": "Processing elements that share an output lane and take turns at it.",
        "interleaved": "Have two inferences under way: one computes while the other waits.",
        "lut_codebooks": "Keep codebooks in lookup tables: saves a block RAM for each processing "
        "element.",
        **PROTECTION_HELP,
    }
    defaults: ClassVar = {
        **dict.fromkeys(MEMORY_DEPTHS, "what the network needs"),
        "code_width": "that of shared weights, or 4",
        "accumulator_width": "what the weights need, from 32 on",
        "column_groups": "up to 4, as far as they are faster; 1 for a board",
        "run_width": "5, or more where that is faster; 5 for a board",
        "io_lanes": "up to 128 bits, as far as they spare much",
        "per_channel": "as the network has it",
        "double_buffered": "yes; no for a board without room for it",
        "interleaved": "as far as it spares much; no for a board, nor with parity or a watchdog",
    }
    settings = (
        *COMPRESSION_OPTIONS,
        Option("output_order", "Order in which the outputs leave the engine: whichever is fastest, "
               "which the image tells all that read it, or the network's.", FASTEST, "choice",
               (FASTEST, NETWORK)),
    )
    example = ("eieio build lenet.npz --engine sparse --samples mnist_test.npz --pes 16 "
               "--density 0.08 --out design")
    number = 1
    counters = (
        Register("BLOCKED_CYCLES", 0x50, Access.READ_ONLY,
                 "Cycles of the last inference in which a column waited for room in a queue, "
                 "summed over column groups."),
    )
    area = "eieio.model.sparse.area"
    hardware = "eieio.rtl.sparse.hardware"
    simulation = "eieio.sim.sparse.simulation"
    benchmarks = "eieio.scripts.sparse.bench"
    sizing = SparseSizing()

    def leaner(self, options: Mapping[str, Any]) -> dict[str, Any] | None:
        return None if "double_buffered" in options else {**options, "double_buffered": False}

    def interval(self, config: Any, cycles: float, input_beats: int, output_beats: int) -> Interval:
        from eieio.model.sparse.timing import inference_interval

        return inference_interval(config, cycles, input_beats, output_beats)

    def read(self, path: Path, output: str | None = None) -> Any:
        from eieio.model.graph.chain import as_chain
        from eieio.model.graph.load_graph import NetworkFile
        from eieio.model.sparse.chain import layers_of

        file = NetworkFile(path, output)
        if file.reference is not None or file.needs_samples:
            network = file.real_graph()
            try:
                return as_chain(network)
            except InputError as error:
                raise InputError(f"{path}: {error}: the sparse engine takes fully connected layers "
                                 "in a chain") from None
        graph = file.quantize()
        try:
            layers_of(graph)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return graph

    def prepare(self, network: Any, request: Request, messages: Messages) -> Prepared:
        from eieio.model.graph.quantized_graph import QuantizedGraph
        from eieio.model.sparse.prepared import IntegersPrepared, SparsePrepared

        if isinstance(network, QuantizedGraph):
            return IntegersPrepared(network, request, messages)
        return SparsePrepared(network, request, messages)

    def open(self, folder: Path) -> Compiled:
        from eieio.model.sparse.prepared import open_design

        return open_design(folder)

    def word_layouts(self, config: Any) -> Mapping[int, WordLayout]:
        from eieio.model.sparse.image_layout import word_layouts

        return word_layouts(config)

    def host_image(self, data: bytes) -> HostImage:
        from eieio.model.sparse import image
        from eieio.model.sparse.host import sparse_host_image

        return sparse_host_image(image.load(data))


ENGINE = Sparse()
