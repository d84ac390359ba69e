"""Opens a component, so that a proof can also say what leads to what it promises."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from harness import Harness

__all__ = ["Opened", "open_up"]


class Opened:
    """What is inside of a component.

    Attributes
    ----------
    signals : :class:`dict`
        Signals that it drives, by their names, the first one of each; those without one are
        ``unnamed_0`` and so on, and the state of an FSM without a name is ``fsm_state``.
    states : :class:`dict`
        Numbers of that FSM's states, by their names.
    parts : :class:`dict`
        Components in it, by their names.
    """

    def __init__(self, module: Any) -> None:
        assert isinstance(module, Module)
        inside: Any = module
        self.signals: dict[str, Signal] = {}
        unnamed = 0
        for signal in inside._driving:
            name = signal.name
            if name.startswith("$"):
                name = f"unnamed_{unnamed}"
                unnamed += 1
            self.signals.setdefault(name, signal)
        self.states: dict[str, int] = {}
        if "fsm" in inside._generated:
            self.signals["fsm_state"] = inside._generated["fsm"]._data["signal"]
            self.states = inside._generated["fsm"].encoding
        self.parts: dict[str, Any] = {
            name: part[0] if isinstance(part, tuple) else part
            for name, part in inside._named_submodules.items()}

    def __getitem__(self, name: str) -> Signal:
        return self.signals[name]


def open_up(h: Harness, component: wiring.Component, name: str = "dut") -> Opened:
    """Add a component to a harness, and return what is inside of it."""
    opened: Any = component
    module = opened.elaborate(None)
    opened._MustUse__used = True
    submodules: Any = h.m.submodules
    submodules[name] = module
    return Opened(module)
