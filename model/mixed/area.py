"""Area of the mixed engine: that of both engines.

Each engine's model has the shell and the serial port in it, of which there is one here, and neither
has the bridge, the router and what keeps counters. In the one engine that was placed these are
nearly as many lookup tables, and some flip-flops more: see ``docs/boards.md``.
"""

import numpy as np
from numpy.typing import NDArray

from eieio.model.area_memory import Family, Memory
from eieio.model.mixed.config import MixedConfig
from eieio.model.sparse import area as sparse
from eieio.model.systolic import area as systolic

__all__ = ["WEIGHTS", "memories", "products", "terms"]

WEIGHTS = {family: {kind: (*weights, *sparse.WEIGHTS[family][kind])
                    for kind, weights in kinds.items()}
           for family, kinds in systolic.WEIGHTS.items()}


def memories(config: MixedConfig) -> list[Memory]:
    """List the memories of both engines."""
    return [*systolic.memories(config.convolutions), *sparse.memories(config.dense)]


def products(config: MixedConfig, family: Family) -> float:
    """Count the multipliers."""
    return (systolic.products(config.convolutions, family)
            + sparse.products(config.dense, family))


def terms(config: MixedConfig, family: Family) -> NDArray[np.float64]:
    """Return the terms of both engines."""
    return np.concatenate([systolic.terms(config.convolutions, family),
                           sparse.terms(config.dense, family)])
