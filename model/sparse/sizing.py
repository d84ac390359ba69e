"""Which sizes of the sparse engine are tried for a board."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from eieio.model.engine_config import EngineConfig
from eieio.model.sizing import Sizing
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.fitting import MEMORY_DEPTHS

__all__ = ["SparseSizing"]

#: Processing elements that are tried.
_PES = tuple(1 << power for power in range(9))
#: Those that share an output lane where there is no room for one each.
_TURNS = 4


class SparseSizing(Sizing):
    """1 to 256 processing elements, which share output lanes where they would not fit."""

    shown = MappingProxyType({"pes": "PEs", "entry_depth": "entries", "pointer_depth": "pointers"})
    ways = ("pes_per_lane",)
    lanes = "io_lanes"
    depths = MEMORY_DEPTHS
    space = MappingProxyType({
        "pes": (1, 2, 4, 8, 16, 32, 64), "column_groups": (1, 2, 4),
        "queue_depth": (2, 4, 8, 16, 32), "columns_ahead": (4, 8, 12), "run_width": (4, 5, 6),
        "io_lanes": (1, 2, 4, 8), "activation_width": (8, 12, 16), "weight_width": (8, 12, 16),
    })
    lossy = frozenset({"activation_width", "weight_width"})

    def sizes(self, options: Mapping[str, Any], *, network: bool) -> Iterator[list[dict[str, Any]]]:
        del network
        for pes in (options["pes"],) if "pes" in options else _PES:
            variants = [{"pes": pes}]
            if "pes_per_lane" not in options and pes % _TURNS == 0:
                variants.append({"pes": pes, "pes_per_lane": _TURNS})
            yield variants

    def smallest(self, config: EngineConfig, options: Mapping[str, Any]) -> dict[str, int]:
        assert isinstance(config, SparseConfig)
        found = super().smallest(config, options)
        if "accumulator_depth" in found:
            found["accumulator_depth"] *= config.column_groups
        return found

    def with_multipliers(self, count: int) -> dict[str, int]:
        return {"pes": count}

    def elements(self, config: Mapping[str, Any]) -> str:
        return f"{config['pes']}"
