"""Compiler of the systolic engine: from a graph of integers to a program, weights and parameters.

Every operator becomes one descriptor. Convolutions, fully connected layers and pooling are the same
operation of the engine: windows that slide over a tensor, whose elements are multiplied by tiles of
weights. A fully connected layer has one window, as large as its input; pooling has weights of 1 on
the diagonal, and takes maxima, or sums that requantization divides by their number. What only
changes a shape costs nothing, nor do stacks, whose tensors are computed side by side. Softmax
and its logarithm stay with the host.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.quantized_graph import (
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
    Stack,
    Tensor,
    WeightedOperator,
    Window,
)
from eieio.model.systolic.coded_weights import CodedWeights, check_values, code_weights
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.depthwise import DepthwisePlan, plan_depthwise, plan_total
from eieio.model.systolic.patches import Patches, find_patches
from eieio.model.systolic.placement import Placement, place_tensors
from eieio.model.systolic.program import (
    DESCRIPTOR_WORDS,
    LEFT_SHIFT_MAXIMUM,
    PATCHES,
    WRAPS,
    Field,
    Flag,
    Operation,
    Target,
)
from eieio.model.systolic.timing import compute_cycles, depthwise_cycles
from eieio.model.systolic.work import AddWork, ComputeWork, DepthwiseWork, Work

__all__ = ["CompiledGraph", "CompiledLayer", "compile_graph"]

# An average's reciprocal is exact as long as a window has no more elements than this, see _average.
_MAX_AVERAGED = 2048
_FIELD = 1 << 16
_MAX_WINDOWS = 1 << 24


@dataclass(frozen=True, eq=False)
class CompiledLayer:
    """One descriptor of a program.

    Attributes
    ----------
    name : :class:`str`
        Name of the operator.
    operator : :class:`Operator`
        What it computes.
    output : :class:`Placement`
        Where its result lies.
    descriptor : dict of :class:`int` by :class:`Field`
        Its fields, unsigned.
    work : :class:`Work`
        How much there is to do, for the cycle model.
    input_fields : tuple of :class:`Field`
        Fields with addresses of the input memory, relative to where it begins.
    patches : :class:`bool`
        Whether it reads patches of the input.
    """

    name: str
    operator: Operator
    output: Placement
    descriptor: dict[Field, int]
    work: Work
    input_fields: tuple[Field, ...] = ()
    patches: bool = False

    @property
    def mode(self) -> str:
        """How the engine computes it: direct, patches, channelwise, depthwise, winograd or add."""
        if isinstance(self.work, AddWork):
            return "add"
        if isinstance(self.work, DepthwiseWork):
            return "depthwise"
        if self.patches:
            return "patches"
        flags = Flag(self.descriptor[Field.OPERATION] & 0xf0)
        return ("winograd" if Flag.WINOGRAD in flags
                else "channelwise" if Flag.CHANNELWISE in flags else "direct")


@dataclass(frozen=True, eq=False)
class CompiledGraph:
    """A graph, compiled for a systolic engine.

    Attributes
    ----------
    graph : :class:`QuantizedGraph`
        What was compiled.
    config : :class:`SystolicConfig`
        What it was compiled for.
    batch : :class:`int`
        Samples of an inference.
    input, output : :class:`Placement`
        Where the engine's input and output lie.
    result : :class:`Tensor`
        Tensor that the engine sends; the host computes what comes behind.
    host_operators : tuple of :class:`Operator`
        What is left to the host.
    layers : tuple of :class:`CompiledLayer`
        What the engine computes, in order.
    weights : int32 array of shape (weight rows, columns)
        Contents of the weight buffer, or what the codes there stand for.
    biases, multipliers, shifts : int64 arrays of shape (groups, lanes)
        Contents of the parameter memories.
    coded : CodedWeights, optional
        Codes of the weights, and codebooks, if the engine has them.
    patches : Patches, optional
        How the input lies in its memory, if not as pixels.
    notes : tuple of :class:`str`
        What one would not expect: layers that the array computes though there is a unit for them.
    """

    graph: QuantizedGraph
    config: SystolicConfig
    batch: int
    input: Placement
    output: Placement
    result: Tensor
    host_operators: tuple[Operator, ...]
    layers: tuple[CompiledLayer, ...]
    weights: NDArray[np.int32]
    biases: NDArray[np.int64]
    multipliers: NDArray[np.int64]
    shifts: NDArray[np.int64]
    coded: CodedWeights | None = None
    patches: Patches | None = None
    notes: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Products of a weight and an activation for one inference, padding included."""
        return self.batch * self.graph.macs

    def program(self) -> NDArray[np.uint32]:
        """Return the descriptors: uint32 array of shape (descriptors, 32)."""
        reads = _reads(self.output, self.config)
        ends = [{Field.OPERATION: operation, address: placement.base,
                 Field.WINDOWS: placement.pixels,
                 Field.DESTINATION_STEP: self._transfer_groups(placement) << 16 | placement.step}
                for operation, address, placement in (
                    (int(Operation.INPUT), Field.DESTINATION, self.input),
                    (Operation.OUTPUT | reads, Field.SOURCE, self.output))]
        if self.patches:
            ends[0] |= _patch_fields(self.patches, self.graph.input.zero_point)
        descriptors = [ends[0], *(
            {field: value + self.config.input_base & 0xffffffff
             if field in layer.input_fields else value
             for field, value in layer.descriptor.items()} for layer in self.layers), ends[1]]
        if self.output.input:
            ends[1][Field.SOURCE] += self.config.input_base
        program = np.zeros((len(descriptors), DESCRIPTOR_WORDS), np.uint32)
        for number, descriptor in enumerate(descriptors):
            for field, value in descriptor.items():
                program[number, field] = value
        return program

    def image(self) -> NDArray[np.uint32]:
        """Return the words that fill the memories of the engine: uint32 array."""
        config = self.config
        per_word = config.weights_per_word
        stored = self.weights if self.coded is None else self.coded.codes
        padded = np.pad(stored, ((0, 0), (0, -config.columns % per_word))).astype(np.int64)
        bits = 32 // per_word
        parts = (padded & ((1 << bits) - 1)).reshape(
            len(padded), padded.shape[1] // per_word, per_word)
        packed = (parts << bits * np.arange(per_word)).sum(axis=2)
        program = self.program()
        sections = [(Target.WEIGHTS, unit, packed[:, unit]) for unit in range(packed.shape[1])]
        for target, values in ((Target.BIASES, self.biases), (Target.MULTIPLIERS, self.multipliers),
                               (Target.SHIFTS, self.shifts)):
            sections += [(target, lane, values[:, lane]) for lane in range(config.lanes)]
        if self.coded is not None:
            sections.append((Target.CODEBOOKS, 0, self.coded.words()))
        sections += [(Target.DESCRIPTORS, 0, program.reshape(-1)),
                     (Target.LAYERS, 0, np.array([len(program)]))]
        words = [np.concatenate([[target << 28 | unit, 0, len(values)],
                                 values.astype(np.int64) & 0xffffffff])
                 for target, unit, values in sections if len(values)]
        return np.concatenate(words).astype(np.uint32)

    def pack(self, x: NDArray[np.int8]) -> NDArray[np.int8]:
        """Lay one inference's input out in beats: int8 array of shape (beats, lanes)."""
        pixels = x.reshape(self.input.pixels, self.input.channels)
        groups = self._transfer_groups(self.input)
        padded = np.pad(pixels, ((0, 0), (0, groups * self.config.lanes - pixels.shape[1])))
        return padded.reshape(-1, self.config.lanes)

    def unpack(self, beats: NDArray[np.int8]) -> NDArray[np.int8]:
        """Find the result in the beats of one inference.

        Parameters
        ----------
        beats : int8 array of shape (beats, lanes)
            What the engine sent.

        Returns
        -------
        int8 array of shape (batch, and the shape of the result)
            Result.
        """
        pixels = beats.reshape(self.output.pixels, -1)[:, :self.output.channels]
        return pixels.reshape(self.batch, *self.result.shape)

    @property
    def input_beats(self) -> int:
        """Beats of an input."""
        return self.input.pixels * self._transfer_groups(self.input)

    @property
    def input_words(self) -> int:
        """Words that an input takes in its memory."""
        return self.patches.words if self.patches else self.input.size

    @property
    def input_pauses(self) -> int:
        """Cycles in which an input that comes is not taken."""
        return self.patches.pauses if self.patches else 0

    @property
    def output_beats(self) -> int:
        """Beats of an output."""
        return self.output.pixels * self._transfer_groups(self.output)

    def _transfer_groups(self, placement: Placement) -> int:
        return -(-placement.channels // self.config.lanes)


def compile_graph(graph: QuantizedGraph, config: SystolicConfig, *, batch: int = 1,
                  winograd: bool | None = None) -> CompiledGraph:
    """Compile a graph for an engine.

    Parameters
    ----------
    graph : QuantizedGraph
        Network.
    config : SystolicConfig
        Engine.
    batch : :class:`int`
        Samples of an inference. More than 1 for networks of fully connected layers only.
    winograd : :class:`bool`, optional
        Whether the layers that allow it use Winograd's transforms. The default is to use them where
        the cycle model says that they are faster. False if the engine has none.

    Raises
    ------
    InputError
        If an operator is not one that the engine computes, its numbers are too large for the
        hardware, or something does not fit in a memory; the message names it and says what would
        fit.
    """
    return _Compiler(graph, config, batch, winograd).compile()


class _Compiler:
    def __init__(self, graph: QuantizedGraph, config: SystolicConfig, batch: int,
                 winograd: bool | None) -> None:
        if batch < 1:
            raise InputError(f"Batch must be at least 1, not {batch}")
        if winograd and not config.winograd:
            raise InputError("Engine must be configured for Winograd (option winograd)")
        self.graph = graph
        self.config = config
        self.batch = batch
        self.winograd = winograd
        #: Rows of weights by descriptor.
        self.weights: dict[int, NDArray[np.int32]] = {}
        self.weight_rows = 0
        self.parameters: list[tuple[NDArray[np.int64], ...]] = []
        self.parameter_groups = 0
        self.layers: list[CompiledLayer] = []
        #: The one operator that may read patches of the input, and those that one does read.
        self.patched: Operator | None = None
        self.patches: Patches | None = None
        self.notes: list[str] = []

    def compile(self) -> CompiledGraph:
        graph, config = self.graph, self.config
        engine, host, result = self._split()
        if self.batch > 1:
            for operator in engine:
                if not isinstance(operator, FullyConnected | Reshape):
                    raise InputError(f"{_label(operator)}: a batch must be of fully connected "
                                     "layers only; batch 1 would fit")
        placements = place_tensors(graph, engine, result, config, self.batch)
        if len(placements[result.name].parts) > 1:
            raise InputError(f"Tensor {result.name!r}: channels that the engine sends must lie "
                             f"without a gap, joined of multiples of {config.rows}, not of "
                             f"{placements[result.name].parts}; a convolution of them would fit")
        readers = [operator for operator in engine
                   if any(tensor.name == graph.input.name for tensor in operator.inputs)]
        if config.patch_lanes and self.batch == 1 and len(readers) == 1:
            self.patched = readers[0]
        for operator in engine:
            if not isinstance(operator, _FREE):
                self._compile(operator, [placements[tensor.name] for tensor in operator.inputs],
                              placements[operator.output.name])
        if len(self.layers) + 2 > config.program_depth:
            raise InputError(f"Network {graph.name!r} needs {len(self.layers) + 2} descriptors; "
                             f"option program_depth must be at least that, not "
                             f"{config.program_depth}")
        for needed, option, what in ((self.weight_rows, "weight_depth", "rows of weights"),
                                     (self.parameter_groups, "parameter_depth",
                                      "groups of parameters")):
            if needed > getattr(config, option):
                raise InputError(f"Network {graph.name!r} needs {needed} {what}; option {option} "
                                 f"must be at least that, not {getattr(config, option)}")
        source = placements[graph.input.name]
        words = self.patches.words if self.patches else source.size
        if source.input and words > config.input_depth:
            raise InputError(f"Tensor {graph.input.name!r} needs {words} words; option input_depth "
                             f"must be at least that, not {config.input_depth}")
        empty = np.zeros((0, config.columns), np.int32)
        parameters = [np.concatenate([np.zeros((0, config.lanes), np.int64),
                                      *(entry[part] for entry in self.parameters)])
                      for part in range(3)]
        return CompiledGraph(
            graph, config, self.batch, placements[graph.input.name],
            placements[result.name], result, host, tuple(self.layers),
            np.concatenate([empty, *self.weights.values()]), *parameters,
            coded=code_weights(config, self.weights, len(self.layers) + 2)
            if config.code_width else None, patches=self.patches, notes=tuple(self.notes))

    # What runs where.

    def _split(self) -> tuple[list[Operator], tuple[Operator, ...], Tensor]:
        """Separate what the host computes: softmax at the end."""
        operators = list(self.graph.operators)
        names = [tensor.name for tensor in self.graph.tensors]
        end = names.index(self.graph.output.name)
        operators = operators[:end]
        host: list[Operator] = []
        result = self.graph.output
        while operators and isinstance(operators[-1], _HOST):
            host.insert(0, operators.pop())
            result = host[0].input
            if operators and operators[-1].output.name != result.name:
                raise InputError(f"{_label(host[0])}: must take the result of the operator before "
                                 "it")
        for operator in operators:
            if isinstance(operator, _HOST):
                raise InputError(f"{_label(operator)}: softmax must be the last operator, which "
                                 "the host computes")
            if isinstance(operator, Add) and not self.config.residual:
                raise InputError(f"{_label(operator)}: the engine must be configured with residual "
                                 "to add")
        if len(host) > 1 and any(isinstance(operator, LogSoftmax) for operator in host):
            raise InputError(f"{_label(host[0])}: must be the only softmax at the end")
        if all(isinstance(operator, _FREE) for operator in operators):
            raise InputError(f"Network {self.graph.name!r} must have an operator that the engine "
                             "computes")
        return operators, tuple(host), result

    # Operators.

    def _compile(self, operator: Operator, sources: list[Placement],
                 destination: Placement) -> None:
        for tensor in (*operator.inputs, operator.output):
            if tensor.width != 8:
                raise InputError(f"{_label(operator)}: tensors must have 8 bits, not "
                                 f"{tensor.width}; the sparse engine takes others")
        if isinstance(operator, WeightedOperator) and operator.weight_kind != "int8":
            raise InputError(f"{_label(operator)}: weights must be int8, not "
                             f"{operator.weight_kind}; the sparse engine takes others")
        match operator:
            case FullyConnected():
                self._fully_connected(operator, sources[0], destination)
            case Conv2D():
                self._check_image(operator, sources[0])
                self._convolution(operator, operator.weight, operator.window, sources[0],
                                  destination)
            case DepthwiseConv2D():
                self._check_image(operator, sources[0])
                self._depthwise(operator, sources[0], destination)
            case Pool():
                self._check_image(operator, sources[0])
                self._pool(operator, sources[0], destination)
            case Pad():
                self._check_image(operator, sources[0])
                self._pad(operator, sources[0], destination)
            case Add():
                self._add(operator, sources, destination)
            case _:
                raise InputError(f"{_label(operator)}: the engine computes convolutions, fully "
                                 "connected layers, pooling, padding, addition and reshaping")

    def _check_image(self, operator: Operator, source: Placement) -> None:
        if operator.input.shape != (source.height, source.width, source.channels):
            raise InputError(f"{_label(operator)}: a reshaped input must keep the shape "
                             f"{(source.height, source.width, source.channels)} in which it was "
                             f"computed, not {operator.input.shape}")

    def _fully_connected(self, operator: FullyConnected, source: Placement,
                         destination: Placement) -> None:
        """One window as large as the image; of a batch, one element for each sample."""
        height, width = (1, 1) if self.batch > 1 else (source.height, source.width)
        weight = operator.weight.reshape(operator.channels, height, width, -1)
        self._convolution(operator, weight, Window((height, width)), source, destination)

    def _convolution(self, operator: WeightedOperator, weight: NDArray[np.integer], window: Window,
                     source: Placement, destination: Placement) -> None:
        config = self.config
        channels = self._written(destination)
        blocks, outputs = source.words, -(-channels // config.columns)
        wide = np.zeros((outputs * config.columns, *weight.shape[1:3], blocks * config.rows),
                        np.int64)
        wide[:len(weight), :, :, source.lanes(config.rows)] = weight
        taps = weight.shape[1] * weight.shape[2]
        work = self._compute_work(destination.pixels, outputs, blocks * taps, channels,
                                  config.columns)
        parameters = self._weighted_parameters(operator)
        patches = self._choose_patches(operator, window, work, destination)
        shorter = work if patches is None else replace(work, slots=math.prod(patches.window.kernel))
        if self._choose_winograd(operator, weight, window, shorter, source, destination):
            self._winograd(operator, wide, window, source, destination, parameters)
            return
        if patches:
            self._patches(operator, weight, patches, destination, shorter, parameters)
            return
        # (outputs, columns, taps, blocks, rows) -> (outputs, blocks, taps, rows, columns)
        tiles = wide.reshape(outputs, config.columns, taps, blocks, config.rows).transpose(
            0, 3, 2, 4, 1)
        self._emit(operator, Flag(0), window, source, destination, work, blocks, tiles, parameters,
                   padding=operator.input.zero_point, columns=config.columns)

    def _choose_patches(self, operator: WeightedOperator, window: Window, direct: ComputeWork,
                        destination: Placement) -> Patches | None:
        """Patches of the input, if a convolution can read them, and is faster for it."""
        config, shape = self.config, operator.input.shape
        if (operator is not self.patched or not isinstance(operator, Conv2D)
                or shape[2] != config.patch_channels):
            return None
        patches = find_patches((config.patch_rows, config.patch_columns),
                               (shape[0], shape[1], shape[2]), window,
                               (destination.height, destination.width))
        if patches is None or patches.line > config.line_depth:
            return None
        work = replace(direct, slots=math.prod(patches.window.kernel))
        return patches if compute_cycles(config, work) < compute_cycles(config, direct) else None

    def _patches(self, operator: WeightedOperator, weight: NDArray[np.integer], patches: Patches,
                 destination: Placement, work: ComputeWork, parameters: tuple[NDArray, ...]
                 ) -> None:
        """Convolve the input, whose windows are made of patches."""
        config = self.config
        source = Placement(0, *patches.stored, patches.lanes, 1, 1, (patches.lanes,), input=True)
        wide = np.zeros((work.outputs * config.columns, work.slots, config.rows), np.int64)
        wide[:len(weight), :, :patches.lanes] = patches.arrange(weight).reshape(
            len(weight), work.slots, patches.lanes)
        tiles = wide.reshape(work.outputs, config.columns, work.slots, config.rows).transpose(
            0, 2, 3, 1)
        self.patches = patches
        self._emit(operator, Flag(0), patches.window, source, destination, work, 1, tiles,
                   parameters, padding=operator.input.zero_point, columns=config.columns,
                   start=patches.start, patches=True)

    def _depthwise(self, operator: DepthwiseConv2D, source: Placement,
                   destination: Placement) -> None:
        depth = source.channels
        parameters = self._weighted_parameters(operator)
        if operator.channels == depth:
            self._channelwise(operator, Flag(0), operator.weight, operator.window, source,
                              destination, parameters, operator.input.zero_point)
            return
        # Several outputs of a channel: a convolution most of whose weights are 0.
        multiple = operator.channels // depth
        weight = np.zeros((operator.channels, *operator.window.kernel, depth), np.int8)
        numbers = np.arange(operator.channels)
        weight[numbers, :, :, numbers // multiple] = operator.weight.transpose(2, 0, 1)
        self._convolution(operator, weight, operator.window, source, destination)

    def _pool(self, operator: Pool, source: Placement, destination: Placement) -> None:
        window = operator.window
        ones = np.ones((*window.kernel, source.channels), np.int8)
        if isinstance(operator, MaxPool):
            flags, padding, factor = Flag.MAXIMUM, -128, (1 << 30, 0, 1)
        else:
            assert isinstance(operator, AveragePool)
            if window.padding != ((0, 0), (0, 0)):
                raise InputError(f"{_label(operator)}: windows must have one number of elements; "
                                 "average pooling without padding would fit")
            flags, padding, factor = Flag(0), 0, self._average(operator)
        parameters = tuple(np.full(source.channels, value) for value in (0, *factor))
        self._channelwise(operator, flags, ones, window, source, destination, parameters, padding,
                          zero_point=0)

    def _average(self, operator: AveragePool) -> tuple[int, int, int]:
        """Multiplier and shifts that divide a sum, and round it once, a half away from zero.

        The multiplier is a little more than the reciprocal: enough to send a half away from zero,
        and too little to move any other quotient across a half, since those are at least half a
        reciprocal away from it.
        """
        count = math.prod(operator.window.kernel)
        if count == 1:
            return 1 << 30, 0, 1
        if count > _MAX_AVERAGED:
            raise InputError(f"{_label(operator)}: a window must have at most {_MAX_AVERAGED} "
                             f"elements to average, not {count}")
        needed = (128 * count).bit_length() + 1
        if needed > self.config.accumulator_width:
            raise InputError(f"{_label(operator)}: option accumulator_width must be at least "
                             f"{needed}, not {self.config.accumulator_width}")
        return (1 << 31) // count + 1, 0, 0

    def _pad(self, operator: Pad, source: Placement, destination: Placement) -> None:
        """Windows of one element that begin outside of the image."""
        if len(operator.padding) != 3 or operator.padding[2] != (0, 0):
            raise InputError(f"{_label(operator)}: only height and width can be padded, not "
                             f"{operator.padding}")
        (top, _), (left, _), _ = operator.padding
        ones = np.ones((1, 1, source.channels), np.int8)
        parameters = tuple(np.full(source.channels, value) for value in (0, 1 << 30, 0, 1))
        self._channelwise(operator, Flag(0), ones, Window((1, 1)), source, destination, parameters,
                          operator.output.zero_point, zero_point=0, start=(-top, -left))

    def _channelwise(self, operator: Operator, flags: Flag, weight: NDArray[np.integer],
                     window: Window, source: Placement, destination: Placement,
                     parameters: tuple[NDArray, ...], padding: int, *,
                     zero_point: int | None = None, start: tuple[int, int] | None = None) -> None:
        """Each channel by itself: tiles of weights are diagonal.

        An engine with a depthwise unit makes them of their diagonals, a row each.
        """
        config = self.config
        columns = config.channelwise_columns
        channels, lanes = self._written(destination), source.lanes(config.rows)
        outputs = -(-channels // columns)
        taps = math.prod(window.kernel)
        values = np.zeros((taps, outputs * columns), np.int64)
        values[:, lanes] = weight.reshape(taps, -1)
        spread = np.zeros((len(parameters), outputs * columns), np.int64)
        spread[:, lanes] = parameters
        same = bool((weight == weight[:1, :1]).all())
        used = values[:1] if same else values
        tiles = np.zeros((outputs, 1, len(used), 1 if config.depthwise_lanes else config.rows,
                          config.columns), np.int64)
        for output in range(outputs):
            for column in range(columns):
                channel = output * columns + column
                row = 0 if config.depthwise_lanes else channel % config.rows
                tiles[output, 0, :, row, column] = used[:, channel]
        work = self._compute_work(destination.pixels, outputs, taps, channels, columns)
        work = replace(work, reuse=taps if same else 1)
        plan = self._choose_depthwise(operator, flags, window, source, destination, work)
        if plan is not None:
            wide = np.zeros((*plan.kernel, source.words * config.rows), np.int64)
            wide[:, :, lanes] = 1 if plan.work.total else weight.reshape(*plan.kernel, -1)
            self._emit_depthwise(operator, plan, source, destination, plan.lay_out(config, wide),
                                 tuple(spread), padding, zero_point)
            return
        self._emit(operator, flags | Flag.CHANNELWISE, window, source, destination, work, 1, tiles,
                   tuple(spread), padding=padding, columns=columns,
                   zero_point=zero_point, start=start)

    def _choose_depthwise(self, operator: Operator, flags: Flag, window: Window, source: Placement,
                          destination: Placement, work: ComputeWork) -> DepthwisePlan | None:
        """Find out how the depthwise unit takes a layer; None if the array is to compute it."""
        config = self.config
        if not config.depthwise_lanes or flags or isinstance(operator, Pad):
            return None
        plan = plan_depthwise(config, window, source, destination, self._written(destination))
        if isinstance(plan, str) and isinstance(operator, AveragePool) and (
                window.kernel == (source.height, source.width)):
            plan = plan_total(config, source, self._written(destination))
        if isinstance(plan, str):
            if isinstance(operator, DepthwiseConv2D):
                self.notes.append(f"{_label(operator)}: the array computes it, not the depthwise "
                                  f"unit, as {plan}")
            return None
        faster = depthwise_cycles(config, plan.work) < compute_cycles(config, work)
        return plan if faster else None

    def _choose_winograd(self, operator: WeightedOperator, weight: NDArray[np.integer],
                         window: Window, direct: ComputeWork, source: Placement,
                         destination: Placement) -> bool:
        """Whether Winograd is possible, wanted and exact."""
        config = self.config
        if (not config.winograd or self.winograd is False or weight.shape[1:3] != (3, 3)
                or window.stride != (1, 1) or window.dilation != (1, 1)
                or not isinstance(operator, Conv2D)):
            return False
        output_width = config.accumulator_width - 2 * config.transform.shift
        bound = 128 * int(np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3)).max())
        if bound.bit_length() + 1 > output_width:
            return False
        if self.winograd:
            return True
        work = self._winograd_work(source, destination)
        return compute_cycles(config, work) < compute_cycles(config, direct)

    def _winograd_work(self, source: Placement, destination: Placement) -> ComputeWork:
        config = self.config
        m, n = config.winograd, config.transform.n
        tiles = -(-destination.height // m) * -(-destination.width // m)
        channels = self._written(destination)
        work = self._compute_work(tiles, -(-channels // config.columns), source.words * n * n,
                                  channels, config.columns, config.winograd_tiles)
        return replace(work, winograd=True)

    def _winograd(self, operator: WeightedOperator, wide: NDArray[np.int64], window: Window,
                  source: Placement, destination: Placement,
                  parameters: tuple[NDArray, ...]) -> None:
        config = self.config
        m, n = config.winograd, config.transform.n
        g = np.array(config.transform.g, np.int64)
        transformed = np.einsum("iy,oyxc,jx->oijc", g, wide, g)
        work = self._winograd_work(source, destination)
        tiles = transformed.reshape(work.outputs, config.columns, n * n, source.words,
                                    config.rows).transpose(0, 3, 2, 4, 1)
        self._emit(operator, Flag.WINOGRAD, Window((n, n), (m, m), (1, 1), window.padding), source,
                   destination, work, source.words, tiles, parameters,
                   padding=operator.input.zero_point, columns=config.columns,
                   row_windows=-(-destination.width // m))

    def _add(self, operator: Add, sources: list[Placement], destination: Placement) -> None:
        config = self.config
        shape = destination.height, destination.width, destination.channels
        for tensor, source in zip(operator.inputs, sources, strict=True):
            if (source.height, source.width, source.channels) != shape:
                raise InputError(f"{_label(operator)}: operand {tensor.name!r} must have been "
                                 f"computed in the shape {shape}, not "
                                 f"{(source.height, source.width, source.channels)}")
            if not source.packed or source.parts != destination.parts:
                raise InputError(f"{_label(operator)}: operand {tensor.name!r} must not have "
                                 "channels beside others': a copy of it would fit")
        if not destination.packed:
            raise InputError(f"{_label(operator)}: the sum must not have channels beside others': "
                             "a copy of it would fit")
        (first, second, multiplier), (first_shift, second_shift, shift) = (
            operator.multipliers, operator.shifts)
        parameters = self._store_parameters(
            operator, tuple(np.full(config.lanes, value) for value in (0, multiplier, shift, 0)))
        zero_points = [tensor.zero_point & 0xff for tensor in operator.inputs]
        output = operator.output
        self.layers.append(CompiledLayer(operator.name, operator, destination, {
            Field.OPERATION: (int(Operation.ADD) | int(_rounding(operator))
                              | _reads(sources[0], config)),
            Field.SOURCE: sources[0].base,
            Field.SECOND_SOURCE: sources[1].base,
            Field.DESTINATION: destination.base,
            Field.WINDOWS: destination.size,
            Field.PARAMETERS: parameters,
            Field.QUANTIZATION: _bytes(0, output.zero_point, operator.minimum, operator.maximum),
            Field.FIRST_MULTIPLIER: first,
            Field.SECOND_MULTIPLIER: second,
            Field.ADD_OPERANDS: (first_shift | second_shift << 8 | zero_points[0] << 16
                                 | zero_points[1] << 24),
        }, AddWork(destination.size), tuple(
            field for field, source in zip((Field.SOURCE, Field.SECOND_SOURCE), sources,
                                           strict=True) if source.input)))

    # Descriptors.

    def _written(self, destination: Placement) -> int:
        """Lanes of a pixel that a layer writes: beside others' channels, no lane is left out.

        A layer that reads all of these channels multiplies those lanes by 0, and what is multiplied
        must be a number.
        """
        rows = self.config.rows
        return (destination.used_lanes(rows) if destination.step == destination.words
                else destination.words * rows)

    def _compute_work(self, windows: int, outputs: int, slots: int, channels: int, columns: int,
                      limit: int | None = None) -> ComputeWork:
        lanes = self.config.lanes
        limit = min(limit or self.config.accumulator_depth, _FIELD - 1)
        chunk = -(-windows // -(-windows // limit))
        # Of the last block of outputs whole groups are written, and none without a channel.
        whole = -(-channels // lanes) * lanes
        last = min(columns, whole - (outputs - 1) * columns)
        return ComputeWork(windows=windows, chunk=chunk, outputs=outputs, slots=slots,
                           groups=columns // lanes, last_groups=last // lanes)

    def _emit(self, operator: Operator, flags: Flag, window: Window, source: Placement,
              destination: Placement, work: ComputeWork, blocks: int, tiles: NDArray[np.int64],
              parameters: tuple[NDArray, ...], *, padding: int, columns: int,
              zero_point: int | None = None, start: tuple[int, int] | None = None,
              row_windows: int | None = None, patches: bool = False) -> None:
        """Add a layer that computes.

        ``tiles`` has shape (output blocks, channel blocks, taps or 1, rows or 1, columns), and
        ``parameters`` are biases, multipliers, right and left shifts by channel.
        """
        (down, across), (row_step, column_step) = window.stride, window.dilation
        start = start or (-window.padding[0][0], -window.padding[1][0])
        if min(start) < -_FIELD // 2:
            raise InputError(f"{_label(operator)}: padding must be at most {_FIELD // 2}, not "
                             f"{-min(start)}")
        row = source.width * source.step
        wide = [np.pad(values, (0, work.outputs * columns - len(values)))
                for values in parameters]
        # A block of outputs has its own groups of parameters.
        base = self._store_parameters(operator, tuple(wide))
        wraps = isinstance(operator, WeightedOperator) and operator.wraps
        weights = self._store_weights(
            operator, tiles.reshape(-1, self.config.columns).astype(np.int32))
        m = self.config.winograd
        output_row = destination.width * destination.step
        output_zero_point = operator.output.zero_point if zero_point is None else zero_point
        assert isinstance(operator, WeightedOperator | Pool | Pad)
        minimum, maximum = ((-128, 127) if isinstance(operator, Pad)
                            else (operator.minimum, operator.maximum))
        pairs = {
            Field.SOURCE_SIZE: (source.height, source.width),
            Field.STRIDE: (down, across),
            Field.KERNEL: window.kernel,
            Field.DILATION: (row_step, column_step),
            Field.BLOCKS: (blocks, work.outputs),
            Field.ROW_WINDOWS: (row_windows or destination.width, work.chunk),
            Field.SLOTS: (work.slots, work.reuse),
            Field.DESTINATION_STEP: (destination.step, work.last_groups),
            Field.DESTINATION_SIZE: (destination.height, destination.width),
            Field.DESTINATION_ROW_STEP: (output_row, m * output_row) if work.winograd else (0, 0),
        }
        if work.windows >= _MAX_WINDOWS:
            raise InputError(f"{_label(operator)}: there must be less than {_MAX_WINDOWS} windows, "
                             f"not {work.windows}")
        for field, values in pairs.items():
            if max(values) >= _FIELD:
                raise InputError(f"{_label(operator)}: {field.name.lower().replace('_', ' ')} must "
                                 f"be less than {_FIELD}, not {values}")
        descriptor = {
            Field.OPERATION: (int(Operation.COMPUTE) | int(flags | _rounding(operator))
                              | _reads(source, self.config)),
            Field.SOURCE: source.base + start[0] * row + start[1] * source.step,
            Field.DESTINATION: destination.base,
            Field.SOURCE_START: (start[0] & 0xffff) | (start[1] & 0xffff) << 16,
            Field.PIXEL_STEP: across * source.step,
            Field.ROW_STEP: down * row,
            Field.TAP_COLUMN_STEP: column_step * source.step,
            Field.TAP_ROW_STEP: row_step * row,
            Field.WINDOWS: work.windows,
            Field.WEIGHTS: weights,
            Field.PARAMETERS: base | wraps << WRAPS,
            Field.QUANTIZATION: _bytes(padding, output_zero_point, minimum, maximum),
            **{field: low | high << 16 for field, (low, high) in pairs.items()},
        }
        self.layers.append(CompiledLayer(operator.name, operator, destination, {
            field: value & 0xffffffff for field, value in descriptor.items()}, work,
            (Field.SOURCE,) if source.input else (), patches))

    def _emit_depthwise(self, operator: Operator, plan: DepthwisePlan, source: Placement,
                        destination: Placement, weights: NDArray[np.int32],
                        parameters: tuple[NDArray, ...], padding: int,
                        zero_point: int | None) -> None:
        """Add a layer that the depthwise unit computes."""
        config, work = self.config, plan.work
        assert isinstance(operator, DepthwiseConv2D | AveragePool)
        lanes = work.blocks * config.rows
        base = self._store_parameters(operator, tuple(
            np.pad(values[:lanes], (0, max(lanes - len(values), 0))) for values in parameters))
        wraps = isinstance(operator, WeightedOperator) and operator.wraps
        first = self._store_weights(operator, weights)
        last_groups = work.last_groups * config.depthwise_lanes // config.lanes
        pairs = {
            Field.SOURCE_SIZE: plan.source_size,
            Field.SOURCE_START: plan.start,
            Field.STRIDE: plan.stride,
            Field.BLOCKS: (work.blocks, 0),
            Field.SLOTS: (work.lead, work.down),
            Field.DESTINATION_STEP: (0 if work.total else destination.step, last_groups),
            Field.DESTINATION_SIZE: plan.destination_size,
        }
        flags = Flag.LINEAR * plan.linear | Flag.TOTAL * work.total
        self.layers.append(CompiledLayer(operator.name, operator, destination, {
            Field.OPERATION: (int(Operation.DEPTHWISE) | int(flags | _rounding(operator))
                              | _reads(source, config)),
            Field.SOURCE: source.base,
            Field.DESTINATION: destination.base,
            Field.PIXEL_STEP: source.step,
            Field.ROW_STEP: plan.source_size[1] * source.step,
            Field.WINDOWS: plan.line,
            Field.WEIGHTS: first,
            Field.PARAMETERS: base | wraps << WRAPS,
            Field.QUANTIZATION: _bytes(
                padding, operator.output.zero_point if zero_point is None else zero_point,
                operator.minimum, operator.maximum),
            **{field: low | high << 16 for field, (low, high) in pairs.items()},
        }, work, (Field.SOURCE,) if source.input else ()))

    def _store_weights(self, operator: Operator, rows: NDArray[np.int32]) -> int:
        """Append rows of weights, and return the address of the first."""
        if self.config.code_width:
            check_values(_label(operator), rows, self.config.code_width)
        first = self.weight_rows
        self.weights[len(self.layers) + 1] = rows
        self.weight_rows += len(rows)
        return first

    def _weighted_parameters(self, operator: WeightedOperator) -> tuple[NDArray[np.int64], ...]:
        """Biases, with the zero point of the input taken into account, and factors by channel.

        A left shift is before a bias, which is shifted here.
        """
        sums = operator.weight.astype(np.int64)
        magnitudes = np.abs(sums)
        axes = (0, 1) if isinstance(operator, DepthwiseConv2D) else tuple(range(1, sums.ndim))
        right = np.maximum(operator.shift, 0).astype(np.int64)
        factor = np.maximum(-operator.shift.astype(np.int64), 0)
        left = factor + operator.bias_shift
        bias = ((operator.bias.astype(np.int64) << factor)
                - (operator.input.zero_point * sums.sum(axis=axes) << left))
        if left.max() > LEFT_SHIFT_MAXIMUM:
            raise InputError(f"{_label(operator)}: a left shift must be at most "
                             f"{LEFT_SHIFT_MAXIMUM}, not {left.max()}")
        bound = 128 * magnitudes.sum(axis=axes)
        width = self.config.accumulator_width
        needed = int((bound + (np.abs(bias) >> left)).max()).bit_length() + 1
        if needed > width:
            raise InputError(f"{_label(operator)}: option accumulator_width must be at least "
                             f"{needed}, not {width}")
        return bias, operator.multiplier.astype(np.int64), right, left

    def _store_parameters(self, operator: Operator, parameters: tuple[NDArray, ...]) -> int:
        """Append parameters by channel, and return the address of their first group."""
        bias, multiplier, right, left = (
            values.astype(np.int64).reshape(-1, self.config.lanes) for values in parameters)
        if np.abs(bias).max(initial=0) >= 1 << 31:
            raise InputError(f"{_label(operator)}: a bias, the input's zero point included, must "
                             "fit in 32 bits")
        base = self.parameter_groups
        self.parameters.append((bias, multiplier, right | left << 8))
        self.parameter_groups += len(bias)
        return base


# What costs nothing, and what the host computes.
_FREE = (Reshape, Stack)
_HOST = (Softmax, LogSoftmax)


def _rounding(operator: Operator) -> Flag:
    once = isinstance(operator, WeightedOperator | Add) and operator.single_rounding
    return Flag.SINGLE_ROUNDING if once else Flag(0)


def _label(operator: Operator) -> str:
    return f"{type(operator).__name__} {operator.name!r}"


def _reads(tensor: Placement, config: SystolicConfig) -> int:
    """Say in a descriptor's first field what the words of a tensor hold."""
    unused = tensor.words * config.rows - tensor.used_lanes(config.rows)
    return (tensor.words - 1) << 8 | unused << 24


def _patch_fields(patches: Patches, padding: int) -> dict[Field, int]:
    """Say in the descriptor of the input how patches are made of it."""
    pairs = {Field.SOURCE_SIZE: patches.size, Field.KERNEL: patches.pads,
             Field.SOURCE_START: patches.first, Field.STRIDE: patches.step}
    return {Field.OPERATION: int(Operation.INPUT) | 1 << PATCHES,
            Field.QUANTIZATION: _bytes(padding),
            **{field: down | across << 16 for field, (down, across) in pairs.items()}}


def _bytes(*values: int) -> int:
    return sum((value & 0xff) << 8 * number for number, value in enumerate(values))
