"""What an image of a systolic engine is made of: a program of descriptors, weights and parameters.

An image is a sequence of sections of 32-bit words, as :mod:`eieio.model.sparse.image_layout` says;
the targets are those of :class:`Target`.

A program is a sequence of descriptors of :data:`DESCRIPTOR_WORDS` words. The first one receives the
input and the last one sends the output; those between compute one tensor each.

Activations lie in the buffer pixel by pixel: a pixel's channels take as many words of ``rows``
activations as they need. An address of the buffer is that of a word. Addresses and steps are taken
modulo the size of an address, so that a window may begin outside of the image. With an input memory
its words, pixels or patches, are read from
:attr:`~eieio.model.systolic.config.SystolicConfig.input_base` on, and written from 0 on.

What patches of the input are, the first descriptor says in fields that windows have in others: rows
and columns of the input in ``SOURCE_SIZE``, and of what is written beyond its edges in ``KERNEL``;
the first patch to store in ``SOURCE_START``, and the steps to the next in ``STRIDE``; and what
padding is in ``QUANTIZATION``.
"""

from enum import IntEnum, IntFlag

from eieio.model.systolic.config import SystolicConfig
from eieio.model.word_layout import WordLayout, bytes_layout

__all__ = ["DESCRIPTOR_WORDS", "LEFT_SHIFT_MAXIMUM", "PATCHES", "WRAPS", "Field", "Flag",
           "Operation", "Target", "word_layouts"]

#: Words from one descriptor to the next.
DESCRIPTOR_WORDS = 32

#: Largest left shift in front of a bias and a multiplier.
LEFT_SHIFT_MAXIMUM = 7

#: Bit of :attr:`Field.PARAMETERS` that lets results wrap.
WRAPS = 31

#: Bit of :attr:`Field.OPERATION` that makes patches of an input, see
#: :mod:`eieio.model.systolic.patches`.
PATCHES = 4


class Target(IntEnum):
    """Memory that a section of an image fills."""

    WEIGHTS = 0
    """Weights of neighbouring columns, or their codes, as many as a word of the image holds; the
    unit is the number of these columns among all."""
    BIASES = 1
    """Biases of a lane, in steps of what a left shift makes of the sums."""
    MULTIPLIERS = 2
    """Multipliers of a lane."""
    SHIFTS = 3
    """Right shifts (bits 5 to 0), and left shifts of sums before the bias is added (bits 10 to 8),
    of a lane."""
    DESCRIPTORS = 4
    """Descriptors, at ``layer * 32 + field``."""
    LAYERS = 5
    """Number of descriptors to run, at address 0."""
    CODEBOOKS = 6
    """What codes of weights stand for, with ``code_width``: at ``layer * 16 + code`` with codes of
    4 bits, and at ``code`` with codes of 8."""


class Operation(IntEnum):
    """What a descriptor asks for."""

    INPUT = 0
    """Receive the input."""
    COMPUTE = 1
    """Slide windows over a tensor, and multiply them by weights."""
    ADD = 2
    """Add two tensors."""
    OUTPUT = 3
    """Send the output."""
    DEPTHWISE = 4
    """Slide windows over each channel, in the depthwise unit."""


class Flag(IntFlag):
    """How :attr:`Operation.COMPUTE` is done; the last one is of all that computes."""

    MAXIMUM = 1 << 4
    """Accumulate maxima, not sums."""
    CHANNELWISE = 1 << 5
    """Each block of outputs takes the one block of channels that it lies in. In an engine with a
    depthwise unit, tiles have a single row of weights: the weight of each column, which is for the
    column's own channel."""
    WINOGRAD = 1 << 6
    """Windows are tiles, which go through Winograd's transforms."""
    LINEAR = 1 << 4
    """Of :attr:`Operation.DEPTHWISE`: windows have a single row, as long as the unit's square."""
    TOTAL = 1 << 5
    """Of :attr:`Operation.DEPTHWISE`: the sums of all windows are added up, to one pixel."""
    SINGLE_ROUNDING = 1 << 7
    """Sums are rescaled in one rounding, not in two."""


