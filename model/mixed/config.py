"""The one object that configures the mixed engine: the configurations of its two engines."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig

__all__ = ["MixedConfig", "dense_name", "dense_options", "named", "split_options"]

_CONVOLUTIONS = tuple(each.name for each in fields(SystolicConfig))
_DENSE = tuple(each.name for each in fields(SparseConfig))


def dense_name(name: str) -> str:
    """Return how an option of the sparse engine is called: apart from one of the systolic."""
    return f"dense_{name}" if name in _CONVOLUTIONS else name


#: Options of the sparse engine by what they are called here.
_DENSE_NAMES = {dense_name(name): name for name in _DENSE}


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell options of the systolic engine and of the sparse one, by their own names.

    Raises
    ------
    InputError
        If one is of neither.
    """
    for name in options:
        if name not in _CONVOLUTIONS and name not in _DENSE_NAMES:
            known = ", ".join([*_CONVOLUTIONS, *_DENSE_NAMES])
            raise InputError(f"Option {name!r} must be one of {known}")
    return ({name: value for name, value in options.items() if name in _CONVOLUTIONS},
            {_DENSE_NAMES[name]: value for name, value in options.items() if name in _DENSE_NAMES})


def named(error: InputError) -> InputError:
    """Name the options in an error of the sparse engine as they are called here."""
    names = "|".join(name for name in _DENSE if dense_name(name) != name)
    text = re.sub(rf"\b({names})\b", r"dense_\1", str(error))
    flags = "|".join(name.replace("_", "-") for name in _DENSE if dense_name(name) != name)
    return InputError(re.sub(rf"--({flags})\b", r"--dense-\1", text))


def dense_options(options: Mapping[str, Any]) -> SparseConfig:
    """Make the configuration of the sparse engine of options by its own names."""
    try:
        return SparseConfig.from_dict({**options})
    except InputError as error:
        raise named(error) from None


@dataclass(frozen=True)
class MixedConfig(EngineConfig):
    """Configuration of a mixed engine.

    Its options are those of both engines; of the sparse one those that the systolic one has, too,
    have ``dense_`` in front of their names.

    Attributes
    ----------
    convolutions : SystolicConfig
        The engine that takes the input.
    dense : SparseConfig
        The one that gives the output. Its beats hold a whole number of the other's, or the other
        way round, and its activations have room for int8 numbers less their zero point.

    Raises
    ------
    InputError
        If they do not fit together.
    """

    revision: ClassVar[int] = SystolicConfig.revision

    convolutions: SystolicConfig = field(default_factory=SystolicConfig)
    dense: SparseConfig = field(default_factory=SparseConfig)

    def __post_init__(self) -> None:
        if self.convolutions.coded_images or self.dense.coded_images:
            raise InputError("Option coded_images must be false: images for the mixed engine are "
                             "not coded")
        if self.dense.guarded:
            raise InputError("Options dense_parity and dense_watchdog must be false and 0: parity "
                             "and watchdog are for both engines")
        if self.convolutions.input_depth:
            raise InputError("Option input_depth must be 0: the mixed engine's inputs come between "
                             f"inferences, not {self.convolutions.input_depth}")
        lanes, io_lanes = self.convolutions.lanes, self.dense.io_lanes
        if lanes % io_lanes and io_lanes % lanes:
            raise InputError(f"Option io_lanes must divide lanes ({lanes}) or be a multiple of it, "
                             f"not {io_lanes}")
        if self.dense.activation_width <= ACTIVATION_BITS:
            raise InputError(f"Option {dense_name('activation_width')} must be at least "
                             f"{ACTIVATION_BITS + 1}, for {ACTIVATION_BITS} bits less a zero "
                             f"point, not {self.dense.activation_width}")

    @property
    def parity(self) -> bool:
        """Whether the memories of both engines have parity."""
        return self.convolutions.parity

    @property
    def watchdog(self) -> int:
        """Cycles without progress that are allowed, or 0."""
        return self.convolutions.watchdog

    @property
    def parts(self) -> int:
        """Beats of the sparse engine that a beat of the systolic one becomes, 1 if several join."""
        return max(1, self.convolutions.lanes // self.dense.io_lanes)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        convolutions, dense = split_options(values)
        return cls(SystolicConfig.from_dict(convolutions), dense_options(dense))

    def to_dict(self) -> dict[str, Any]:
        return self.convolutions.to_dict() | {
            dense_name(name): value for name, value in self.dense.to_dict().items()}
