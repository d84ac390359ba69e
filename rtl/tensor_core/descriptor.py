"""A descriptor, as the parts of the engine see it."""

from amaranth.hdl import Signal, Value
from amaranth.lib import data

from eieio.model.tensor_core.program import FETCHED, Field

__all__ = ["DESCRIPTOR", "number"]

#: Layout of the words that are fetched.
DESCRIPTOR = data.ArrayLayout(32, FETCHED)


def number(descriptor: data.View, field: Field, width: int, *, signed: bool = False) -> Value:
    """Return the lowest bits of a field."""
    word: Signal = descriptor[field]
    return word[:width].as_signed() if signed else word[:width]
