"""What an image of a tensor core is made of: a program of descriptors, weights and biases.

An image is a sequence of sections of 32-bit words, as :mod:`eieio.model.sparse.image_layout` says;
the targets are those of :class:`Target`.

A program is a sequence of descriptors of :data:`DESCRIPTOR_WORDS` words. Each slides windows over a
tensor, and multiplies what is in them by tiles of weights, or takes maxima.

Activations lie in the memory as they do in an array of shape (height, width, channels), without
gaps; an address is that of an activation. So a row of a window is one run of neighbours, or, if it
is dilated or takes some channels alone, a few equal ones: *segments*. A step takes ``products``
neighbours of a segment at a time. Addresses are taken modulo the size of an address, so that a
window may begin outside of the image; what is outside counts as 0, and for maxima as the smallest
number.
"""

from enum import IntEnum

__all__ = ["DESCRIPTOR_WORDS", "FETCHED", "Field", "Target"]

#: Words from one descriptor to the next.
DESCRIPTOR_WORDS = 32


class Target(IntEnum):
    """Memory that a section of an image fills."""

    WEIGHTS = 0
    """Two weights of each tile, the first in the lower half: a unit for each two. A tile has the
    weights of the first column first."""
    BIASES = 1
    """Biases of a column, binary32: a unit for each column."""
    DESCRIPTORS = 2
    """Descriptors, at ``number * 32 + field``."""
    ENDS = 3
    """Beats of an input and of an output, less 1; the address of the output's first beat, in beats;
    numbers of its last beat. An input begins at 0."""
    LAYERS = 4
    """Number of descriptors to run, at address 0."""


class Field(IntEnum):
    """Word of a descriptor. Rows and columns of elements may be negative."""

    MAXIMUM = 0
    """1 for maxima, 0 for sums of products."""
    SOURCE = 1
    """Address of the row of the first window, without its column."""
    ROW_START = 2
    """Row of the first window."""
    COLUMN_START = 3
    """First element of the first window in its row: column times channels."""
    ROWS = 4
    """Rows of the source."""
    ROW_ELEMENTS = 5
    """Elements in a row of it."""
    TAP_ROWS = 6
    """Rows from a row of a window to the next."""
    TAP_ROW_STEP = 7
    """The same in elements."""
    WINDOW_ROWS = 8
    """Rows from a row of windows to the next."""
    WINDOW_ROW_STEP = 9
    """The same in elements."""
    WINDOW_STEP = 10
    """Elements from a window to the next in its row."""
    ROW_WINDOWS = 11
    """Windows in a row."""
    WINDOWS = 12
    """Windows in all."""
    KERNEL_ROWS = 13
    """Rows of a window."""
    SEGMENTS = 14
    """Segments of a row of a window."""
    SEGMENT_STEP = 15
    """Elements from a segment to the next."""
    RUN = 16
    """Elements of a segment."""
    GROUP_WINDOWS = 17
    """Windows of a group, a multiple of the rows of a step: sums of a group are computed side by
    side."""
    COLUMN_TILES = 18
    """Tiles of output channels."""
    WEIGHTS = 19
    """Address of the first tile of weights: those of the first step for all tiles of channels come
    first."""
    BIASES = 20
    """Address of the first tile of biases."""
    DESTINATION = 21
    """Address of the first result."""
    WINDOW_RESULTS = 22
    """Elements from a window's results to the next one's."""
    TILE_RESULTS = 23
    """The same for as many windows as a step has rows."""
    LAST_LANES = 24
    """Channels of the last tile."""
    CLAMP = 25
    """Minimum (lower half) and maximum of the results."""


#: Words of a descriptor that are fetched.
FETCHED = len(Field)
