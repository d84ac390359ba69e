"""Compiler: from a network of integers to programs, weights and parameters of all nodes.

Outputs of a fully connected layer are cut into as many parts as there are nodes, those of a node
among its tiles, and computed by all at once; kernels of a convolution lie in every node, which
computes some rows of the output, its channels cut among the tiles. After a layer the nodes send
their parts around the ring, so that each has the whole tensor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.functions import Table, make_table, output_scale
from eieio.model.dadiannao.instruction import Instruction, Stage1, Stage2, Stage3
from eieio.model.dadiannao.placement import Placement, Shape, allocate, centred_width
from eieio.model.errors import InputError
from eieio.model.graph.quantized_graph import (
    ADD_LEFT_SHIFT,
    Add,
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    LogSoftmax,
    MaxPool,
    Operator,
    Pad,
    Pool,
    QuantizedGraph,
    Reshape,
    Softmax,
    Tensor,
    WeightedOperator,
    Window,
    with_plain_biases,
)

__all__ = ["CompiledGraph", "CompiledLayer", "Parameters", "compile_graph"]

# Bias, multiplier, shift and left shift of the factor 1.
_IDENTITY = (0, 1 << 30, 0, 1)


@dataclass(frozen=True, eq=False)
class Parameters:
    """Biases and factors of words: int64 arrays of shape (words, lanes).

    ``left`` is a shift to the left before all else.
    """

    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    left: NDArray[np.int64]

    @property
    def words(self) -> int:
        """Number of words."""
        return len(self.bias)


@dataclass(frozen=True, eq=False)
class CompiledLayer:
    """An operator in the nodes.

    Attributes
    ----------
    operator : Operator
        It.
    programs : sequence of sequences of Instruction
        Instructions of each node, as many for each.
    """

    operator: Operator
    programs: Sequence[Sequence[Instruction]]

    @property
    def name(self) -> str:
        """Name of the operator."""
        return self.operator.name


@dataclass(frozen=True, eq=False)
class CompiledGraph:
    """A network in the memories of nodes.

    Attributes
    ----------
    graph : QuantizedGraph
        The network.
    config : DaDianNaoConfig
        The nodes.
    result : Tensor
        What the engine sends.
    host_operators : sequence of Operator
        What the host computes of it.
    input, output : Placement
        Where the input is written, and the output read.
    layers : sequence of CompiledLayer
        What is computed.
    start : sequence of sequences of Instruction
        Instructions of each node before the first layer: the input on its way around the ring.
    synapses : integer array of shape (nodes, tiles, rows, weights of a row)
        Weights; in a row those of an output one after the other.
    parameters : sequence of Parameters
        Parameters of each node.
    placements : dict of Tensor to Placement
        Where each tensor is written.
    central_words : :class:`int`
        Words of the central buffer that are used.
    tables : tuple of Table
        Tables of functions.
    """

    graph: QuantizedGraph
    config: DaDianNaoConfig
    result: Tensor
    host_operators: Sequence[Operator]
    input: Placement
    output: Placement
    layers: Sequence[CompiledLayer]
    start: Sequence[Sequence[Instruction]]
    synapses: NDArray[np.int32]
    parameters: Sequence[Parameters]
    placements: dict[Tensor, Placement]
    central_words: int
    tables: tuple[Table, ...] = ()

    def program(self, node: int = 0) -> list[Instruction]:
        """Return all instructions of a node, in their order."""
        return [*self.start[node],
                *(each for layer in self.layers for each in layer.programs[node])]


def compile_graph(graph: QuantizedGraph, config: DaDianNaoConfig, function: str | None = None
                  ) -> CompiledGraph:
    """Compile a network.

    Parameters
    ----------
    graph, config :
        The network and the nodes.
    function : :class:`str`, optional
        Function of the outputs, of which the graph gives the arguments:
        :func:`~eieio.model.dadiannao.functions.with_arguments` makes it so.

    Raises
    ------
    InputError
        If the nodes cannot compute it, or have too little memory: the message names the operator,
        or the option that says how much there must be.
    """
    return _Compiler(graph, config, function).compile()


@dataclass(eq=False)
class _Memory:
    """What is put into the memories of all nodes."""

    config: DaDianNaoConfig
    rows: int = 0
    blocks: list[NDArray[np.int32]] = field(default_factory=list)
    words: list[list[NDArray[np.int64]]] = field(default_factory=list)

    def add_synapses(self, weight: NDArray[np.integer]) -> int:
        """Add rows, shape (nodes, tiles, rows, outputs, inputs); return the first one's address."""
        nodes, tiles, rows = weight.shape[:3]
        self.blocks.append(weight.reshape(nodes, tiles, rows, -1).astype(np.int32))
        self.rows += rows
        return self.rows - rows

    def add_parameters(self, parameters: Sequence[NDArray[np.integer]]) -> int:
        """Add words of each node: 4 arrays of shape (nodes, words, lanes)."""
        addr = sum(each[0].shape[1] for each in self.words)
        self.words.append([np.asarray(each, np.int64) for each in parameters])
        return addr

    def add_same(self, values: tuple[int, ...]) -> int:
        """Add a word all of whose lanes, of all nodes, have the same parameters."""
        shape = self.config.nodes, 1, self.config.outputs
        return self.add_parameters([np.full(shape, value, np.int64) for value in values])