class Field(IntEnum):
    """Word of a descriptor. Pairs are vertical (bits 15 to 0) and horizontal (bits 31 to 16).

    For :attr:`Operation.DEPTHWISE` some words have a meaning of their own, as the unit takes pixel
    by pixel of a block of channels. It does so in lines of as many pixels as :attr:`WINDOWS` says,
    which may be longer than the image's.
    """

    OPERATION = 0
    """An :class:`Operation` (bits 3 to 0) and a :class:`Flag` (7 to 4). Of the tensors that are
    read: number of a pixel's last word (23 to 8), and lanes that this word has beyond the channels
    (31 to 24), which are read as 0."""
    SOURCE = 1
    """Address of the first window's first word; of the first word to add or to send, or of the
    image in the depthwise unit."""
    DESTINATION = 2
    """Address of the first word to write."""
    SOURCE_SIZE = 3
    """Height and width of the source."""
    SOURCE_START = 4
    """Row and column of the first window, signed; in the depthwise unit those of its last
    element."""
    STRIDE = 5
    """Rows and columns from window to window."""
    PIXEL_STEP = 6
    """Words from a window to the next one in its row; in the depthwise unit from pixel to pixel."""
    ROW_STEP = 7
    """Words from a row of windows to the next; in the depthwise unit from line to line."""
    KERNEL = 8
    """Height and width of a window in elements."""
    DILATION = 9
    """Rows and columns from element to element."""
    TAP_COLUMN_STEP = 10
    """Words from an element to the next one in its row."""
    TAP_ROW_STEP = 11
    """Words from a row of elements to the next."""
    BLOCKS = 12
    """Blocks of channels that a window takes (bits 15 to 0), and blocks of outputs (31 to 16)."""
    WINDOWS = 13
    """Windows; pixels to receive or to send; words to add; pixels of a line of the depthwise
    unit."""
    ROW_WINDOWS = 14
    """Windows in a row (bits 15 to 0), and in a chunk that shares accumulators (31 to 16)."""
    SLOTS = 15
    """Weight tiles of a block of outputs (bits 15 to 0), and how many in turn are the same (31 to
    16). In the depthwise unit pixels of a block before the one that completes its first window, and
    from the last window of a row to the first one of the next."""
    WEIGHTS = 16
    """Address of the first row of weights."""
    PARAMETERS = 17
    """Address of the first group of parameters; and whether results above the maximum wrap, and are
    not clamped (bit 31, :data:`WRAPS`)."""
    QUANTIZATION = 18
    """Four signed bytes, lowest first: what padding is; zero point, minimum and maximum of the
    result."""
    DESTINATION_STEP = 19
    """Words from a pixel to the next (bits 15 to 0), and groups of lanes in the last block of
    outputs, or in a pixel to receive or to send (31 to 16)."""
    DESTINATION_SIZE = 20
    """Height and width of the destination; for Winograd and the depthwise unit."""
    DESTINATION_ROW_STEP = 21
    """Words from a row of pixels to the next (bits 15 to 0), and to the next row of tiles (31 to
    16); for Winograd."""
    SECOND_SOURCE = 22
    """Address of the second tensor to add."""
    FIRST_MULTIPLIER = 23
    """Multiplier of the first tensor to add."""
    SECOND_MULTIPLIER = 24
    """Multiplier of the second tensor to add."""
    ADD_OPERANDS = 25
    """Four bytes, lowest first: right shifts of both tensors to add, and their zero points,
    signed."""


def word_layouts(config: SystolicConfig) -> dict[int, WordLayout]:
    """Return how words are cut for a coded image: see :mod:`eieio.model.coded_image`.

    Weights are bytes, also two codes of 4 bits, or pairs of them, and all numbers of lanes are much
    alike.
    """
    weights, numbers, high = 1, 2, 3
    pair = (weights,) if config.weights_per_word >= 4 else (weights, high)
    return {
        Target.WEIGHTS: bytes_layout(*(4 // len(pair) * pair)),
        Target.BIASES: bytes_layout(numbers, numbers, numbers, 0),
        Target.MULTIPLIERS: bytes_layout(numbers, numbers, numbers, numbers),
    }
