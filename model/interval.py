"""How often an inference can begin: its input, itself, its output, and what lies between them.

An engine does these one after the other. So a sender and a receiver that never wait, such as a DMA,
see an inference every :attr:`Interval.cycles`, from an input's first beat to the next input's, at
the engine's own ports and at its shell's alike.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from eieio.model.engine_config import EngineConfig
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field

__all__ = ["Interval", "inference_interval"]

#: Cycles between them in the sparse engine: from an input's last beat to the inference, from its
#: last write to the first beat of the output, and from the last one to the next input.
_SPARSE = 3 + 5 + 3
#: In the systolic engine the output's descriptor is fetched in between, and then the input's.
_FETCHED = max(Field) + 1
_SYSTOLIC = 3 + (_FETCHED + 8) + (_FETCHED + 7)


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
        Cycles that send an output: one a beat, and in the sparse engine one behind each full word.
    handshakes : :class:`int`
        Cycles between them.
    """

    input: int
    inference: float
    output: int
    handshakes: int

    @property
    def cycles(self) -> float:
        """Cycles from one input to the next."""
        return self.input + self.inference + self.output + self.handshakes

    @property
    def limit(self) -> Literal["input", "inference", "output"]:
        """What takes the most of it."""
        parts: dict[Literal["input", "inference", "output"], float] = {
            "input": self.input, "inference": self.inference, "output": self.output}
        return max(parts, key=lambda name: parts[name])

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for a report."""
        return asdict(self) | {"cycles": self.cycles, "limit": self.limit}


def inference_interval(config: EngineConfig, cycles: float, input_beats: int,
                       output_beats: int) -> Interval:
    """Return what an inference takes with its input and output.

    Parameters
    ----------
    config : SparseConfig or SystolicConfig
        Engine.
    cycles : :class:`float`
        Cycles of the inference.
    input_beats, output_beats : :class:`int`
        Beats of an input and of an output.

    Raises
    ------
    TypeError
        If it is another engine.
    """
    if isinstance(config, SystolicConfig):
        return Interval(input_beats, cycles, output_beats, _SYSTOLIC)
    if not isinstance(config, SparseConfig):
        raise TypeError(f"Engine must be a sparse or systolic one, not {type(config).__name__}")
    # Behind each full word there is a pause, behind the last one as well.
    pauses = output_beats // (config.pes // config.io_lanes)
    return Interval(input_beats, cycles, output_beats + pauses, _SPARSE)
