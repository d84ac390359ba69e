"""Configuration of a row-stationary array: one frozen object for models and hardware."""

from dataclasses import dataclass

from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError

__all__ = ["CHIP", "PARAMETER_DEPTH", "WORD_BYTES", "EyerissConfig"]

#: Bytes of a word of filters and feature maps: a word holds an int8 less its zero point, too.
WORD_BYTES = 2

#: Filters whose biases and factors are in the hardware together: most of a pass.
PARAMETER_DEPTH = 512


# Most lines of the global buffer, which commands address by 16 bits.
_LINES = 1 << 16


@dataclass(frozen=True)
class EyerissConfig(EngineConfig):
    """What a row-stationary array is. :data:`CHIP` is the one that was made.

    Attributes
    ----------
    rows, columns : :class:`int`
        Processing elements (PEs) along a side of the array, 1 to 32 each.
    filter_words, ifmap_words, psum_words : :class:`int`
        Words of a PE's scratch pads, for weights, activations and partial sums.
    glb_bytes : :class:`int`
        Bytes of the global buffer, for activations and partial sums.
    glb_banks : :class:`int`
        Banks of the global buffer; each is for activations or for partial sums.
    bus_words : :class:`int`
        Words of weights, and of partial sums each way, that a bus carries in a cycle: 1, 2 or 4.
        The bus of activations carries one.
    psum_width : :class:`int`
        Bits of a partial sum: 16, 32 or 64.
    clock_mhz : :class:`int`
        Clock of the core.

    Raises
    ------
    InputError
        If an option is outside its range, or a bank does not hold whole words of the bus.
    """

    rows: int = 12
    columns: int = 14
    filter_words: int = 224
    ifmap_words: int = 12
    psum_words: int = 24
    glb_bytes: int = 102400
    glb_banks: int = 25
    bus_words: int = 4
    psum_width: int = 32
    clock_mhz: int = 200

    def __post_init__(self) -> None:
        self._check_integers(
            ("rows", 1, 32), ("columns", 1, 32), ("filter_words", 1, 4096), ("ifmap_words", 1, 64),
            ("psum_words", 1, 128), ("glb_bytes", 16, 1 << 24), ("glb_banks", 2, 256),
            ("bus_words", 1, 4), ("psum_width", 16, 64), ("clock_mhz", 1, 10000))
        for name, values in (("bus_words", (1, 2, 4)), ("psum_width", (16, 32, 64))):
            if getattr(self, name) not in values:
                raise InputError(f"Option {name} must be one of {', '.join(map(str, values))}, not "
                                 f"{getattr(self, name)}")
        if self.filter_words % self.bus_words:
            raise InputError(f"Option filter_words must be a multiple of bus_words, "
                             f"{self.bus_words}, not {self.filter_words}")
        line = self.glb_banks * self.line_bytes
        lines = self.glb_bytes // line
        if lines * self.glb_banks > _LINES:
            raise InputError(f"Option glb_bytes must be at most {_LINES * self.line_bytes}, "
                             f"{_LINES} lines of {self.line_bytes} bytes, not {self.glb_bytes}")
        if self.glb_bytes % line or lines & (lines - 1):
            raise InputError(f"Option glb_bytes must be a power of two of lines of "
                             f"{self.line_bytes} bytes in each of {self.glb_banks} banks, not "
                             f"{self.glb_bytes}")

    @property
    def pes(self) -> int:
        """Number of PEs."""
        return self.rows * self.columns

    @property
    def psum_bytes(self) -> int:
        """Bytes of a partial sum."""
        return self.psum_width // 8

    @property
    def line_bytes(self) -> int:
        """Bytes of a line of the global buffer: as many partial sums as the bus carries."""
        return self.bus_words * self.psum_bytes

    @property
    def psum_slots(self) -> int:
        """Partial sums that wait at a PE's output."""
        return max(4, 2 * self.bus_words)

    @property
    def bank_lines(self) -> int:
        """Lines of a bank."""
        return self.glb_bytes // self.glb_banks // self.line_bytes


#: The chip of 2016, whose partial sums have 16 bits.
CHIP = EyerissConfig(psum_width=16)
