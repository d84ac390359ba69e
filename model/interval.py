"""How often an inference can begin: its input, itself, its output, and what lies between them.

An engine does these one after the other; one of several parts may have the next inference under way
meanwhile. So a sender and a receiver that never wait, such as a DMA, see an inference every
:attr:`Interval.cycles`, from an input's first beat to the next input's, at the engine's own ports
and at its shell's alike.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Interval"]


@dataclass(frozen=True)
class Interval:
    """What an inference takes, with its input and its output.

    Attributes
    ----------
    input : :class:`int`
        Cycles that take an input: one a beat.
    inference : :class:`float`
        Cycles of the inference, as the engine counts them and the cycle model tells.
    output : :class:`int`
        Cycles that send an output: one a beat, and what the engine pauses between them.
    handshakes : :class:`int`
        Cycles between them.
    overlap : :class:`float`
        Cycles of all these in which the next inference is under way already.
    """

    input: int
    inference: float
    output: int
    handshakes: int
    overlap: float = 0

    @property
    def cycles(self) -> float:
        """Cycles from one input to the next."""
        return self.input + self.inference + self.output + self.handshakes - self.overlap

    @property
    def latency(self) -> float:
        """Cycles from an input's first beat to its output's last, if nothing else is under way."""
        return self.cycles + self.overlap

    @property
    def limit(self) -> Literal["input", "inference", "output"]:
        """What takes the most of it."""
        parts: dict[Literal["input", "inference", "output"], float] = {
            "input": self.input, "inference": self.inference, "output": self.output}
        return max(parts, key=lambda name: parts[name])

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for a report."""
        figures = asdict(self) | {"cycles": self.cycles, "limit": self.limit}
        if not self.overlap:
            del figures["overlap"]
        return figures
