"""Compiler of the systolic engine: from a graph of integers to a program, weights and parameters.

Every operator becomes one descriptor. Convolutions, fully connected layers and pooling are the same
operation of the engine: windows that slide over a tensor, whose elements are multiplied by tiles of
weights. A fully connected layer has one window, as large as its input; pooling has weights of 1 on
the diagonal, and takes maxima, or sums that requantization divides by their number. What only
changes a shape costs nothing, nor do stacks, whose tensors are computed side by side. Softmax
and its logarithm stay with the host.
"""

import math
from dataclasses import replace

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
from eieio.model.systolic.coded_weights import code_weights
from eieio.model.systolic.compiled_graph import CompiledGraph, CompiledLayer
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.depthwise import DepthwisePlan, plan_depthwise, plan_total
from eieio.model.systolic.descriptor_fields import label, reads, rounding, signed_bytes
from eieio.model.systolic.layer_writer import LayerWriter
from eieio.model.systolic.patches import Patches, find_patches
from eieio.model.systolic.placement import Placement, place_tensors
from eieio.model.systolic.program import (
    Field,
    Flag,
    Operation,
)
from eieio.model.systolic.timing import compute_cycles, depthwise_cycles
from eieio.model.systolic.work import AddWork, ComputeWork

__all__ = ["compile_graph"]

# An average's reciprocal is exact as long as a window has no more elements than this, see _average.
_MAX_AVERAGED = 2048

# What costs nothing, and what the host computes.
_FREE = (Reshape, Stack)
_HOST = (Softmax, LogSoftmax)


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


