"""The DaDianNao engine's hardware, as :mod:`eieio.rtl.hardware` wants it."""

from amaranth.lib import wiring

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.rtl.dadiannao.engine import DaDianNaoEngine

__all__ = ["make_engine"]


def make_engine(config: DaDianNaoConfig) -> wiring.Component:
    """Make the component."""
    return DaDianNaoEngine(config)
