"""The hardware of an engine, found by its configuration.

:class:`~eieio.rtl.bus.shell.Shell`, and so a board, takes a component with the attributes
``config`` and ``parameters`` and these ports:

``image``, ``i``, ``o``
    Streams of ``data`` and ``last``: sections of an image, 32 bits a word, inputs and outputs.
``run``, ``clear_error``
    Begin an inference as soon as there is an input; return ``error`` to ``NONE``.
``receiving``, ``waiting``, ``busy``, ``loading``, ``loaded``
    What the engine does: an input has begun, is complete, is computed or its output sent; an image
    has begun, is complete.
``error``
    First :class:`~eieio.model.registers.ErrorCode` since reset or ``clear_error``.
``lost``
    Only if the engine may lose its image: it has, and ``error`` tells why.
``begun``
    Only if an inference may begin while another one is under way: it rises with each.
``cycles``, ``macs``, and a port for each of :attr:`eieio.model.engine.Engine.counters`
    32 bits, 48 bits, and 32 bits each, of the inference.
"""

from importlib import import_module
from typing import Any, Protocol, cast

from amaranth.lib import wiring

from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.registry import engine_of
from eieio.rtl.emit import emit
from eieio.rtl.guard import EngineGuard

__all__ = ["Hardware", "emit_engine", "engine_top", "hardware_of", "make_engine"]


class Hardware(Protocol):
    """The module that ``hardware`` of an :class:`~eieio.model.engine.Engine` names.

    It may also have ``multiplier_places(config)``, the floorplan for a large ECP5: nextpnr's names
    of places by the names of the multipliers in the engine's netlist.
    """

    def make_engine(self, config: Any) -> wiring.Component:
        """Make the component."""
        ...


def hardware_of(config: EngineConfig) -> Hardware:
    """Return the hardware of a configuration's engine.

    Raises
    ------
    InputError
        If it has none.
    """
    engine = engine_of(config)
    if engine.hardware is None:
        raise InputError(f"Engine must be one that has hardware, not {engine.name}")
    return cast(Hardware, import_module(engine.hardware))


def make_engine(config: EngineConfig) -> wiring.Component:
    """Make the engine of a configuration, with a guard around it if there is to be one."""
    engine = hardware_of(config).make_engine(config)
    return EngineGuard(engine) if config.guarded else engine


def engine_top(config: EngineConfig) -> str:
    """Name the top module of an engine alone."""
    return f"{engine_of(config).name}_engine"


def emit_engine(config: EngineConfig, family: str | None = None) -> dict[str, str]:
    """Emit the Verilog of an engine alone: contents by file name.

    ``family`` is as for :func:`eieio.rtl.emit.emit`.
    """
    return emit(make_engine(config), engine_top(config),
                header=f"{engine_of(config).name.capitalize()} engine: {config.label}",
                family=family)
