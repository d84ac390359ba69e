"""Configuration of the tiny engine, and the memories of its image."""

from dataclasses import dataclass
from enum import IntEnum

from eieio.model.engine_config import EngineConfig

__all__ = ["Target", "TinyConfig"]


class Target(IntEnum):
    """Memory that a section of an image fills."""

    WEIGHTS = 0
    """Weights, those of an output one after the other."""
    BIASES = 1
    SIZES = 2
    """The last input and the last output."""
    LAYERS = 3
    """Number of layers: 1."""


@dataclass(frozen=True)
class TinyConfig(EngineConfig):
    """Configuration: the most inputs and outputs of the layer."""

    inputs: int = 64
    outputs: int = 16

    def __post_init__(self) -> None:
        self._check_integers(("inputs", 2, 1024), ("outputs", 2, 256))
