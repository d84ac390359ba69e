"""Configuration of a tensor core: one frozen object for models and hardware."""

from dataclasses import dataclass, field

from eieio.model.engine_config import NEW, EngineConfig
from eieio.model.errors import InputError
from eieio.model.tensor_core.float_format import BFLOAT16, FLOAT16, FloatFormat

__all__ = ["INPUT_FORMATS", "StepConfig", "TensorCoreConfig"]

#: Formats of the factors, by their names.
INPUT_FORMATS = {"float16": FLOAT16, "bfloat16": BFLOAT16}


@dataclass(frozen=True)
class StepConfig(EngineConfig):
    """What a matrix step is. The defaults are NVIDIA's V100; an A100 has 8 and 1, an H100 16 and 2.

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
        if self.input_format not in tuple(INPUT_FORMATS):  # It may be a list, out of a file.
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


@dataclass(frozen=True)
class TensorCoreConfig(StepConfig):
    """What a tensor core with its memories is: an engine that runs networks.

    Attributes
    ----------
    rows, columns, products, extra_bits, input_format :
        As in :class:`StepConfig`; but that ``products`` is a power of two, from 2 on, and not less
        than ``columns``.
    accumulators : :class:`int`
        Tiles of sums, rows x columns binary32 numbers each: a power of two, 4 to 256.
    activation_depth : :class:`int`
        Activations that the memory holds, a multiple of ``products``.
    weight_depth, bias_depth : :class:`int`
        Tiles of weights, products x columns each, and tiles of columns biases.
    program_depth : :class:`int`
        Descriptors.
    parity : :class:`bool`
        Whether each word of a memory has a parity bit: a wrong one ends the inference by an error.
    watchdog : :class:`int`
        Cycles without progress after which an error ends what is under way, 16 to 2^32 - 1; more
        than the longest inference. 0 for no watchdog.

    Raises
    ------
    InputError
        If an option is outside its range.
    """

    accumulators: int = 32
    activation_depth: int = 4096
    weight_depth: int = 4096
    bias_depth: int = 64
    program_depth: int = 16
    parity: bool = field(default=False, metadata=NEW)
    watchdog: int = field(default=0, metadata=NEW)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_integers(("accumulators", 4, 256), ("activation_depth", 8, 1 << 22),
                             ("weight_depth", 2, 1 << 20), ("bias_depth", 2, 1 << 16),
                             ("program_depth", 2, 1 << 14))
        self._check_protection()
        for name, least in (("products", 2), ("accumulators", 4)):
            value = getattr(self, name)
            if value < least or value & (value - 1):
                raise InputError(f"Option {name} must be a power of two, {least} or more, not "
                                 f"{value}")
        if self.columns > self.products:
            raise InputError(f"Option columns must be at most products, {self.products}, not "
                             f"{self.columns}")
        if self.activation_depth % self.products or self.activation_depth < 2 * self.products:
            raise InputError(f"Option activation_depth must be a multiple of products, "
                             f"{self.products}, and at least twice as much, not "
                             f"{self.activation_depth}")

    @property
    def step(self) -> StepConfig:
        """Configuration of the matrix step alone."""
        return StepConfig(self.rows, self.columns, self.products, self.extra_bits,
                          self.input_format)

    @property
    def multipliers(self) -> int:
        """Multipliers of a step."""
        return self.rows * self.columns * self.products
