"""The tensor core's hardware, as :mod:`eieio.rtl.hardware` wants it."""

from amaranth.lib import wiring

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.rtl.tensor_core.engine import TensorCoreEngine

__all__ = ["make_engine"]


def make_engine(config: TensorCoreConfig) -> wiring.Component:
    """Make the component."""
    return TensorCoreEngine(config)
