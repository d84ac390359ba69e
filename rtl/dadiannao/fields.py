"""Fields of an instruction in its register."""

from amaranth.hdl import Value

from eieio.model.dadiannao.instruction import FIELDS, INSTRUCTION_WORDS

__all__ = ["INSTRUCTION_WIDTH", "field"]

#: Bits of an instruction.
INSTRUCTION_WIDTH = 32 * INSTRUCTION_WORDS


def field(instruction: Value, name: str, width: int | None = None) -> Value:
    """Return a field, or its lowest bits; signed if it is."""
    place = FIELDS[name]
    low = 32 * place.word + place.low
    value = instruction[low:low + min(place.width, width or place.width)]
    return value.as_signed() if place.signed else value
