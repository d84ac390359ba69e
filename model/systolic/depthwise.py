"""How the depthwise unit of the systolic engine takes a layer: its steps, and where weights lie.

The unit takes the pixels of a block of channels one after the other, line by line. It keeps the
last lines, so that a step completes a window, whose last element its pixel is, or rather where this
element would be in lines without an end: a window that reaches beyond an edge is completed by
pixels that are not its own, which the unit takes for padding. So padding costs no steps but those
behind the image. Lines are the image's rows, or longer where they would be too short for the
windows of a row or for the memory of the lines.

A window lies in the last rows and columns of the unit's square, and the rest of the square has
weights of 0. A window of a single row takes the whole square as one row, without lines. An image of
a single column is taken as one of a single row, and so is one all of whose pixels are added up, a
window behind the other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.quantized_graph import Window
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.placement import Placement
from eieio.model.systolic.work import DepthwiseWork

__all__ = ["LINE_MINIMUM", "DepthwisePlan", "plan_depthwise", "plan_total"]

#: Fewest pixels of a line: what is written to a line is read that many steps later.
LINE_MINIMUM = 3

_FIELD = 1 << 16


@dataclass(frozen=True)
class DepthwisePlan:
    """How the unit takes a layer.

    Attributes
    ----------
    work : DepthwiseWork
        How much there is to do.
    kernel, stride : pair of :class:`int`
        Those of the window, as the unit takes it.
    start : pair of :class:`int`
        Row and column of the last element of the first window.
    source_size, destination_size : pair of :class:`int`
        Heights and widths, as the unit takes them.
    line : :class:`int`
        Pixels of a line.
    linear : :class:`bool`
        Whether the square is one row.
    """

    work: DepthwiseWork
    kernel: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]
    source_size: tuple[int, int]
    destination_size: tuple[int, int]
    line: int
    linear: bool

    def lay_out(self, config: SystolicConfig, weight: NDArray[np.integer]) -> NDArray[np.int32]:
        """Return the rows of the weight buffer.

        Parameters
        ----------
        config : SystolicConfig
            Engine.
        weight : integer array of shape (height, width, lanes of a pixel's words)
            Weights of each window element, 0 in lanes without a channel.

        Returns
        -------
        int32 array of shape (weight rows, columns)
            Block by block, and in each tap by tap and group by group of the unit's lanes, one
            beside the other as far as a row goes. A block begins with a row.
        """
        side, taps = config.depthwise_kernel, config.depthwise_taps
        shape = (1, taps) if self.linear else (side, side)
        square = np.zeros((*shape, weight.shape[2]), np.int32)
        square[-self.kernel[0]:, -self.kernel[1]:] = weight.reshape(*self.kernel, -1)
        blocks = square.reshape(taps, self.work.blocks, config.rows).transpose(1, 0, 2)
        flat = blocks.reshape(self.work.blocks, -1)
        padded = np.pad(flat, ((0, 0), (0, -flat.shape[1] % config.columns)))
        return padded.reshape(-1, config.columns)


def plan_depthwise(config: SystolicConfig, window: Window, source: Placement,
                   destination: Placement, channels: int) -> DepthwisePlan | str:
    """Find out how the unit takes a layer, or why it does not.

    Parameters
    ----------
    config : SystolicConfig
        Engine, with a depthwise unit.
    window : Window
        Windows of the layer.
    source, destination : Placement
        Tensor that it reads, and the one that it writes.
    channels : :class:`int`
        Lanes of a pixel that it writes.
    """
    (high, wide), (down, across) = window.kernel, window.stride
    (top, _), (left, _) = window.padding
    size, result = (source.height, source.width), (destination.height, destination.width)
    if any(step > 1 for step, count in zip(window.dilation, window.kernel, strict=True)
           if count > 1):
        return "its windows are dilated"
    if size[1] == wide == result[1] == 1 and left == 0:
        high, wide, down, across, top, left = wide, high, across, down, left, top
        size, result = (size[1], size[0]), (result[1], result[0])
    side, linear = config.depthwise_kernel, high == 1
    if (wide > config.depthwise_taps) if linear else max(high, wide) > side:
        return (f"its windows of {high} x {wide} are larger than {side} x {side} (option "
                "depthwise_kernel)")
    start = high - 1 - top, wide - 1 - left
    row = (result[1] - 1) * across
    line = max(size[1], 1 if linear else LINE_MINIMUM,
               -(-(row + 1) // down) if result[0] > 1 else 1)
    if not linear and line > config.depthwise_width:
        return (f"its lines of {line} pixels are longer than {config.depthwise_width} (option "
                "depthwise_width)")
    work = DepthwiseWork(
        blocks=source.words, height=result[0], width=result[1],
        lead=start[0] * line + start[1], across=across,
        down=max(down * line - row, 1), groups=config.depthwise_groups,
        last_groups=_last_groups(config, source, channels))
    if max(work.lead + 1, work.down, across, line, *size, *result, source.words) >= _FIELD:
        return "it is too large"
    return DepthwisePlan(work, (high, wide), (down, across), start, size, result, line, linear)


def plan_total(config: SystolicConfig, source: Placement, channels: int) -> DepthwisePlan:
    """Find out how the unit adds up all pixels of a tensor.

    Parameters
    ----------
    config, source, channels
        As for :func:`plan_depthwise`.
    """
    taps = config.depthwise_taps
    windows = -(-source.pixels // taps)
    # The last window ends with the last pixel, and the first one begins before the first.
    first = (source.pixels - 1) % taps
    work = DepthwiseWork(
        blocks=source.words, height=1, width=windows, lead=first, across=taps, down=1,
        groups=config.depthwise_groups, last_groups=_last_groups(config, source, channels),
        total=True)
    return DepthwisePlan(work, (1, taps), (1, taps), (0, first), (1, source.pixels), (1, windows),
                         source.pixels, True)


def _last_groups(config: SystolicConfig, source: Placement, channels: int) -> int:
    """Count the groups of the unit's lanes in the last word of a pixel."""
    groups = -(-channels // config.lanes) - (source.words - 1) * config.word_groups
    return groups * (config.lanes // config.depthwise_lanes)
