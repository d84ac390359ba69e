"""What ``eieio tune`` optimizes."""

from dataclasses import dataclass
from typing import Literal

from eieio.model.errors import InputError

__all__ = ["ACCURACY", "ENERGY", "OBJECTIVES", "Objective", "chosen_objectives"]


@dataclass(frozen=True)
class Objective:
    """A figure of an engine that is to be small, or large.

    Attributes
    ----------
    name : :class:`str`
        Name on the command line.
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


ENERGY = "energy"
ACCURACY = "accuracy"

#: All objectives by name.
OBJECTIVES = {each.name: each for each in (
    Objective("latency", "latency, us", digits=1),
    Objective("throughput", "inferences/s", maximise=True, digits=1),
    Objective("luts", "LUTs"),
    Objective("dsps", "multipliers"),
    Objective("memory", "memory, bits"),
    Objective(ENERGY, "energy"),
    Objective(ACCURACY, "accuracy", maximise=True, digits=4),
)}


def chosen_objectives(text: str) -> list[Objective]:
    """Return objectives by their names, with commas between.

    Raises
    ------
    InputError
        If one is unknown or named twice, or there is only one.
    """
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in OBJECTIVES]
    if unknown or len(names) < 2 or len({*names}) < len(names):
        raise InputError(f"Option --objectives must be two or more of {', '.join(OBJECTIVES)}, "
                         f"each once, not {text!r}")
    return [OBJECTIVES[name] for name in names]
