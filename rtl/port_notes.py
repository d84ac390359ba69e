"""What the ports of a component are for, as its docstring says under *Members*."""

import inspect
import re
import textwrap
from collections.abc import Mapping
from fnmatch import fnmatchcase

from amaranth.hdl import Shape
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In

from eieio.rtl.interface import bound_ports

__all__ = ["member_notes", "port_notes", "with_port_notes"]

_CLOCK = {"clk": "Clock; all ports belong to its rising edge.",
          "rst": "Reset, synchronous, high while it holds."}
_ENTRY = re.compile(r"(?m)^(\S[^\n]*?) : (.*)\n((?:(?:    .*)?\n)*)")


def member_notes(component: wiring.Component) -> dict[str, str]:
    """Return what the docstring of a component's class says of its members, in plain text.

    Names may be patterns, such as ``"s_axil_*"``. A component may have an attribute ``described``:
    another one, whose docstring says what its own does not.
    """
    notes: dict[str, str] = {}
    _, found, section = (inspect.getdoc(type(component)) or "").partition("Members\n-------\n")
    section = re.split(r"\n\n(?=[^\n]+\n---)|\n\n(?=\S(?![^\n]* : ))", section)[0] + "\n"
    for names, _, text in _ENTRY.findall(section) if found else []:
        said = _plain(textwrap.dedent(text))
        notes |= {name: said for name in re.split(r",\s*", names) if said}
    described = getattr(component, "described", None)
    return {**(member_notes(described) if described is not None else {}), **notes}


def port_notes(component: wiring.Component) -> dict[str, str]:
    """Return what the ports are for, by their name in Verilog.

    Ports of which the docstring says nothing are left out, clock and reset of a component that has
    none of its own are not. A stream's payload is told with its fields, from bit 0 on.
    """
    members = member_notes(component)
    names = [port for port, _, _ in bound_ports(component)]
    notes = {port: note for port, note in _CLOCK.items() if port not in names}
    for port in names:
        path = port.split("__")
        note = next((text for name, text in members.items()
                     if fnmatchcase(path[0], name) or fnmatchcase(port, name)), "")
        member = component.signature.members.get(path[0])
        if len(path) == 2 and member is not None and member.is_signature and isinstance(
                member.signature, stream.Signature):
            note = _stream_note(path, member, note)
        if note:
            notes[port] = note
    return notes


def _stream_note(path: list[str], member: wiring.Member, note: str) -> str:
    """Tell of a port of a stream."""
    name, port = path
    if port == "valid":
        return f"{name} offers a beat, which moves when {name}__ready is 1, too."
    if port == "ready":
        return f"{'This' if member.flow == In else 'The other'} side takes a beat of {name}."
    shape = member.signature.members["payload"].shape
    if isinstance(shape, data.StructLayout):
        fields = [(field.offset, Shape.cast(field.shape).width, key) for key, field in shape]
        note += " Bits: " + ", ".join(
            f"{key} {offset + width - 1}:{offset}" if width > 1 else f"{key} {offset}"
            for offset, width, key in fields) + "."
    return note.strip()


def _plain(text: str) -> str:
    """Take the markup out of a text."""
    text = re.sub(r":\w+:`[~.]?(?:[^`<]*<)?([^`>]*)>?`", r"\1", text)
    return " ".join(text.replace("`", "").split())


def with_port_notes(module: str, notes: Mapping[str, str]) -> str:
    """Put the ports that a module of Verilog declares first, with comments, as Yosys writes it.

    They come in the order of the notes, ports without a note last.
    """
    declared = {match[1]: match[0] for match in re.finditer(
        r"(?m)^(?:  \(\*[^\n]*\*\)\n)*  (?:input|output) (?:signed )?(?:\[\d+:0\] )?(\w+) ?;\n"
        r"(?:(?:  \(\*[^\n]*\*\)\n)*  (?:wire|reg) (?:signed )?(?:\[\d+:0\] )?\1\b[^\n]*;\n)?",
        module)}
    for text in declared.values():
        module = module.replace(text, "", 1)
    written = []
    for port in sorted(declared, key=[*notes, *declared].index):
        lines = textwrap.wrap(notes.get(port, ""), 92, break_on_hyphens=False)
        written += [*(f"  // {line}\n" for line in lines), declared[port]]
    head, end, body = module.partition(");\n")
    return f"{head}{end}{''.join(written)}{body}"