class _Compiler:
    def __init__(self, graph: QuantizedGraph, config: DaDianNaoConfig, function: str | None
                 ) -> None:
        self.graph, self.config = graph, config
        if function is not None and not config.functions:
            raise InputError(f"Network {graph.name!r} ends in a {function}: the engine must be one "
                             "with --functions")
        self.table = None if function is None else make_table(
            function, config.activation_width, output_scale(config.activation_width))
        self.memory = _Memory(config)
        operators = [with_plain_biases(operator) if isinstance(operator, WeightedOperator)
                     else operator for operator in graph.operators]
        first = next((number for number, operator in enumerate(operators)
                      if isinstance(operator, Softmax | LogSoftmax)), len(operators))
        self.operators, self.host = operators[:first], operators[first:]
        for operator in self.host:
            if not isinstance(operator, Softmax | LogSoftmax | Reshape):
                raise InputError(f"{_label(operator)}: nothing but changes of shape may follow a "
                                 "softmax, which is the host's")
        self.aliases: dict[Tensor, Tensor] = {}
        self.placements: dict[Tensor, Placement] = {}

    def compile(self) -> CompiledGraph:
        graph, config = self.graph, self.config
        shapes = {graph.input: self._shape(graph.input, None)}
        self._check_width(graph.input, "the input")
        for operator in self.operators:
            if isinstance(operator, Reshape):
                source = operator.input
                self.aliases[operator.output] = self.aliases.get(source, source)
            else:
                shapes[operator.output] = self._shape(operator.output, operator)
                self._check_width(operator.output, _label(operator))
        computing = [each for each in self.operators if not isinstance(each, Reshape)]
        if not computing:
            raise InputError(f"Network {graph.name!r} must have an operator that the engine "
                             "computes: it takes convolutions, fully connected layers, pooling, "
                             "padding and additions")
        result = self.aliases.get(self.operators[-1].output, self.operators[-1].output)
        self.placements, words = allocate(shapes, self.operators, self.aliases, graph.input,
                                          result)
        layers = [CompiledLayer(operator, self._layer(operator)) for operator in computing]
        start = self._scatter(self.placements[graph.input])
        memory = self.memory
        synapses = (np.concatenate(memory.blocks, axis=2) if memory.blocks else
                    np.zeros((config.nodes, config.tiles, 0, config.inputs * config.outputs),
                             np.int32))
        parameters = [Parameters(*(np.concatenate([part[kind][node] for part in memory.words])
                                   for kind in range(4))) for node in range(config.nodes)]
        output, tables = self.operators[-1].output, ()
        if self.table is not None:
            output = replace(output, scale=output_scale(config.activation_width))
            tables = (self.table,)
        compiled = CompiledGraph(
            graph, config, output, tuple(self.host),
            self.placements[graph.input], self.placements[result], tuple(layers), start,
            synapses, parameters, self.placements, words, tables)
        self._check_memories(compiled)
        return compiled

    def _check_memories(self, compiled: CompiledGraph) -> None:
        config = self.config
        for layer in compiled.layers:
            for program in layer.programs:
                for instruction in program:
                    try:
                        instruction.encode()
                    except ValueError as error:
                        raise InputError(f"{_label(layer.operator)}: it is too large for an "
                                         f"instruction: {error}") from None
        for what, option, needed, there in (
                ("rows of a synapse buffer", "sb_depth", compiled.synapses.shape[2],
                 config.sb_rows),
                ("words of parameters", "parameter_depth", compiled.parameters[0].words,
                 config.parameter_depth),
                ("instructions", "program_depth", len(compiled.program()), config.program_depth),
                ("rows of the central buffer", "central_depth",
                 -(-compiled.central_words // config.row_words), config.central_depth)):
            if needed > there:
                raise InputError(f"Network {self.graph.name!r} needs {needed} {what}, and the "
                                 f"engine has {there}: --{option.replace('_', '-')} says how many")

    def _check_width(self, tensor: Tensor, what: str) -> None:
        needed = centred_width(tensor)
        if needed > self.config.activation_width:
            raise InputError(f"{what[0].upper()}{what[1:]}: activations, less their zero point, "
                             f"must have at most {self.config.activation_width} bits, not "
                             f"{needed}: --activation-width says how many")

    # Where tensors lie.

    def _shape(self, tensor: Tensor, operator: Operator | None) -> Shape:
        config = self.config
        image = len(tensor.shape) > 1
        channels = tensor.shape[-1] if image else tensor.elements
        pixels = tensor.elements // channels
        words = -(-channels // config.inputs) * config.row_words
        room = pixels * words
        if operator is not None and config.nodes > 1:
            room = config.nodes * self._part(operator, tensor, words)
            room += -room % config.row_words
        return Shape(pixels, channels, words, config.outputs, room)

    def _part(self, operator: Operator, tensor: Tensor, words: int) -> int:
        """Words of the part of a tensor that a node computes."""
        if isinstance(operator, FullyConnected):
            pixels = tensor.elements // tensor.shape[-1]
            return self.config.tiles * self._groups(pixels * words)
        if isinstance(operator, Add):
            return -(-(tensor.elements // tensor.shape[-1]) * words // self.config.nodes)
        return -(-tensor.shape[0] // self.config.nodes) * tensor.shape[1] * words

    def _groups(self, words: int) -> int:
        """Count the groups in which the tiles of all nodes compute so many words."""
        return -(-words // (self.config.tiles * self.config.nodes))

    def _place(self, tensor: Tensor) -> Placement:
        return self.placements[self.aliases.get(tensor, tensor)]

    def _image(self, operator: Operator) -> Placement:
        """Return where an operator's input lies, which must be cut as the image it is."""
        tensor = operator.input
        found = self._place(tensor)
        if found.shape.channels != tensor.shape[-1]:
            raise InputError(f"{_label(operator)}: its input, of shape {tensor.shape}, must have "
                             f"the channels of the tensor that it is, {found.shape.channels}")
        return found

    # Operators.

    def _layer(self, operator: Operator) -> Sequence[Sequence[Instruction]]:
        if isinstance(operator, FullyConnected):
            programs = self._fully_connected(operator)
        elif isinstance(operator, Conv2D):
            programs = self._convolution(operator, operator.weight, operator.window)
        elif isinstance(operator, DepthwiseConv2D):
            programs = self._depthwise(operator)
        elif isinstance(operator, Pool):
            programs = self._pool(operator)
        elif isinstance(operator, Pad):
            programs = self._pad(operator)
        elif isinstance(operator, Add):
            programs = self._add(operator)
        else:
            raise InputError(f"{_label(operator)}: the engine computes convolutions, fully "
                             "connected layers, pooling, padding and additions alone")
        if self.config.nodes > 1:
            target = self._place(operator.output)
            part = self._part(operator, operator.output, target.shape.words)
            programs = [[*program, *self._around(node, target.addr, part)]
                        for node, program in enumerate(programs)]
        return programs

    def _around(self, node: int, addr: int, part: int) -> list[Instruction]:
        """Send the parts of all nodes around the ring, each to all others."""
        nodes = self.config.nodes
        return [Instruction(
            forward=True, receive=True, across=True, groups=part, read_stride=1,
            read_addr=addr + (node - turn) % nodes * part,
            write_addr=addr + (node - turn - 1) % nodes * part) for turn in range(nodes - 1)]

    def _scatter(self, source: Placement) -> list[list[Instruction]]:
        """Send the input from the first node on, once around the ring."""
        nodes = self.config.nodes
        return [[Instruction(forward=True, receive=node > 0, across=True,
                             groups=source.shape.size, read_stride=1, read_addr=source.addr,
                             write_addr=source.addr)] * (nodes - 1) for node in range(nodes)]

    def _weighted(self, operator: WeightedOperator, words: int,
                  positions: NDArray[np.int64] | None = None) -> list[NDArray[np.int64]]:
        """Return bias, multiplier, shift and left shift of so many words.

        They are 0 beyond the channels, which are the first places unless ``positions`` tells.
        """
        config = self.config
        if operator.accumulator_width > config.sum_width:
            raise InputError(f"{_label(operator)}: sums must have at most {config.sum_width} bits, "
                             f"not {operator.accumulator_width}: --sum-width says how many")
        if operator.weight_kind not in {f"int{width}" for width in (8, 16)
                                        if width <= config.weight_width}:
            raise InputError(f"{_label(operator)}: weights must be int{config.weight_width}, not "
                             f"{operator.weight_kind}: --weight-width says how many bits")
        shift = operator.shift.astype(np.int64)
        found = []
        for values in (operator.bias, operator.multiplier, np.maximum(shift, 0),
                       np.maximum(-shift, 0)):
            padded = np.zeros(words * config.outputs, np.int64)
            padded[slice(operator.channels) if positions is None else positions] = values
            found.append(padded.reshape(words, config.outputs))
        return found

    def _ends(self, operator: WeightedOperator) -> dict[str, Any]:
        """Return the fields that say what becomes of products."""
        zero_point = operator.output.zero_point
        stage3, shift = Stage3.REQUANTIZE, 0
        if self.table is not None and operator is self.operators[-1]:
            stage3, shift = Stage3[self.table.name.upper()], self.table.shift
        return {"stage1": Stage1.MULTIPLY, "stage3": stage3, "parameter_step": True,
                "table_shift": shift, "minimum": operator.minimum - zero_point,
                "maximum": operator.maximum - zero_point,
                "single_rounding": operator.single_rounding}

    def _fully_connected(self, operator: FullyConnected) -> list[list[Instruction]]:
        config = self.config
        source, target = self._place(operator.input), self._place(operator.output)
        nodes, tiles = config.nodes, config.tiles
        groups = self._groups(target.shape.size)
        words = nodes * tiles * groups
        rows = source.shape.size // config.row_words
        weight = np.zeros((words * config.outputs, rows * config.inputs), np.int32)
        weight[target.shape.positions[:, np.newaxis], source.shape.positions] = operator.weight
        # By node, tile, group, row.
        weight = weight.reshape(nodes, tiles, groups, config.outputs, rows, config.inputs)
        weight = weight.transpose(0, 1, 2, 4, 3, 5)
        written = words if nodes > 1 else target.shape.size
        parameters = self.memory.add_parameters(
            [each.reshape(nodes, tiles * groups, config.outputs)
             for each in self._weighted(operator, words, target.shape.positions)])
        # Rows that NBin can hold are read once for all groups, if there are several.
        chunk = min(rows, config.nbin_depth) if groups > 1 else rows
        programs: list[list[Instruction]] = [[] for _ in range(nodes)]
        for first in range(0, groups, config.nbout_depth):
            some = min(config.nbout_depth, groups - first)
            for begin in range(0, rows, chunk):
                depth = min(chunk, rows - begin)
                part = weight[:, :, first:first + some, begin:begin + depth]
                addr = self.memory.add_synapses(
                    part.reshape(nodes, tiles, some * depth, config.outputs, config.inputs))
                ends = self._ends(operator)
                if begin + depth < rows:
                    ends["stage3"] = Stage3.NONE
                instruction = Instruction(
                    **ends, resume=begin > 0, keep=groups > 1,
                    read_addr=source.addr + begin * config.row_words, depth=depth, groups=some,
                    sb_addr=addr, write_stride=groups, words=written // nodes - first,
                    parameter_addr=parameters + first)
                for node, program in enumerate(programs):
                    program.append(replace(
                        instruction,
                        write_addr=target.addr + node * tiles * groups + first))
        return programs

    def _windows(self, source: Placement, operator: Operator, window: Window,
                 origin: tuple[int, int] | None = None) -> list[Instruction]:
        """Return the loops over windows and their elements, for each node."""
        config = self.config
        height, width = operator.input.shape[:2]
        rows, columns = operator.output.shape[:2]
        words = source.shape.words
        (down, across), (dilation_y, dilation_x) = window.stride, window.dilation
        begin, left = origin or (-window.padding[0][0], -window.padding[1][0])
        target = self._place(operator.output)
        part = -(-rows // config.nodes)
        found = []
        for node in range(config.nodes):
            top = begin + node * part * down
            found.append(Instruction(
                read_addr=source.addr + (top * width + left) * words,
                kernel_y=window.kernel[0], kernel_x=window.kernel[1],
                kernel_y_step=dilation_y * width * words, kernel_x_step=dilation_x * words,
                y=part, x=columns, iterations=part * columns, y_step=down * width * words,
                x_step=across * words,
                origin_y=top, origin_x=left, height=height, width=width,
                stride_y=down, stride_x=across, dilation_y=dilation_y, dilation_x=dilation_x,
                write_addr=target.addr + node * part * columns * target.shape.words,
                pixel_stride=target.shape.words, words=target.shape.words))
        return found

    def _convolution(self, operator: WeightedOperator, kernel: NDArray[np.integer],
                     window: Window) -> list[list[Instruction]]:
        """Compute a convolution; ``kernel`` is of shape (channels, height, width, depth)."""
        config = self.config
        source, target = self._image(operator), self._place(operator.output)
        tiles = config.tiles
        groups = -(-target.shape.words // tiles)
        words = tiles * groups
        depth = source.shape.words // config.row_words
        taps = math.prod(window.kernel)
        weight = np.zeros((words * config.outputs, taps, depth * config.inputs), np.int32)
        weight[:operator.channels, :, :kernel.shape[3]] = kernel.reshape(
            operator.channels, taps, -1)
        weight = weight.reshape(tiles, groups, config.outputs, taps * depth, config.inputs)
        weight = weight.transpose(0, 1, 3, 2, 4).reshape(
            1, tiles, groups * taps * depth, config.outputs, config.inputs)
        addr = self.memory.add_synapses(np.repeat(weight, config.nodes, axis=0))
        parameters = self._node_parameters(self._weighted(operator, words))
        ends = self._ends(operator)
        return [[replace(
            loops, **ends,
            keep=groups > 1 and taps * depth <= config.nbin_depth, depth=depth, groups=groups,
            sb_addr=addr, write_stride=groups, parameter_addr=parameters)]
            for loops in self._windows(source, operator, window)]

    def _node_parameters(self, values: Sequence[NDArray[np.int64]]) -> int:
        return self.memory.add_parameters(
            [np.repeat(each[np.newaxis], self.config.nodes, axis=0) for each in values])

    def _depthwise(self, operator: DepthwiseConv2D) -> list[list[Instruction]]:
        config = self.config
        source, target = self._image(operator), self._place(operator.output)
        depth = source.shape.channels
        if operator.channels != depth:
            # Several outputs of a channel: a convolution most of whose weights are 0.
            kernel = np.zeros((operator.channels, *operator.window.kernel, depth), np.int32)
            numbers = np.arange(operator.channels)
            kernel[numbers, :, :, numbers // (operator.channels // depth)] = (
                operator.weight.transpose(2, 0, 1))
            return self._convolution(operator, kernel, operator.window)
        words, tiles = target.shape.words, config.tiles
        taps = math.prod(operator.window.kernel)
        turns = -(-words // tiles)
        values = np.zeros((taps, words * config.outputs), np.int32)
        values[:, :depth] = operator.weight.reshape(taps, depth)
        weight = np.zeros((1, tiles, turns, taps, config.outputs, config.inputs), np.int32)
        lanes = np.arange(config.outputs)
        for word in range(words):
            turn, tile = divmod(word, tiles)
            inputs = word % config.row_words * config.outputs + lanes
            weight[0, tile, turn, :, lanes, inputs] = (
                values[:, word * config.outputs + lanes].T)
        addr = self.memory.add_synapses(np.repeat(weight.reshape(
            1, tiles, turns * taps, config.outputs, config.inputs), config.nodes, axis=0))
        parameters = self._node_parameters(self._weighted(operator, words))
        ends = self._ends(operator)
        return [[replace(
            loops, **ends,
            across=True, groups=words, read_stride=1, sb_addr=addr, parameter_addr=parameters)]
            for loops in self._windows(source, operator, operator.window)]

    def _pool(self, operator: Pool) -> list[list[Instruction]]:
        zero_point, end = operator.output.zero_point, 0
        if isinstance(operator, MaxPool):
            stage2, values = Stage2.MAXIMUM, _IDENTITY
        else:
            assert isinstance(operator, AveragePool)
            stage2, values, end = Stage2.ADD, self._average(operator), -zero_point
        return self._channelwise(
            operator, operator.window, stage2, values, operator.minimum - zero_point,
            operator.maximum - zero_point, end)

    def _pad(self, operator: Pad) -> list[list[Instruction]]:
        if len(operator.padding) != 3 or operator.padding[2] != (0, 0):
            raise InputError(f"{_label(operator)}: only height and width can be padded, not "
                             f"{operator.padding}")
        (top, _), (left, _), _ = operator.padding
        tensor = operator.output
        return self._channelwise(
            operator, Window((1, 1)), Stage2.ADD, _IDENTITY, tensor.minimum - tensor.zero_point,
            tensor.maximum - tensor.zero_point, 0, (-top, -left))

    def _channelwise(self, operator: Operator, window: Window, stage2: Stage2,
                     values: tuple[int, ...], minimum: int, maximum: int, zero_point: int,
                     origin: tuple[int, int] | None = None) -> list[list[Instruction]]:
        """Take each channel by itself, without weights."""
        source = self._image(operator)
        parameters = self.memory.add_same(values)
        return [[replace(
            loops, stage2=stage2, stage3=Stage3.REQUANTIZE, across=True,
            groups=source.shape.words, read_stride=1, parameter_addr=parameters,
            minimum=minimum, maximum=maximum, zero_point=zero_point)]
            for loops in self._windows(source, operator, window, origin)]

    def _average(self, operator: AveragePool) -> tuple[int, int, int, int]:
        """Bias, multiplier and shifts by which a sum becomes a mean, a half away from zero.

        Activations are stored less their zero point, and rounded with it: the bias adds it. The
        multiplier is a little more than the reciprocal: enough to send a half away from zero, and
        too little to move any other quotient across a half, since those are at least half a
        reciprocal away from it.
        """
        count, width = math.prod(operator.window.kernel), operator.input.width
        if operator.window.padding != ((0, 0), (0, 0)):
            raise InputError(f"{_label(operator)}: windows must have one number of elements; "
                             "average pooling without padding would fit")
        if count == 1:
            return operator.input.zero_point, *_IDENTITY[1:]
        if count * count << width >= 1 << 31:
            raise InputError(f"{_label(operator)}: a window of activations of {width} bits must "
                             f"have at most {math.isqrt((1 << 31 - width) - 1)} elements to "
                             f"average, not {count}")
        needed = (count << width).bit_length() + 1
        if needed > self.config.sum_width:
            raise InputError(f"{_label(operator)}: sums must have at most {self.config.sum_width} "
                             f"bits, not {needed}: --sum-width says how many")
        return count * operator.input.zero_point, (1 << 31) // count + 1, 0, 0

    def _add(self, operator: Add) -> list[list[Instruction]]:
        config = self.config
        if not config.additions:
            raise InputError(f"{_label(operator)}: the engine must be one with --additions")
        target = self._place(operator.output)
        sources = [self._place(tensor) for tensor in operator.inputs]
        for tensor, source in zip(operator.inputs, sources, strict=True):
            needed = centred_width(tensor) + ADD_LEFT_SHIFT
            if needed > config.sum_width:
                raise InputError(f"{_label(operator)}: sums must have at most {config.sum_width} "
                                 f"bits, not {needed}: --sum-width says how many")
            if source.shape.channels != target.shape.channels:
                raise InputError(f"{_label(operator)}: all tensors must be cut into the same "
                                 f"channels, not {source.shape.channels} and "
                                 f"{target.shape.channels}")
        limit, zero_point = 1 << 31, operator.output.zero_point
        *operands, ends = (self.memory.add_same((0, multiplier, shift, left)) for
                           multiplier, shift, left in zip(
                               operator.multipliers, operator.shifts,
                               (ADD_LEFT_SHIFT, ADD_LEFT_SHIFT, 0), strict=True))
        part = -(-target.shape.size // config.nodes)
        programs: list[list[Instruction]] = []
        for node in range(config.nodes):
            program = []
            for begin in range(0, part, config.nbout_depth):
                words = min(config.nbout_depth, part - begin)
                place = node * part + begin
                program += [Instruction(
                    stage3=stage3, across=True, groups=words, read_stride=1,
                    read_addr=source.addr + place, words=words, parameter_addr=parameters,
                    minimum=-limit, maximum=limit - 1)
                    for stage3, source, parameters in zip((Stage3.KEEP, Stage3.ADD), sources,
                                                          operands, strict=True)]
                program.append(Instruction(
                    stage3=Stage3.REQUANTIZE, from_adder=True, across=True, groups=words,
                    words=words, write_addr=target.addr + place, parameter_addr=ends,
                    single_rounding=operator.single_rounding,
                    minimum=operator.minimum - zero_point, maximum=operator.maximum - zero_point))
            programs.append(program)
        return programs


def _label(operator: Operator) -> str:
    return f"{type(operator).__name__} {operator.name!r}"
