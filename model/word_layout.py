"""How the words of an image are cut into the symbols of a coded image."""

from collections.abc import Mapping
from dataclasses import dataclass

from eieio.model.errors import InputError

__all__ = ["BYTES", "SYMBOL_WIDTH", "TABLES_MAXIMUM", "LayoutField", "WordLayout", "bytes_layout",
           "table_count"]

#: Bits of a symbol.
SYMBOL_WIDTH = 8

#: Most tables of codes that a decoder has.
TABLES_MAXIMUM = 8


@dataclass(frozen=True)
class LayoutField:
    """Bits of a word that are one symbol.

    Attributes
    ----------
    position : :class:`int`
        The lowest of them.
    width : :class:`int`
        How many they are, 1 to 8.
    table : :class:`int`
        Table of codes that the symbol is coded by.
    """

    position: int
    width: int
    table: int


@dataclass(frozen=True)
class WordLayout:
    """Fields of a word.

    Attributes
    ----------
    fields : tuple of 1 to 4 :class:`LayoutField`
        In the order of their symbols. All other bits are 0.
    delta : :class:`bool`
        Whether they are those of the difference, modulo 2^32, to the word before.

    Raises
    ------
    InputError
        If a field does not fit.
    """

    fields: tuple[LayoutField, ...]
    delta: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.fields) <= 4:
            raise InputError(f"Layout must have 1 to 4 fields, not {len(self.fields)}")
        for each in self.fields:
            if not (1 <= each.width <= SYMBOL_WIDTH and 0 <= each.position <= 32 - each.width
                    and 0 <= each.table < TABLES_MAXIMUM):
                raise InputError(f"Field must be 1 to {SYMBOL_WIDTH} bits of a word, and its "
                                 f"table below {TABLES_MAXIMUM}, unlike {each}")


def bytes_layout(*tables: int, delta: bool = False) -> WordLayout:
    """Make the layout of a word's bytes, the lowest first, of which each names its table."""
    return WordLayout(tuple(LayoutField(SYMBOL_WIDTH * number, SYMBOL_WIDTH, table)
                            for number, table in enumerate(tables)), delta)


#: Layout of a section's header and first word, and of all words without another.
BYTES = bytes_layout(0, 0, 0, 0)


def table_count(layouts: Mapping[int, WordLayout]) -> int:
    """Return how many tables of codes there are for the layouts of an engine."""
    return 1 + max((each.table for layout in layouts.values() for each in layout.fields),
                   default=0)
