"""Which sizes of the systolic engine are tried for a board."""

from collections.abc import Iterator, Mapping
from math import gcd, isqrt
from types import MappingProxyType
from typing import Any

from eieio.model.engine_config import EngineConfig
from eieio.model.sizing import Sizing
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.fitting import MEMORY_DEPTHS

__all__ = ["SystolicSizing"]

#: Processing elements along a side of the array. For a network, whose channels may suit others
#: better, arrays that are longer than wide, or wider than long, are tried as well.
_SIDES = (1, 2, 4, 6, 8, 12, 16, 24, 32)
_LONGEST = 4
_MOST_LANES = 8
#: Winograd's transforms that are tried for a network.
_TRANSFORMS = (2, 4)


class SystolicSizing(Sizing):
    """Arrays, each with as many lanes as fit."""

    shown = MappingProxyType({"rows": "rows", "columns": "columns", "lanes": "lanes"})
    ways = ("winograd", "depthwise_lanes", "depthwise_multipliers")
    lanes = "lanes"
    depths = MEMORY_DEPTHS
    space = MappingProxyType({
        "rows": (1, 2, 3, 4, 6, 8, 10, 12, 16), "columns": (1, 2, 3, 4, 6, 8, 10, 12, 16),
        "lanes": (1, 2, 3, 4, 5, 6, 8), "winograd": (0, 2, 4),
        "accumulator_depth": (64, 128, 256, 512), "accumulator_width": (20, 24, 28, 32),
        "code_width": (0, 4),
    })
    # Codes of 4 bits have one scale for all channels.
    lossy = frozenset({"code_width"})

    def sizes(self, options: Mapping[str, Any], *, network: bool) -> Iterator[list[dict[str, Any]]]:
        shapes = {(options.get("rows", side), options.get("columns", side)) for side in _SIDES}
        if network and not {"rows", "columns"} & set(options):
            shapes |= {(rows, columns) for rows in _SIDES for columns in _SIDES
                       if max(rows, columns) <= _LONGEST * min(rows, columns)}
        for rows, columns in sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape)):
            choices = self._lanes({"rows": rows, "columns": columns}, options)
            if choices:
                yield choices

    @staticmethod
    def _lanes(array: dict[str, Any], options: Mapping[str, Any]) -> list[dict[str, Any]]:
        """List an array with so many lanes as it can have, the most first."""
        if "lanes" in options:
            return [array]
        unit = options.get("depthwise_lanes") or 1
        return [{**array, "lanes": lanes} for lanes in range(_MOST_LANES, 0, -1)
                if not (array["rows"] % lanes or array["columns"] % lanes or lanes % unit)]

    def variants(self, config: EngineConfig, options: Mapping[str, Any]
                 ) -> Iterator[list[dict[str, Any]]]:
        """List the same array with Winograd's transforms, and with a depthwise unit."""
        assert isinstance(config, SystolicConfig)
        array = {"rows": config.rows, "columns": config.columns}
        if not {"winograd", "code_width"} & set(options):
            for m in _TRANSFORMS:
                yield self._lanes({**array, "winograd": m}, options)
        if "depthwise_lanes" not in options:
            unit = {"depthwise_multipliers": options.get("depthwise_multipliers", "lut")}
            yield [{**lanes, **unit, "depthwise_lanes": lanes.get("lanes", config.lanes)}
                   for lanes in self._lanes(array, options)]

    def smallest(self, config: EngineConfig, options: Mapping[str, Any]) -> dict[str, int]:
        found = super().smallest(config, options)
        if not getattr(config, "line_depth", 0):
            found.pop("line_depth", None)
        return found

    def fewer(self, config: EngineConfig, options: Mapping[str, Any]
              ) -> Iterator[list[dict[str, Any]]]:
        """List arrays of fewer rows or columns, which may suit the channels."""
        assert isinstance(config, SystolicConfig)
        rows, columns = config.rows, config.columns
        step = 1 + max(rows, columns) // 16
        arrays = [(fewer, columns) for fewer in range(rows - step, 0, -step)]
        arrays += [(rows, fewer) for fewer in range(columns - step, 0, -step)]
        for fewer, others in arrays:
            if fewer * others * 4 > rows * columns:
                ways: dict[str, Any] = {name: getattr(config, name) for name in self.ways
                                        if name not in options}
                array = {"rows": fewer, "columns": others, **ways}
                lanes = config.lanes
                if "lanes" not in options:
                    lanes = array["lanes"] = min(gcd(fewer, others), _MOST_LANES)
                if ways.get("depthwise_lanes"):
                    array["depthwise_lanes"] = lanes
                unit = array.get("depthwise_lanes", options.get("depthwise_lanes")) or 1
                if lanes % unit == 0:
                    yield [array]

    def with_multipliers(self, count: int) -> dict[str, int]:
        """Return the array that is nearest to a square, and not longer than wide."""
        rows = max(side for side in range(1, isqrt(count) + 1) if count % side == 0)
        return {"rows": rows, "columns": count // rows}

    def elements(self, config: Mapping[str, Any]) -> str:
        return f"{config['rows']} x {config['columns']}"
