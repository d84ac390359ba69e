"""What came of a point of a search."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What came of a point.

    Attributes
    ----------
    values : tuple of :class:`float` or None
        Its objectives; None if the point cannot be.
    beyond : tuple of :class:`str`
        What is more than there is room for.
    excess : :class:`float`
        By which share of what there is the most needed of it is more; 0 if it fits.
    refused : :class:`str` or None
        Why the point cannot be.
    figures : dict
        What else is known of it.
    """

    values: tuple[float, ...] | None
    beyond: tuple[str, ...] = ()
    excess: float = 0.0
    refused: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def feasible(self) -> bool:
        """Whether there are values, and there is room."""
        return self.values is not None and not self.beyond
