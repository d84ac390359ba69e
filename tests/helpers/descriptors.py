"""Descriptors of the systolic engine's layers, as words of a port."""

from collections.abc import Mapping

from lockstep import pack

from eieio.model.systolic.program import Field

__all__ = ["descriptor", "halves"]


def halves(vertical: int, horizontal: int) -> int:
    """Join a pair, of which either may be signed."""
    return pack([vertical, horizontal], 16)


def descriptor(fields: Mapping[Field, int]) -> int:
    """Return the bits of a descriptor; fields that are not named are 0."""
    return pack([fields.get(field, 0) for field in Field], 32)
