"""Configuration of a tensor core: one frozen object for models and hardware."""

from dataclasses import dataclass

from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.tensor_core.float_format import BFLOAT16, FLOAT16, FloatFormat

__all__ = ["INPUT_FORMATS", "TensorCoreConfig"]

#: Formats of the factors, by their names.
INPUT_FORMATS = {"float16": FLOAT16, "bfloat16": BFLOAT16}


@dataclass(frozen=True)
class TensorCoreConfig(EngineConfig):
    """What a tensor core is. The defaults are NVIDIA's V100; an A100 has 8 and 1, an H100 16 and 2.

    Attributes
    ----------
    rows, columns : :class:`int`
        Size of the result of a step, 1 to 16 each.
    products : :class:`int`
        Products that one sum has beside its addend, 1 to 32.
    extra_bits : :class:`int`
        Bits that a term keeps below the 23 fraction bits of the largest one, 0 to 8.
    input_format : :class:`str`
        Format of the factors, "float16" or "bfloat16".

    Raises
    ------
    InputError
        If an option is outside its range.
    """

    rows: int = 4
    columns: int = 4
    products: int = 4
    extra_bits: int = 0
    input_format: str = "float16"

    def __post_init__(self) -> None:
        self._check_integers(("rows", 1, 16), ("columns", 1, 16), ("products", 1, 32),
                             ("extra_bits", 0, 8))
        if self.input_format not in INPUT_FORMATS:
            raise InputError(f"Option input_format must be one of {', '.join(INPUT_FORMATS)}, "
                             f"not {self.input_format!r}")

    @property
    def factor_format(self) -> FloatFormat:
        """Format of the factors."""
        return INPUT_FORMATS[self.input_format]

    @property
    def fraction_width(self) -> int:
        """Fraction bits of a term that has the largest exponent."""
        return 23 + self.extra_bits