class _Compiler(LayerWriter):
    def __init__(self, graph: QuantizedGraph, config: SystolicConfig, batch: int,
                 winograd: bool | None) -> None:
        if batch < 1:
            raise InputError(f"Batch must be at least 1, not {batch}")
        if winograd and not config.winograd:
            raise InputError("Engine must be configured for Winograd (option winograd)")
        super().__init__(config)
        self.graph = graph
        self.batch = batch
        self.winograd = winograd
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
                    raise InputError(f"{label(operator)}: a batch must be of fully connected "
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
                raise InputError(f"{label(host[0])}: must take the result of the operator before "
                                 "it")
        for operator in operators:
            if isinstance(operator, _HOST):
                raise InputError(f"{label(operator)}: softmax must be the last operator, which "
                                 "the host computes")
            if isinstance(operator, Add) and not self.config.residual:
                raise InputError(f"{label(operator)}: the engine must be configured with residual "
                                 "to add")
        if len(host) > 1 and any(isinstance(operator, LogSoftmax) for operator in host):
            raise InputError(f"{label(host[0])}: must be the only softmax at the end")
        if all(isinstance(operator, _FREE) for operator in operators):
            raise InputError(f"Network {self.graph.name!r} must have an operator that the engine "
                             "computes")
        return operators, tuple(host), result

    # Operators.

    def _compile(self, operator: Operator, sources: list[Placement],
                 destination: Placement) -> None:
        for tensor in (*operator.inputs, operator.output):
            if tensor.width != 8:
                raise InputError(f"{label(operator)}: tensors must have 8 bits, not "
                                 f"{tensor.width}; the sparse engine takes others")
        if isinstance(operator, WeightedOperator) and operator.weight_kind != "int8":
            raise InputError(f"{label(operator)}: weights must be int8, not "
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
                raise InputError(f"{label(operator)}: the engine computes convolutions, fully "
                                 "connected layers, pooling, padding, addition and reshaping")

    def _check_image(self, operator: Operator, source: Placement) -> None:
        if operator.input.shape != (source.height, source.width, source.channels):
            raise InputError(f"{label(operator)}: a reshaped input must keep the shape "
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
        channels = self.written(destination)
        blocks, outputs = source.words, -(-channels // config.columns)
        wide = np.zeros((outputs * config.columns, *weight.shape[1:3], blocks * config.rows),
                        np.int64)
        wide[:len(weight), :, :, source.lanes(config.rows)] = weight
        taps = weight.shape[1] * weight.shape[2]
        work = self.compute_work(destination.pixels, outputs, blocks * taps, channels,
                                  config.columns)
        parameters = self.weighted_parameters(operator)
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
        self.emit(operator, Flag(0), window, source, destination, work, blocks, tiles, parameters,
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
        self.emit(operator, Flag(0), patches.window, source, destination, work, 1, tiles,
                   parameters, padding=operator.input.zero_point, columns=config.columns,
                   start=patches.start, patches=True)

    def _depthwise(self, operator: DepthwiseConv2D, source: Placement,
                   destination: Placement) -> None:
        depth = source.channels
        parameters = self.weighted_parameters(operator)
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
                raise InputError(f"{label(operator)}: windows must have one number of elements; "
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
            raise InputError(f"{label(operator)}: a window must have at most {_MAX_AVERAGED} "
                             f"elements to average, not {count}")
        needed = (128 * count).bit_length() + 1
        if needed > self.config.accumulator_width:
            raise InputError(f"{label(operator)}: option accumulator_width must be at least "
                             f"{needed}, not {self.config.accumulator_width}")
        return (1 << 31) // count + 1, 0, 0

    def _pad(self, operator: Pad, source: Placement, destination: Placement) -> None:
        """Windows of one element that begin outside of the image."""
        if len(operator.padding) != 3 or operator.padding[2] != (0, 0):
            raise InputError(f"{label(operator)}: only height and width can be padded, not "
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
        channels, lanes = self.written(destination), source.lanes(config.rows)
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
        work = self.compute_work(destination.pixels, outputs, taps, channels, columns)
        work = replace(work, reuse=taps if same else 1)
        plan = self._choose_depthwise(operator, flags, window, source, destination, work)
        if plan is not None:
            wide = np.zeros((*plan.kernel, source.words * config.rows), np.int64)
            wide[:, :, lanes] = 1 if plan.work.total else weight.reshape(*plan.kernel, -1)
            self.emit_depthwise(operator, plan, source, destination, plan.lay_out(config, wide),
                                 tuple(spread), padding, zero_point)
            return
        self.emit(operator, flags | Flag.CHANNELWISE, window, source, destination, work, 1, tiles,
                   tuple(spread), padding=padding, columns=columns,
                   zero_point=zero_point, start=start)

    def _choose_depthwise(self, operator: Operator, flags: Flag, window: Window, source: Placement,
                          destination: Placement, work: ComputeWork) -> DepthwisePlan | None:
        """Find out how the depthwise unit takes a layer; None if the array is to compute it."""
        config = self.config
        if not config.depthwise_lanes or flags or isinstance(operator, Pad):
            return None
        plan = plan_depthwise(config, window, source, destination, self.written(destination))
        if isinstance(plan, str) and isinstance(operator, AveragePool) and (
                window.kernel == (source.height, source.width)):
            plan = plan_total(config, source, self.written(destination))
        if isinstance(plan, str):
            if isinstance(operator, DepthwiseConv2D):
                self.notes.append(f"{label(operator)}: the array computes it, not the depthwise "
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
        channels = self.written(destination)
        work = self.compute_work(tiles, -(-channels // config.columns), source.words * n * n,
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
        self.emit(operator, Flag.WINOGRAD, Window((n, n), (m, m), (1, 1), window.padding), source,
                   destination, work, source.words, tiles, parameters,
                   padding=operator.input.zero_point, columns=config.columns,
                   row_windows=-(-destination.width // m))

    def _add(self, operator: Add, sources: list[Placement], destination: Placement) -> None:
        config = self.config
        shape = destination.height, destination.width, destination.channels
        for tensor, source in zip(operator.inputs, sources, strict=True):
            if (source.height, source.width, source.channels) != shape:
                raise InputError(f"{label(operator)}: operand {tensor.name!r} must have been "
                                 f"computed in the shape {shape}, not "
                                 f"{(source.height, source.width, source.channels)}")
            if not source.packed or source.parts != destination.parts:
                raise InputError(f"{label(operator)}: operand {tensor.name!r} must not have "
                                 "channels beside others': a copy of it would fit")
        if not destination.packed:
            raise InputError(f"{label(operator)}: the sum must not have channels beside others': "
                             "a copy of it would fit")
        (first, second, multiplier), (first_shift, second_shift, shift) = (
            operator.multipliers, operator.shifts)
        parameters = self.store_parameters(
            operator, tuple(np.full(config.lanes, value) for value in (0, multiplier, shift, 0)))
        zero_points = [tensor.zero_point & 0xff for tensor in operator.inputs]
        output = operator.output
        self.layers.append(CompiledLayer(operator.name, operator, destination, {
            Field.OPERATION: (int(Operation.ADD) | int(rounding(operator))
                              | reads(sources[0], config)),
            Field.SOURCE: sources[0].base,
            Field.SECOND_SOURCE: sources[1].base,
            Field.DESTINATION: destination.base,
            Field.WINDOWS: destination.size,
            Field.PARAMETERS: parameters,
            Field.QUANTIZATION: signed_bytes(0, output.zero_point, operator.minimum,
                                             operator.maximum),
            Field.FIRST_MULTIPLIER: first,
            Field.SECOND_MULTIPLIER: second,
            Field.ADD_OPERANDS: (first_shift | second_shift << 8 | zero_points[0] << 16
                                 | zero_points[1] << 24),
        }, AddWork(destination.size), tuple(
            field for field, source in zip((Field.SOURCE, Field.SECOND_SOURCE), sources,
                                           strict=True) if source.input)))
