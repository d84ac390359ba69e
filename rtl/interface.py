"""Ports of an emitted module, and the Verilog that instantiates it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from amaranth.hdl import Const, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["Port", "bound_ports", "instance", "module_ports"]

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Port:
    """A port of a module.

    Attributes
    ----------
    name : :class:`str`
        Name in Verilog.
    direction : :class:`str`
        "input" or "output".
    width : :class:`int`
        Bits.
    """

    name: str
    direction: Literal["input", "output"]
    width: int


def bound_ports(component: wiring.Component) -> Iterator[tuple[str, str, Value]]:
    """Name, direction ("i" or "o") and value of each port but clocks and resets."""
    for path, member, value in component.signature.flatten(component):
        value = Value.cast(value)
        # A constant member, such as the ready of an always-ready stream, is not a wire, and
        # neither is one without bits.
        if len(value) and not isinstance(value, Const):
            yield "__".join(map(str, path)), "i" if member.flow == In else "o", value


def module_ports(component: wiring.Component) -> tuple[Port, ...]:
    """Return the ports that :func:`eieio.rtl.emit.emit` gives a component of one clock domain.

    Clock and reset come first, the others in the order of the component's signature.
    """
    ports = [Port("clk", "input", 1), Port("rst", "input", 1)]
    for name, direction, value in bound_ports(component):
        ports.append(Port(name, "input" if direction == "i" else "output", len(value)))
    return tuple(ports)


def instance(module: str, ports: Sequence[Port], notes: Mapping[str, str] = _NONE) -> str:
    """Return an instantiation template: a wire for each port, and an instance named after these.

    Parameters
    ----------
    module : :class:`str`
        Name of the module.
    ports : sequence of :class:`Port`
        All of its ports.
    notes : mapping of :class:`str`
        What ports are for, by name; the first sentence is shown.
    """
    longest = max(len(port.name) for port in ports)
    wires, connections = [], []
    for port in ports:
        shape = f"[{port.width - 1}:0]" if port.width > 1 else ""
        note = re.split(r"(?<=[.;:]) ", notes.get(port.name, ""))[0].rstrip(".;:")
        wires.append(f"wire {shape:<8} {port.name + ';':<{longest + 1}} // {port.direction}"
                     + (f": {note}" if note else ""))
        connections.append(f"    .{port.name:<{longest}} ({port.name})")
    return "\n".join([*wires, "", f"{module} {module}_0 (", ",\n".join(connections), ");", ""])
