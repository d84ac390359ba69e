"""Patches of an input: words that hold what several elements of a window need, in place of pixels.

An input of few channels leaves most rows of the array idle. A patch is a block of neighbouring
pixels in one word; a convolution of the input then is one of the patches, whose windows have fewer
elements of more channels. Its results are the same integers: only weights have other places.

A patch ends with the pixel that came last of it, on the right at the bottom. So patches are formed
while an input arrives: a memory of the lines before gives the pixels above, and the word before
those on the left. What windows see of the padding is written as well, where a patch also has
pixels, which takes a cycle for each such place beyond the right and the lower edge. Only patches
that windows read are stored, every ``step`` rows and columns.
"""

from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.quantized_graph import Window
from eieio.model.systolic.config import SystolicConfig

__all__ = ["FORMED", "LEAST_LINE", "Patches", "find_patches", "patch_shapes"]

#: Cycles from a pixel to the patch that ends with it.
FORMED = 4

#: Fewest columns of a line, whose patches are read, formed and stored one after the other.
LEAST_LINE = 4
_BYTE, _PAIR = 1 << 8, 1 << 16


@dataclass(frozen=True)
class Patches:
    """How an input lies in the input memory as patches, and what windows over them are.

    Pairs are vertical and horizontal.

    Attributes
    ----------
    shape : pair of :class:`int`
        Rows and columns of a patch.
    channels : :class:`int`
        Channels of its pixels.
    size : pair of :class:`int`
        Height and width of the input.
    pads : pair of :class:`int`
        Rows below it and columns on its right that are written as well.
    first, step : pairs of :class:`int`
        Row and column of the first patch that is stored, and from one to the next.
    start : pair of :class:`int`
        Row and column of the first window, among the patches that are stored.
    window : Window
        Windows over them; its padding is none.
    """

    shape: tuple[int, int]
    channels: int
    size: tuple[int, int]
    pads: tuple[int, int]
    first: tuple[int, int]
    step: tuple[int, int]
    start: tuple[int, int]
    window: Window

    @property
    def stored(self) -> tuple[int, int]:
        """Rows and columns of patches that are stored."""
        rows, columns = (
            (size + pad - 1 - first) // step + 1
            for size, pad, first, step in zip(self.size, self.pads, self.first, self.step,
                                              strict=True))
        return rows, columns

    @property
    def words(self) -> int:
        """Words that are stored."""
        return self.stored[0] * self.stored[1]

    @property
    def line(self) -> int:
        """Columns of the memory of the lines before; 0 if there is none."""
        return self.size[1] + self.pads[1] if self.shape[0] > 1 else 0

    @property
    def pauses(self) -> int:
        """Cycles of an input besides its pixels': what lies beyond its edges, and a last patch."""
        (height, width), (down, right) = self.size, self.pads
        return (height + down) * (width + right) - height * width + FORMED

    @property
    def lanes(self) -> int:
        """Numbers of a patch."""
        return self.shape[0] * self.shape[1] * self.channels

    def arrange(self, weight: NDArray[np.integer]) -> NDArray[np.int64]:
        """Put weights where the patches have their pixels.

        Parameters
        ----------
        weight : integer array of shape (outputs, kernel height, kernel width, channels)
            Weights of the convolution.

        Returns
        -------
        int64 array of shape (outputs, rows of patches, columns of patches, lanes)
            Those of its windows of patches. The newest column is first, and in it the newest row.
        """
        outputs, height, width, channels = weight.shape
        (rows, columns), (down, across) = self.shape, self.window.kernel
        whole = np.zeros((outputs, down * rows, across * columns, channels), np.int64)
        whole[:, down * rows - height:, across * columns - width:] = weight
        parts = whole.reshape(outputs, down, rows, across, columns, channels)
        newest = parts[:, :, ::-1, :, ::-1].transpose(0, 1, 3, 4, 2, 5)
        return newest.reshape(outputs, down, across, self.lanes)


def find_patches(shape: tuple[int, int], size: tuple[int, int, int], window: Window,
                 outputs: tuple[int, int]) -> Patches | None:
    """Find out how a convolution reads its input as patches.

    Parameters
    ----------
    shape : pair of :class:`int`
        Rows and columns of a patch.
    size : triple of :class:`int`
        Height, width and channels of the input.
    window : Window
        Windows of the convolution.
    outputs : pair of :class:`int`
        Height and width of its output.

    Returns
    -------
    Patches or None
        None if a window's elements have others between them, or a number has no place in a
        descriptor.
    """
    if window.dilation != (1, 1):
        return None
    found = [_axis(*axis) for axis in zip(shape, size, window.kernel, window.stride,
                                          (before for before, _ in window.padding), outputs,
                                          strict=False)]
    pads, first, step, start, kernel, stride, dilation = (
        (down, across) for down, across in zip(*found, strict=True))
    if shape[0] > 1:
        pads = pads[0], max(pads[1], LEAST_LINE - size[1])
    patches = Patches(shape, size[2], (size[0], size[1]), pads, first, step, start,
                      Window(kernel, stride, dilation))
    small = max(*pads, *first, *step) < _BYTE
    return patches if small and max(size[0] + pads[0], size[1] + pads[1]) < _PAIR else None


def _axis(length: int, size: int, kernel: int, stride: int, before: int, outputs: int
          ) -> tuple[int, ...]:
    """Lay patches and windows over them along an axis.

    Returns padding behind, and first and step of patches; start, elements, stride and dilation of
    windows.
    """
    elements = -(-kernel // length)
    step = gcd(stride, length) if elements > 1 else stride
    last = kernel - 1 - before  # Where the first window ends.
    first = last % step
    start = (last - length * (elements - 1) - first) // step
    pad = max(0, last + (outputs - 1) * stride - (size - 1))
    return (pad, first, step, start, elements, stride // step,
            length // step if elements > 1 else 1)


def patch_shapes(config: SystolicConfig, kernel: tuple[int, int], channels: int
                 ) -> list[tuple[int, int]]:
    """List rows and columns that patches can have in the words of an engine."""
    most = config.rows // channels
    return [(rows, columns) for rows in range(1, min(kernel[0], most) + 1)
            for columns in range(1, min(kernel[1], most // rows) + 1) if rows * columns > 1]
