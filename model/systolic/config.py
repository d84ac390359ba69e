"""The one object that configures the systolic engine."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from eieio.model.errors import InputError

__all__ = ["SystolicConfig"]


@dataclass(frozen=True)
class SystolicConfig:
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
        for name, low, high in (
                ("rows", 1, 256), ("columns", 1, 256), ("activation_width", 4, 18),
                ("weight_width", 4, 18), ("accumulator_width", 16, 48), ("product_stages", 1, 3)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise InputError(f"Option {name} must be an integer from {low} to {high}, "
                                 f"not {value!r}")

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

    @property
    def label(self) -> str:
        """All parameters on one line, each by its name."""
        return ", ".join(f"{name}={value}" for name, value in asdict(self).items())

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "SystolicConfig":
        """Make a configuration from a mapping of names to values, such as a JSON object."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise InputError(f"Option {name!r} must be one of {', '.join(known)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return a mapping of names to values, as :meth:`from_dict` takes it."""
        return asdict(self)
