"""The mixed engine's hardware, as :mod:`eieio.rtl.hardware` wants it."""

from amaranth.lib import wiring

from eieio.model.mixed.config import MixedConfig
from eieio.rtl.mixed.engine import MixedEngine

__all__ = ["make_engine"]


def make_engine(config: MixedConfig) -> wiring.Component:
    """Make the component."""
    return MixedEngine(config)
