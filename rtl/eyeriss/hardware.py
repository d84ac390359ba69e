"""The row-stationary array as hardware: see :mod:`eieio.rtl.hardware`."""

from eieio.model.eyeriss.config import EyerissConfig
from eieio.rtl.eyeriss.engine import EyerissEngine

__all__ = ["make_engine"]


def make_engine(config: EyerissConfig) -> EyerissEngine:
    """Make the component."""
    return EyerissEngine(config)
