"""Instructions of a node, and the memories of its image.

An instruction is a nest of loops over reads of the central buffer, each with an address, a stride
and iterations, and says what the stages of the NFU do with what is read. From the inside out: rows
of a pixel (``depth``), elements of a window (``kernel_x``, ``kernel_y``), groups of outputs
(``groups``), pixels of the output (``x``, ``y``).

Each step of the inner loops takes one row of the central buffer, or of NBin, and one row of each
synapse buffer, which follow one another from ``sb_addr`` on, and begin there again with each pixel.
A group ends with a word of sums in NBout of each tile. These are then taken by the third stage:
group ``g`` of tile ``t`` is word ``g + t * write_stride`` of the pixel, as long as this is below
``words``.

With ``across``, a group is a word of the input, one after the other, and is computed by one tile
alone, the next group by the next tile: its word of the pixel is the group's number. The weights of
as many groups as there are tiles lie in the same rows.

With ``forward``, ``groups`` words are sent to the next node, and as many taken of the one before,
written from ``write_addr`` on if ``receive`` is set.
"""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import NamedTuple

__all__ = ["FIELDS", "INSTRUCTION_WORDS", "PARAMETER_FIELDS", "SEGMENTS", "Field", "Instruction",
           "Ports", "Stage1", "Stage2", "Stage3", "Target"]


class Target(IntEnum):
    """Memory that a section of an image fills."""

    SYNAPSES = 0
    """Rows of a synapse buffer in words of 32 bits, as many as a power of two for each row. The
    unit is a tile; those of a node follow those of the one before."""
    PARAMETERS = 1
    """:data:`PARAMETER_FIELDS` of each lane of each word. The unit is a node, as below."""
    PROGRAM = 2
    """Instructions."""
    TABLE = 3
    """Slope and intercept of each segment: first of sigmoid, then of tanh."""
    PORTS = 4
    """The members of :class:`Ports`; one for all nodes."""
    LAYERS = 5
    """Number of instructions."""


class Ports(IntEnum):
    """Words of the target of that name."""

    INPUT_LAST = 0
    """Last word of the input, which begins at the beginning of the central buffer."""
    OUTPUT_ADDR = 1
    OUTPUT_LAST = 2
    """Words of the output, less one."""


class Stage1(IntEnum):
    """What the first stage of the NFU does."""

    PASS = 0
    """Takes a word of the row as it is."""
    MULTIPLY = 1


class Stage2(IntEnum):
    """What the second stage does."""

    ADD = 0
    MAXIMUM = 1


class Stage3(IntEnum):
    """What the third stage does."""

    NONE = 0
    """Sums wait in NBout."""
    REQUANTIZE = 1
    """To the central buffer."""
    SIGMOID = 2
    """Requantizes, and looks up; to the central buffer."""
    TANH = 3
    KEEP = 4
    """Requantizes, and keeps wide results in the adder."""
    ADD = 5
    """Requantizes, and adds to what is in the adder."""


class Field(NamedTuple):
    """Place of a field in an instruction."""

    word: int
    low: int
    width: int
    signed: bool = False


#: Words of 32 bits of an instruction.
INSTRUCTION_WORDS = 20

#: Segments of a function's table.
SEGMENTS = 16

#: Places of the fields. Iterations are one less than what they count.
FIELDS = {
    "stage1": Field(0, 0, 1),
    "stage2": Field(0, 1, 1),
    "stage3": Field(0, 2, 3),
    "resume": Field(0, 5, 1),
    "keep": Field(0, 6, 1),
    "across": Field(0, 7, 1),
    "forward": Field(0, 8, 1),
    "receive": Field(0, 9, 1),
    "from_adder": Field(0, 10, 1),
    "single_rounding": Field(0, 11, 1),
    "parameter_step": Field(0, 12, 1),
    "table_shift": Field(0, 16, 6),
    "read_addr": Field(1, 0, 32, True),
    "read_stride": Field(2, 0, 16),
    "depth": Field(2, 16, 16),
    "kernel_x": Field(3, 0, 8),
    "kernel_y": Field(3, 8, 8),
    "groups": Field(3, 16, 16),
    "kernel_x_step": Field(4, 0, 32),
    "kernel_y_step": Field(5, 0, 32),
    "x_step": Field(6, 0, 32),
    "y_step": Field(7, 0, 32),
    "x": Field(8, 0, 16),
    "y": Field(8, 16, 16),
    "origin_x": Field(9, 0, 16, True),
    "origin_y": Field(9, 16, 16, True),
    "width": Field(10, 0, 16),
    "height": Field(10, 16, 16),
    "stride_x": Field(11, 0, 8),
    "stride_y": Field(11, 8, 8),
    "dilation_x": Field(11, 16, 8),
    "dilation_y": Field(11, 24, 8),
    "sb_addr": Field(12, 0, 32),
    "write_addr": Field(13, 0, 32),
    "write_stride": Field(14, 0, 16),
    "pixel_stride": Field(14, 16, 16),
    "words": Field(15, 0, 16),
    "parameter_addr": Field(15, 16, 16),
    "minimum": Field(16, 0, 32, True),
    "maximum": Field(17, 0, 32, True),
    "zero_point": Field(18, 0, 32, True),
    "iterations": Field(19, 0, 32),
}

