"""Makes a design whose registers and memories can be struck: any bit of them flips on demand.

The module around the engine has its ports, and four more: with each rise of ``strike`` the bit
``strike_bit`` of the place ``strike_index`` flips, of a memory that of the word ``strike_addr``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from eieio.rtl.interface import Port

__all__ = ["TOP", "Place", "places_of", "strikable"]

#: Name of the module around the engine.
TOP = "struck"

_NAME = r"(\\\S+ |\w+)"
_MODULE = re.compile(r"^module\s+(\\\S+ |\w+)\s*\(", re.MULTILINE)
_REGISTER = re.compile(
    rf"^\s*reg\s+(?:\[(\d+):0\]\s+)?{_NAME}\s*(?:\[(\d+):0\])?\s*(?:=[^;]*)?;", re.MULTILINE)
_WRITTEN = re.compile(rf"^\s*(?:if \(.*\) |else )?{_NAME}\s*(?:\[[^<;]*\])?\s*<=", re.MULTILINE)
_INSTANCE = re.compile(rf"^\s*{_NAME}\s+{_NAME}\s*\($", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """A register or a memory.

    Attributes
    ----------
    path : :class:`str`
        Its hierarchical name in Verilog below the engine.
    width : :class:`int`
        Bits of it, or of a word.
    depth : :class:`int`
        Words of a memory; 0 for a register.
    """

    path: str
    width: int
    depth: int

    @property
    def bits(self) -> int:
        """Bits in all."""
        return self.width * max(self.depth, 1)


def places_of(files: Mapping[str, str], top: str) -> list[Place]:
    """Find all registers and memories of emitted Verilog, every instance of them."""
    modules = {}
    for text in files.values():
        found = list(_MODULE.finditer(text))
        ends = [*(each.start() for each in found[1:]), len(text)]
        for each, end in zip(found, ends, strict=True):
            modules[each[1].strip()] = text[each.end():end]
    return list(_places(modules, top, ""))


def _places(modules: Mapping[str, str], module: str, path: str) -> Iterator[Place]:
    body = modules[module]
    written = {name.strip() for name in _WRITTEN.findall(body)}
    for high, name, last in _REGISTER.findall(body):
        if name.strip() in written:
            yield Place(path + name, int(high or 0) + 1, int(last) + 1 if last else 0)
    for child, name in _INSTANCE.findall(body):
        if child.strip() in modules:
            yield from _places(modules, child.strip(), f"{path}{name}.")


def strikable(places: Sequence[Place], top: str, ports: Sequence[Port]) -> str:
    """Return the module around an engine, in SystemVerilog."""
    extra = [Port("strike", "input", 1), *(Port(f"strike_{name}", "input", 32)
                                           for name in ("index", "addr", "bit"))]
    declared = ",\n".join(
        f"  {port.direction} wire [{port.width - 1}:0] {port.name}" for port in (*ports, *extra))
    connected = ",\n".join(f"    .{port.name}({port.name})" for port in ports)
    cases = []
    for number, place in enumerate(places):
        target = f"engine.{place.path}"
        if place.depth:
            target += "[strike_addr]"
        if place.width > 1:
            target += "[strike_bit]"
        cases.append(f"      {number}: {target} <= ~{target};")
    body = "\n".join(cases)
    return (f"module {TOP} (\n{declared}\n);\n  {top} engine (\n{connected}\n  );\n"
            f"  always @(posedge strike) begin\n    case (strike_index)\n{body}\n"
            "      default: ;\n    endcase\n  end\nendmodule\n")
