"""The one object that configures the systolic engine."""

from dataclasses import dataclass

from eieio.model.engine_config import EngineConfig

__all__ = ["SystolicConfig"]


@dataclass(frozen=True)
class SystolicConfig(EngineConfig):
    """Configuration of a systolic engine.

    The compiler, the golden model, the cycle model and the hardware all take this object.

    Attributes
    ----------
    rows, columns : :class:`int`
        Processing elements along a side of the array, 1 to 256 each. A row takes one activation
        of a vector, a column gives one sum.
    activation_width, weight_width : :class:`int`
        Bits of the array's operands, 4 to 18, both signed. Winograd's transforms widen them; see
        :class:`eieio.model.winograd.IntegerTransform`.
    accumulator_width : :class:`int`
        Bits of an accumulator, 16 to 48.
    product_stages : :class:`int`
        Registers behind each multiplier, 1 to 3.

    Raises
    ------
    InputError
        If an attribute is out of its range.
    """

    rows: int = 16
    columns: int = 16
    activation_width: int = 8
    weight_width: int = 8
    accumulator_width: int = 32
    product_stages: int = 1

    def __post_init__(self) -> None:
        self._check_integers(
            ("rows", 1, 256), ("columns", 1, 256), ("activation_width", 4, 18),
            ("weight_width", 4, 18), ("accumulator_width", 16, 48), ("product_stages", 1, 3))

    @property
    def pes(self) -> int:
        """Number of processing elements."""
        return self.rows * self.columns

    @property
    def product_width(self) -> int:
        """Bits of a product."""
        return self.activation_width + self.weight_width

    @property
    def sum_width(self) -> int:
        """Bits of a sum that leaves the array.

        Enough for ``rows`` products of any operands, but no more than an accumulator has: what is
        above an accumulator's width cannot reach it.
        """
        return min(self.product_width + (self.rows - 1).bit_length(), self.accumulator_width)
