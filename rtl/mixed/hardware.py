"""The mixed engine's hardware, as :mod:`eieio.rtl.hardware` wants it."""

from amaranth.lib import wiring

from eieio.model.mixed.config import MixedConfig
from eieio.rtl.mixed.engine import MixedEngine
from eieio.rtl.sparse import hardware as sparse
from eieio.rtl.systolic import hardware as systolic

__all__ = ["make_engine", "multiplier_places"]


def make_engine(config: MixedConfig) -> wiring.Component:
    """Make the component."""
    return MixedEngine(config)


def multiplier_places(config: MixedConfig) -> dict[str, str]:
    """Choose the places of the multipliers: each engine's own.

    If both want the same, the array alone gets them, whose multipliers are the more.
    """
    first = {f"convolutions.{name}": place
             for name, place in systolic.multiplier_places(config.convolutions).items()}
    second = {f"dense.{name}": place
              for name, place in sparse.multiplier_places(config.dense).items()}
    return first | ({} if {*first.values()} & {*second.values()} else second)
