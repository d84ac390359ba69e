"""Writes layers of the systolic engine: descriptors, and the weights and parameters they name."""

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.quantized_graph import (
    AveragePool,
    DepthwiseConv2D,
    Operator,
    Pad,
    Pool,
    WeightedOperator,
    Window,
)
from eieio.model.systolic.coded_weights import check_values
from eieio.model.systolic.compiled_graph import CompiledLayer
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.depthwise import DepthwisePlan
from eieio.model.systolic.descriptor_fields import label, reads, rounding, signed_bytes
from eieio.model.systolic.placement import Placement
from eieio.model.systolic.program import LEFT_SHIFT_MAXIMUM, WRAPS, Field, Flag, Operation
from eieio.model.systolic.work import ComputeWork

__all__ = ["LayerWriter"]

_FIELD = 1 << 16
_MAX_WINDOWS = 1 << 24


class LayerWriter:
    """Appends layers that compute, with their weights and parameters.

    Attributes
    ----------
    layers : list of CompiledLayer
        What has been written.
    weights : dict of int32 arrays of shape (rows, columns)
        Rows of weights by descriptor.
    weight_rows : int
        How many there are.
    parameters : list of tuples of int64 arrays of shape (groups, lanes)
        Biases, multipliers and shifts.
    parameter_groups : int
        How many there are.
    """

    def __init__(self, config: SystolicConfig) -> None:
        self.config = config
        self.layers: list[CompiledLayer] = []
        self.weights: dict[int, NDArray[np.int32]] = {}
        self.weight_rows = 0
        self.parameters: list[tuple[NDArray[np.int64], ...]] = []
        self.parameter_groups = 0

    def written(self, destination: Placement) -> int:
        """Lanes of a pixel that a layer writes: beside others' channels, no lane is left out.

        A layer that reads all of these channels multiplies those lanes by 0, and what is multiplied
        must be a number.
        """
        rows = self.config.rows
        return (destination.used_lanes(rows) if destination.step == destination.words
                else destination.words * rows)

    def compute_work(self, windows: int, outputs: int, slots: int, channels: int, columns: int,
                      limit: int | None = None) -> ComputeWork:
        lanes = self.config.lanes
        limit = min(limit or self.config.accumulator_depth, _FIELD - 1)
        chunk = -(-windows // -(-windows // limit))
        # Of the last block of outputs whole groups are written, and none without a channel.
        whole = -(-channels // lanes) * lanes
        last = min(columns, whole - (outputs - 1) * columns)
        return ComputeWork(windows=windows, chunk=chunk, outputs=outputs, slots=slots,
                           groups=columns // lanes, last_groups=last // lanes)

    def emit(self, operator: Operator, flags: Flag, window: Window, source: Placement,
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
            raise InputError(f"{label(operator)}: padding must be at most {_FIELD // 2}, not "
                             f"{-min(start)}")
        row = source.width * source.step
        wide = [np.pad(values, (0, work.outputs * columns - len(values)))
                for values in parameters]
        # A block of outputs has its own groups of parameters.
        base = self.store_parameters(operator, tuple(wide))
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
            raise InputError(f"{label(operator)}: there must be less than {_MAX_WINDOWS} windows, "
                             f"not {work.windows}")
        for field, values in pairs.items():
            if max(values) >= _FIELD:
                raise InputError(f"{label(operator)}: {field.name.lower().replace('_', ' ')} must "
                                 f"be less than {_FIELD}, not {values}")
        descriptor = {
            Field.OPERATION: (int(Operation.COMPUTE) | int(flags | rounding(operator))
                              | reads(source, self.config)),
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
            Field.QUANTIZATION: signed_bytes(padding, output_zero_point, minimum, maximum),
            **{field: low | high << 16 for field, (low, high) in pairs.items()},
        }
        self.layers.append(CompiledLayer(operator.name, operator, destination, {
            field: value & 0xffffffff for field, value in descriptor.items()}, work,
            (Field.SOURCE,) if source.input else (), patches))

    def emit_depthwise(self, operator: Operator, plan: DepthwisePlan, source: Placement,
                        destination: Placement, weights: NDArray[np.int32],
                        parameters: tuple[NDArray, ...], padding: int,
                        zero_point: int | None) -> None:
        """Add a layer that the depthwise unit computes."""
        config, work = self.config, plan.work
        assert isinstance(operator, DepthwiseConv2D | AveragePool)
        lanes = work.blocks * config.rows
        base = self.store_parameters(operator, tuple(
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
            Field.OPERATION: (int(Operation.DEPTHWISE) | int(flags | rounding(operator))
                              | reads(source, config)),
            Field.SOURCE: source.base,
            Field.DESTINATION: destination.base,
            Field.PIXEL_STEP: source.step,
            Field.ROW_STEP: plan.source_size[1] * source.step,
            Field.WINDOWS: plan.line,
            Field.WEIGHTS: first,
            Field.PARAMETERS: base | wraps << WRAPS,
            Field.QUANTIZATION: signed_bytes(
                padding, operator.output.zero_point if zero_point is None else zero_point,
                operator.minimum, operator.maximum),
            **{field: low | high << 16 for field, (low, high) in pairs.items()},
        }, work, (Field.SOURCE,) if source.input else ()))

    def _store_weights(self, operator: Operator, rows: NDArray[np.int32]) -> int:
        """Append rows of weights, and return the address of the first."""
        if self.config.code_width:
            check_values(label(operator), rows, self.config.code_width)
        first = self.weight_rows
        self.weights[len(self.layers) + 1] = rows
        self.weight_rows += len(rows)
        return first

    def weighted_parameters(self, operator: WeightedOperator) -> tuple[NDArray[np.int64], ...]:
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
            raise InputError(f"{label(operator)}: a left shift must be at most "
                             f"{LEFT_SHIFT_MAXIMUM}, not {left.max()}")
        bound = 128 * magnitudes.sum(axis=axes)
        width = self.config.accumulator_width
        needed = int((bound + (np.abs(bias) >> left)).max()).bit_length() + 1
        if needed > width:
            raise InputError(f"{label(operator)}: option accumulator_width must be at least "
                             f"{needed}, not {width}")
        return bias, operator.multiplier.astype(np.int64), right, left

    def store_parameters(self, operator: Operator, parameters: tuple[NDArray, ...]) -> int:
        """Append parameters by channel, and return the address of their first group."""
        bias, multiplier, right, left = (
            values.astype(np.int64).reshape(-1, self.config.lanes) for values in parameters)
        if np.abs(bias).max(initial=0) >= 1 << 31:
            raise InputError(f"{label(operator)}: a bias, the input's zero point included, must "
                             "fit in 32 bits")
        base = self.parameter_groups
        self.parameters.append((bias, multiplier, right | left << 8))
        self.parameter_groups += len(bias)
        return base
