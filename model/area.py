"""Area model: what an engine with its serial port takes of an FPGA, before any tool has run.

Multipliers and block RAMs follow from the configuration. Lookup tables and flip-flops are a sum of
terms whose weights were fitted to syntheses; ``benchmarks/area.py`` has these and fits them again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.area_memory import Family, Memory, block_rams, multipliers
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.sparse import area as area_sparse
from eieio.model.sparse.area_weights import WEIGHTS as SPARSE_WEIGHTS
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic import area as area_systolic
from eieio.model.systolic.area_weights import WEIGHTS as SYSTOLIC_WEIGHTS
from eieio.model.systolic.config import SystolicConfig

__all__ = ["FILL", "Family", "Resources", "engine_of", "estimate", "terms"]

#: Share of the lookup tables up to which a design can be placed and routed in reasonable time.
FILL = 0.85
#: Estimate over what there is, from which on a design certainly does not fit.
FAR = 1.25

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


def engine_of(config: EngineConfig) -> str:
    """Name the engine of a configuration.

    Raises
    ------
    InputError
        If there is no model of its area.
    """
    if isinstance(config, SparseConfig):
        return "sparse"
    if isinstance(config, SystolicConfig):
        if config.winograd:
            raise InputError("Area of a systolic engine must be asked for without winograd, whose "
                             "transforms the model does not know")
        return "systolic"
    raise InputError(f"Area of {type(config).__name__} must be modelled before it is asked for")


def terms(config: EngineConfig, family: Family) -> NDArray[np.float64]:
    """Return the terms whose weighted sums are the lookup tables and the flip-flops.

    Raises
    ------
    InputError
        If there is no model of the engine's area.
    """
    engine_of(config)
    if isinstance(config, SystolicConfig):
        return area_systolic.terms(config, family)
    assert isinstance(config, SparseConfig)
    return area_sparse.terms(config, family)


def estimate(config: EngineConfig, family: Family) -> Resources:
    """Estimate what an engine with its serial port takes.

    Parameters
    ----------
    config : EngineConfig
        Configuration of the engine.
    family : :data:`Family`
        Family of the FPGA.

    Raises
    ------
    InputError
        If there is no model of the engine's area.
    """
    values = terms(config, family)
    weights = {"sparse": SPARSE_WEIGHTS, "systolic": SYSTOLIC_WEIGHTS}[engine_of(config)][family]
    lut, ff = (max(0, round(float(np.dot(values, weights[kind])))) for kind in ("lut", "ff"))
    if isinstance(config, SystolicConfig):
        memories, products = area_systolic.memories(config), area_systolic.products(config, family)
    else:
        assert isinstance(config, SparseConfig)
        memories, products = area_sparse.memories(config), area_sparse.products(config, family)
    return Resources(lut, ff, multipliers(products),
                     sum(block_rams(memory, family) for memory in [*memories, _SERIAL_PORT]))
