"""Descriptor of a layer, as the components of an engine see it."""

from amaranth.hdl import Value, unsigned
from amaranth.lib import data

from eieio.model.systolic.program import Field

__all__ = ["DESCRIPTOR", "FETCHED", "WINDOWS_WIDTH", "bits", "last_word", "pair", "unused_lanes"]

#: Words of a descriptor that mean something.
FETCHED = max(Field) + 1

#: Bits of :attr:`Field.WINDOWS` that a layer which slides windows uses.
WINDOWS_WIDTH = 24

#: Layout of a descriptor.
DESCRIPTOR = data.ArrayLayout(unsigned(32), FETCHED)


def bits(descriptor: data.View, field: Field, width: int = 32) -> Value:
    """Return the lowest bits of a field."""
    return descriptor[field][:width]


def last_word(descriptor: data.View) -> Value:
    """Return the number of the last word of a pixel that is read."""
    return descriptor[Field.OPERATION][8:24]


def unused_lanes(descriptor: data.View) -> Value:
    """Return how many lanes that word has beyond the pixel's channels."""
    return descriptor[Field.OPERATION][24:]


def pair(descriptor: data.View, field: Field) -> tuple[Value, Value]:
    """Return both halves of a field."""
    return descriptor[field][:16], descriptor[field][16:]
