"""What a search optimizes."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Objective"]


@dataclass(frozen=True)
class Objective:
    """A figure that is to be small, or large.

    Attributes
    ----------
    name : :class:`str`
        Its name.
    title : :class:`str`
        What it is, with its unit.
    maximise : :class:`bool`
        Whether more is better.
    digits : :class:`int`
        Digits behind the point that are shown.
    """

    name: str
    title: str
    maximise: bool = False
    digits: int = 0

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """What is to be done with it."""
        return "maximize" if self.maximise else "minimize"

    def text(self, value: float) -> str:
        """Write a value."""
        return f"{value:,.{self.digits}f}"
