"""What a register is."""

from dataclasses import dataclass
from enum import Enum, IntFlag

__all__ = ["Access", "Field", "Register"]


class Access(Enum):
    """What a write to a register or a field does."""

    READ_ONLY = "RO"
    """It is answered by SLVERR."""
    READ_WRITE = "RW"
    """It is kept."""
    WRITE_ONE_TO_ACT = "W1"
    """Writing 1 does something once; the field reads 0."""
    WRITE_ONE_TO_CLEAR = "RW1C"
    """Writing 1 clears the bit."""


@dataclass(frozen=True)
class Field:
    """A bit of a register.

    Attributes
    ----------
    flag : IntFlag
        Name and mask.
    description : :class:`str`
        What it means.
    access : Access
        What a write does.
    """

    flag: IntFlag
    description: str
    access: Access

    @property
    def name(self) -> str:
        """Name of the bit."""
        return str(self.flag.name)

    @property
    def bit(self) -> int:
        """Number of the bit."""
        return int(self.flag).bit_length() - 1


@dataclass(frozen=True)
class Register:
    """A register of 32 bits.

    Attributes
    ----------
    name : :class:`str`
        Name in capitals.
    address : :class:`int`
        Byte address.
    access : Access
        What a write does; of a register with fields, that of most of them.
    description : :class:`str`
        What it holds.
    reset : :class:`int` or None
        Value after reset, or None if that depends on the engine.
    fields : tuple of :class:`Field`
        Bits that mean something; all others read 0, and writing them does nothing.
    """

    name: str
    address: int
    access: Access
    description: str
    reset: int | None = 0
    fields: tuple[Field, ...] = ()