_ITERATIONS = ("depth", "kernel_x", "kernel_y", "groups", "x", "y", "words", "iterations")

#: Words of 32 bits of a lane's parameters: the bias, low half first, the multiplier, and the shift
#: to the right with that to the left from bit 8 on.
PARAMETER_FIELDS = 4


@dataclass(frozen=True)
class Instruction:
    """An instruction; each field is one of :data:`FIELDS`.

    Attributes
    ----------
    stage1, stage2, stage3 : :class:`int`
        What the stages of the NFU do.
    resume : :class:`bool`
        Whether sums go on from those in NBout.
    keep : :class:`bool`
        Whether the first group fills NBin, and the others read there.
    across, forward, receive, from_adder : :class:`bool`
        See above; and whether the third stage takes the sums of the adder, of ``words`` words, and
        nothing is read.
    single_rounding : :class:`bool`
        How results are rounded.
    parameter_step : :class:`bool`
        Whether each word of a pixel has parameters of its own.
    table_shift : :class:`int`
        Bits by which results of the table are shifted.
    read_addr, read_stride : :class:`int`
        Word at which reading begins, and the step from group to group: 0 if all groups, and so all
        tiles, take the same.
    depth, kernel_x, kernel_y, groups, x, y : :class:`int`
        Iterations of the loops.
    kernel_x_step, kernel_y_step, x_step, y_step : :class:`int`
        Words from one to the next.
    origin_x, origin_y, width, height : :class:`int`
        Where the first window begins, and the size of the image: elements outside are 0, or have no
        part in a maximum.
    stride_x, stride_y, dilation_x, dilation_y : :class:`int`
        Pixels from window to window, and between elements of a window.
    sb_addr : :class:`int`
        First row of the synapse buffers.
    write_addr, write_stride, pixel_stride, words : :class:`int`
        First word that is written, words from tile to tile and from pixel to pixel, and words of a
        pixel.
    parameter_addr : :class:`int`
        Parameters of the first word of a pixel.
    minimum, maximum, zero_point : :class:`int`
        Range of the results, and what is added to them.
    iterations : :class:`int`
        Pixels: ``x`` times ``y``.
    """

    stage1: int = Stage1.PASS
    stage2: int = Stage2.ADD
    stage3: int = Stage3.NONE
    resume: bool = False
    keep: bool = False
    across: bool = False
    forward: bool = False
    receive: bool = False
    from_adder: bool = False
    single_rounding: bool = False
    parameter_step: bool = False
    table_shift: int = 0
    read_addr: int = 0
    read_stride: int = 0
    depth: int = 1
    kernel_x: int = 1
    kernel_y: int = 1
    groups: int = 1
    kernel_x_step: int = 0
    kernel_y_step: int = 0
    x_step: int = 0
    y_step: int = 0
    x: int = 1
    y: int = 1
    origin_x: int = 0
    origin_y: int = 0
    width: int = 1
    height: int = 1
    stride_x: int = 1
    stride_y: int = 1
    dilation_x: int = 1
    dilation_y: int = 1
    sb_addr: int = 0
    write_addr: int = 0
    write_stride: int = 0
    pixel_stride: int = 0
    words: int = 1
    parameter_addr: int = 0
    minimum: int = 0
    maximum: int = 0
    zero_point: int = 0
    iterations: int = 1

    @property
    def group_steps(self) -> int:
        """Steps of a group."""
        return self.depth * self.kernel_x * self.kernel_y

    @property
    def steps(self) -> int:
        """Steps of all loops: rows that the NFU takes."""
        return 0 if self.from_adder else self.group_steps * self.groups * self.iterations

    @property
    def sb_rows(self) -> int:
        """Rows that are read of a synapse buffer."""
        return self.steps if self.stage1 == Stage1.MULTIPLY else 0

    def encode(self) -> list[int]:
        """Return its words.

        Raises
        ------
        ValueError
            If a field does not fit.
        """
        words = [0] * INSTRUCTION_WORDS
        for each in fields(self):
            place = FIELDS[each.name]
            value = int(getattr(self, each.name)) - (each.name in _ITERATIONS)
            low = -(1 << (place.width - 1)) if place.signed else 0
            if not low <= value < low + (1 << place.width):
                raise ValueError(f"Field {each.name} must have {place.width} bits, not {value}")
            words[place.word] |= (value & ((1 << place.width) - 1)) << place.low
        return words
