"""What memories and multiplications take of an FPGA, as Yosys and the vendor cells map them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["Family", "Memory", "block_rams", "lut_cells", "multipliers", "product",
           "requantize_multipliers", "stored_elsewhere"]

#: Families of FPGAs.
Family = Literal["ecp5", "ice40", "gowin"]

#: Words and bits of a block RAM; shapes without parity bits last.
_SHAPES: dict[Family, tuple[tuple[int, int], ...]] = {
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "gowin": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}
#: Yosys's cost of a block RAM and of 16 words of 4 bits in lookup tables.
_BLOCK_COST, _CELL_COST = 128, 4
#: And of a bit of a choice between two block RAMs.
_CHOICE_COST = 0.5
#: Fewest bits for which Yosys takes a block RAM. On iCE40 64 were seen in flip-flops and 128 in a
#: block RAM; on Gowin 1,152 in lookup tables and 1,408 in a block RAM.
_SMALLEST_BLOCK: dict[Family, int] = {"ecp5": 0, "ice40": 96, "gowin": 1280}


class Memory(NamedTuple):
    """Memories of one shape in an engine.

    Attributes
    ----------
    copies : :class:`int`
        How many there are.
    width, depth : :class:`int`
        Bits of a word, and words.
    place : :class:`str`
        ``"cell"`` for the vendor's block RAM where ``rtl/vendor`` knows it, and as ``"any"``
        elsewhere; ``"pair"`` as well, but two of them share a block RAM's ports if both fit;
        ``"block"`` for block RAM, ``"lut"`` for lookup tables where they can be memory,
        ``"async"`` for what is read without a clock, which block RAM cannot, or ``"any"`` for the
        cheaper of block RAM and lookup tables.
    """

    copies: int
    width: int
    depth: int
    place: Literal["cell", "pair", "block", "lut", "async", "any"]


def block_rams(memory: Memory, family: Family) -> int:
    """Count the block RAMs of the memories of one shape."""
    if memory.place == "async":
        return 0
    if memory.place == "lut" and family != "ice40":
        return 0
    if memory.place != "block" and memory.width * memory.depth < _SMALLEST_BLOCK[family]:
        return 0
    shapes = _SHAPES[family]
    if memory.place == "pair" and family == "ecp5" and any(
            depth >= 2 << (memory.depth - 1).bit_length() and width >= memory.width
            for depth, width in shapes[1:]):
        return memory.copies // 2
    if memory.place in {"cell", "pair"} and family == "ecp5":
        # One cell after the other in width, none in depth.
        deep = [width for depth, width in shapes if depth >= memory.depth]
        if deep:
            return memory.copies * -(-memory.width // deep[0])
    # A choice between blocks behind one another costs something as well.
    choices = []
    for depth, width in shapes:
        deep = -(-memory.depth // depth)
        blocks = -(-memory.width // width) * deep
        choices.append((_BLOCK_COST * blocks + _CHOICE_COST * memory.width * (deep - 1), blocks))
    blocks = min(choices)[1]
    if memory.place in {"cell", "pair", "any"} and family == "ecp5" \
            and lut_cells(memory) * _CELL_COST < blocks * _BLOCK_COST:
        return 0
    return memory.copies * blocks


def lut_cells(memory: Memory) -> int:
    """Count the cells of 16 words of 4 bits that one of the memories would take."""
    return -(-memory.width // 4) * -(-memory.depth // 16)


def stored_elsewhere(memories: Sequence[Memory], family: Family) -> int:
    """Count what memories outside block RAM take: on iCE40 bits, else cells of 16 words of 4."""
    others = [memory for memory in memories if not block_rams(memory, family)]
    if family == "ice40":
        return sum(memory.copies * memory.width * memory.depth for memory in others)
    return sum(memory.copies * lut_cells(memory) for memory in others)


#: Bits of the digits into which requantization cuts an accumulator, and of its factor's digits.
_DIGIT, _FACTORS = 17, (17, 14)
_ICE40_DIGIT, _ICE40_FACTORS = 16, (16, 15)


def product(a_width: int, b_width: int, family: Family) -> float:
    """Count the multipliers of a signed product; two of 9 x 9 bits are one on Gowin's FPGAs."""
    if family == "ice40":
        return _ice40_multipliers(a_width, b_width, signed=True)
    return 0.5 if family == "gowin" and max(a_width, b_width) <= 9 else 1


def requantize_multipliers(accumulator_width: int, family: Family) -> int:
    """Count the multipliers of one requantization."""
    parts = _parts(accumulator_width, _DIGIT)
    if family != "ice40":
        return parts * len(_FACTORS)
    digit, factors = _DIGIT, _FACTORS
    if _parts(accumulator_width, _ICE40_DIGIT) == parts:
        digit, factors = _ICE40_DIGIT, _ICE40_FACTORS
    top = accumulator_width - digit * (parts - 1)
    return sum((parts - 1) * _ice40_multipliers(digit, factor, signed=False)
               + (1 if max(top, factor) <= 16
                  else _ice40_multipliers(top, factor + 1, signed=True)) for factor in factors)


def _parts(width: int, digit: int) -> int:
    return max(0, -(-(width - digit - 1) // digit)) + 1


def multipliers(products: float) -> int:
    """Round multipliers up to whole ones."""
    return -int(-products // 1)


def _ice40_multipliers(a_width: int, b_width: int, *, signed: bool) -> int:
    """Count SB_MAC16s as Yosys cuts factors of more than 16 bits; small pieces stay outside."""
    def pieces(width: int) -> list[int]:
        step = 16 - signed
        cut = []
        while width > 16:
            cut.append(16)
            width -= step
        return [*cut, width]

    return sum(min(a, b) >= 2 and a + b >= 11 for a in pieces(a_width) for b in pieces(b_width))
