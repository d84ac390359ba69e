"""What the authors of DaDianNao published of their node, and layers to compare the model by.

Chen et al., "DaDianNao: A Machine-Learning Supercomputer", MICRO 2014: table V is the program of
a fully connected layer of 4,096 inputs and outputs on four nodes.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eieio.model.dadiannao.compiler import CompiledGraph, compile_graph
from eieio.model.dadiannao.config import NODE
from eieio.model.dadiannao.instruction import Instruction, Stage1, Stage2, Stage3
from eieio.model.dadiannao.timing import group_words
from eieio.model.graph.quantized_graph import Conv2D, FullyConnected, QuantizedGraph, Tensor, Window

__all__ = ["CONVOLUTIONS", "TABLE_V", "Convolution", "compile_convolution", "compile_dense",
           "listing", "nfu_cycles"]

#: Addresses, strides and iterations of the program in table V, in its order.
TABLE_V = tuple({
    "sb_read": (256 * number, 256), "central_read": (64 * number, 0, 64),
    "central_write": (256, 4) if number == 3 else None} for number in range(4))


@dataclass(frozen=True)
class Convolution:
    """A convolution of a published network: its name, window, and numbers of maps."""

    name: str
    kernel: int
    inputs: int
    outputs: int

    @property
    def pixel_cycles(self) -> int:
        """Cycles of a pixel of the output by the published splitting, on one node."""
        return self.kernel ** 2 * -(-self.inputs // 16) * -(-self.outputs // 256)


#: Convolutions of AlexNet and VGG-16, by the maps of a group.
CONVOLUTIONS = (
    Convolution("AlexNet conv1", 11, 3, 96), Convolution("AlexNet conv2", 5, 48, 128),
    Convolution("AlexNet conv3", 3, 256, 384), Convolution("AlexNet conv5", 3, 192, 128),
    Convolution("VGG-16 conv1_2", 3, 64, 64), Convolution("VGG-16 conv3_2", 3, 256, 256),
    Convolution("VGG-16 conv5_1", 3, 512, 512))


def compile_dense(inputs: int, outputs: int, nodes: int) -> CompiledGraph:
    """Compile a fully connected layer for published nodes; its program depends on no weight."""
    x, y = Tensor("inputs", (inputs,), 1.0, 0), Tensor("outputs", (outputs,), 1.0, 0)
    layer = FullyConnected(
        "dense", (x,), y, np.zeros((outputs, inputs), np.int8), np.zeros(outputs, np.int32),
        np.full(outputs, 1 << 30, np.int32), np.zeros(outputs, np.int32), -128, 127)
    return compile_graph(QuantizedGraph(f"{inputs} x {outputs}", x, y, (layer,)),
                         replace(NODE, nodes=nodes))


def compile_convolution(layer: Convolution, pixels: int) -> CompiledGraph:
    """Compile a convolution of so many pixels in a row for a published node."""
    x = Tensor("x", (layer.kernel, pixels + layer.kernel - 1, layer.inputs), 1.0, 0)
    y = Tensor("y", (1, pixels, layer.outputs), 1.0, 0)
    weight = np.zeros((layer.outputs, layer.kernel, layer.kernel, layer.inputs), np.int8)
    conv = Conv2D(
        "conv", (x,), y, weight, np.zeros(layer.outputs, np.int32),
        np.full(layer.outputs, 1 << 30, np.int32), np.zeros(layer.outputs, np.int32), -128, 127,
        Window((layer.kernel, layer.kernel)))
    return compile_graph(QuantizedGraph(layer.name, x, y, (conv,)), NODE)


def nfu_cycles(compiled: CompiledGraph) -> int:
    """Count the cycles in which a node's multipliers work: a row of the synapse buffers each."""
    return sum(each.sb_rows for each in compiled.program())


def listing(instruction: Instruction) -> dict[str, Any]:
    """Show an instruction by the columns of the authors' table IV.

    Of the central buffer the stride is from tile to tile: 0 if all take the same. Reads of NBin and
    of NBout are those of a tile.
    """
    steps, groups = instruction.group_steps, instruction.groups
    collected = instruction.stage3 != Stage3.NONE
    return {
        "central_read": {"addr": instruction.read_addr, "stride": instruction.read_stride,
                         "iterations": steps if instruction.keep else instruction.steps},
        "central_write": {"addr": instruction.write_addr, "stride": instruction.write_stride,
                          "iterations": sum(group_words(instruction)) * instruction.iterations
                          } if collected else None,
        "sb_read": {"addr": instruction.sb_addr, "stride": 1,
                    "iterations": instruction.sb_rows},
        "nbin_write": {"addr": 0, "stride": 1, "iterations": steps} if instruction.keep else None,
        "nbin_read": {"addr": 0, "stride": 1, "iterations": steps * (groups - 1)
                      } if instruction.keep else None,
        "nbout_read": {"addr": 0, "stride": 1, "iterations": groups
                       } if instruction.resume else None,
        "nbout_write": {"addr": 0, "stride": 1, "iterations": groups * instruction.iterations},
        "nfu": [Stage1(instruction.stage1).name, Stage2(instruction.stage2).name,
                Stage3(instruction.stage3).name],
    }
