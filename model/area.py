"""Area model: what an engine with its serial port takes of an FPGA, before any tool has run.

Of an engine that has no shell it is the engine alone. Multipliers and block RAMs follow from the
configuration. Lookup tables and flip-flops are a sum of terms whose weights were fitted to
syntheses; ``benchmarks/area.py`` has these and fits them again.
"""

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from eieio.model.area_memory import Family, Memory, block_rams, multipliers
from eieio.model.engine import Engine
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.registry import engines

__all__ = ["FILL", "AreaModel", "AreaUnknownError", "Family", "Resources", "counted",
           "estimate", "memory_bits", "terms"]

#: Share of the lookup tables up to which a design can be placed and routed in reasonable time.
FILL = 0.85
#: Estimate over what there is, from which on a design certainly does not fit.
FAR = 1.25

#: The decoder of coded images: lookup tables and flip-flops on ECP5, where small memories are in
#: lookup tables; and its symbols.
_DECODER = (1900, 660)
_DECODER_SYMBOLS = Memory(1, 8, 2048, "block")

#: The serial port's queues.
_SERIAL_PORT = Memory(3, 9, 512, "block")


@dataclass(frozen=True)
class Resources:
    """What a design takes of an FPGA, or what an FPGA holds.

    Attributes
    ----------
    lut : :class:`int`
        Lookup tables of four inputs; on iCE40 logic cells.
    ff : :class:`int`
        Flip-flops.
    dsp : :class:`int`
        Multipliers: of 18 x 18 bits, on iCE40 of 16 x 16.
    bram : :class:`int`
        Block RAMs.
    """

    lut: int
    ff: int
    dsp: int
    bram: int

    def beyond(self, capacity: "Resources", *, far: bool = False) -> list[str]:
        """Say which resources are more than an FPGA holds, or than can be routed.

        Parameters
        ----------
        capacity : Resources
            What the FPGA holds.
        far : :class:`bool`
            Say only what is so much more that no error of the model explains it.
        """
        said = []
        for name, what in (("lut", "lookup tables"), ("ff", "flip-flops"), ("dsp", "multipliers"),
                           ("bram", "block RAMs")):
            needed, available = getattr(self, name), getattr(capacity, name)
            if needed > available * (FAR if far else FILL if name == "lut" else 1):
                said.append(f"{needed:,} of {available:,} {what}")
        return said


class AreaUnknownError(InputError):
    """There is no model of an engine's area. ``what`` names what is not known."""

    def __init__(self, message: str, what: str) -> None:
        super().__init__(message)
        self.what = what


class AreaModel(Protocol):
    """The module of an engine's area model.

    It has, for each family, weights of the terms of the ``"lut"`` and the ``"ff"``.
    """

    WEIGHTS: dict[str, dict[str, tuple[float, ...]]]

    def terms(self, config: Any, family: Family) -> NDArray[np.float64]:
        """Return the terms whose weighted sums are the lookup tables and the flip-flops.

        Raises
        ------
        AreaUnknownError
            If the model does not know a part of the engine.
        """
        ...

    def memories(self, config: Any) -> list[Memory]:
        """List the memories."""
        ...

    def products(self, config: Any, family: Family) -> float:
        """Count the multipliers."""
        ...


def _engine(config: EngineConfig) -> tuple[Engine, AreaModel]:
    engine = next((engine for engine in engines() if isinstance(config, engine.config)), None)
    if engine is None or engine.area is None:
        raise AreaUnknownError(f"Area of {type(config).__name__} must be modelled before it is "
                               "asked for", "this engine")
    return engine, cast(AreaModel, import_module(engine.area))


def terms(config: EngineConfig, family: Family) -> NDArray[np.float64]:
    """Return the terms whose weighted sums are the lookup tables and the flip-flops.

    Raises
    ------
    AreaUnknownError
        If there is no model of the engine's area.
    """
    return _engine(config)[1].terms(config, family)


def memory_bits(config: EngineConfig) -> int:
    """Count the bits of all memories of an engine.

    Raises
    ------
    AreaUnknownError
        If there is no model of the engine's area.
    """
    return sum(memory.copies * memory.width * memory.depth
               for memory in _engine(config)[1].memories(config))


def estimate(config: EngineConfig, family: Family) -> Resources:
    """Estimate what an engine takes, with its serial port if it has a shell.

    Parameters
    ----------
    config : EngineConfig
        Configuration of the engine.
    family : :data:`Family`
        Family of the FPGA.

    Raises
    ------
    AreaUnknownError
        If there is no model of the engine's area.
    """
    _, model = _engine(config)
    values, weights = model.terms(config, family), model.WEIGHTS[family]
    lut, ff = (max(0, round(float(np.dot(values, weights[kind])))) for kind in ("lut", "ff"))
    if getattr(config, "coded_images", False):
        lut, ff = lut + _DECODER[0], ff + _DECODER[1]
    return replace(counted(config, family), lut=lut, ff=ff)


def counted(config: EngineConfig, family: Family) -> Resources:
    """Count multipliers and block RAMs, also where the logic of a part is not known.

    Parameters
    ----------
    config, family :
        As for :func:`estimate`.

    Returns
    -------
    Resources
        What is counted; of lookup tables and flip-flops 0.

    Raises
    ------
    AreaUnknownError
        If there is no model of the engine's area.
    """
    engine, model = _engine(config)
    memories = [*model.memories(config), *([] if engine.number is None else [_SERIAL_PORT])]
    if getattr(config, "coded_images", False):
        memories.append(_DECODER_SYMBOLS)
    return Resources(0, 0, multipliers(model.products(config, family)),
                     sum(block_rams(memory, family) for memory in memories))
