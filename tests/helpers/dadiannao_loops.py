"""What an instruction of the DaDianNao engine means, as loops: written from its documentation."""

from collections.abc import Iterator
from dataclasses import dataclass

from eieio.model.dadiannao.instruction import Instruction, Stage3

__all__ = ["Step", "Taken", "encode", "steps", "taken_words"]


@dataclass(frozen=True)
class Step:
    """A row that the first two stages take.

    Attributes
    ----------
    addr : :class:`int`
        Word of the central buffer.
    inside : :class:`bool`
        Whether it is of the image.
    first, last, end : :class:`bool`
        Whether it is the first and the last of its group, and the last of all.
    number, group, pixel : :class:`int`
        Its number in its group, the group's in its pixel, and the pixel's.
    sb_row : :class:`int`
        Row of the synapse buffers.
    """

    addr: int
    inside: bool
    first: bool
    last: bool
    end: bool
    number: int
    group: int
    pixel: int
    sb_row: int


@dataclass(frozen=True)
class Taken:
    """A word of sums that the third stage takes.

    Attributes
    ----------
    tile, group : :class:`int`
        Whose it is; groups are counted over all pixels.
    word, addr, parameter_addr : :class:`int`
        Its number in its pixel, where its result goes to, and where its parameters are.
    ends, last : :class:`bool`
        Whether it is the last of its group, and of all.
    """

    tile: int
    group: int
    word: int
    addr: int
    parameter_addr: int
    ends: bool
    last: bool


def encode(instruction: Instruction) -> int:
    """Return an instruction as its register holds it."""
    return sum(word << 32 * number for number, word in enumerate(instruction.encode()))


def steps(instruction: Instruction, *, tiles: int, row_words: int) -> Iterator[Step]:
    """Go through the loops; addresses may lie beyond the memories' ends."""
    one = instruction
    if one.from_adder:
        return
    for pixel in range(one.x * one.y):
        y, x = divmod(pixel, one.x)
        for group in range(one.groups):
            for number in range(one.group_steps):
                rest, depth = divmod(number, one.depth)
                kernel_y, kernel_x = divmod(rest, one.kernel_x)
                row = one.origin_y + y * one.stride_y + kernel_y * one.dilation_y
                column = one.origin_x + x * one.stride_x + kernel_x * one.dilation_x
                yield Step(
                    addr=(one.read_addr + y * one.y_step + x * one.x_step
                          + group * one.read_stride + kernel_y * one.kernel_y_step
                          + kernel_x * one.kernel_x_step + depth * row_words),
                    inside=0 <= row < one.height and 0 <= column < one.width,
                    first=number == 0, last=number == one.group_steps - 1,
                    end=(pixel, group, number) == (one.x * one.y - 1, one.groups - 1,
                                                   one.group_steps - 1),
                    number=number, group=group, pixel=pixel,
                    # Rows follow one another; across, as many groups as there are tiles share them.
                    sb_row=one.sb_addr + number + one.group_steps * (
                        group // tiles if one.across else group))


def taken_words(instruction: Instruction, *, tiles: int) -> Iterator[Taken]:
    """Go through the words of sums in the order in which they are taken."""
    one = instruction
    if one.stage3 == Stage3.NONE:
        return
    for pixel in range(one.iterations):
        for group in range(one.groups):
            words = [(group % tiles, group)] if one.across else [
                (tile, group + tile * one.write_stride) for tile in range(tiles)
                if tile == 0 or group + tile * one.write_stride < one.words]
            for tile, word in words:
                ends = (tile, word) == words[-1]
                yield Taken(
                    tile=tile, group=pixel * one.groups + group, word=word,
                    addr=one.write_addr + pixel * one.pixel_stride + word,
                    parameter_addr=one.parameter_addr + one.parameter_step * word, ends=ends,
                    last=ends and group == one.groups - 1 and pixel == one.iterations - 1)
