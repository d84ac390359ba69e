"""Where the statements of emitted Verilog come from, by its attributes ``src``.

Conditions have no attributes of their own in Verilog. They are named nets, or nets that an
assignment with an attribute drives.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ModuleSources", "module_sources", "shorten"]

_ATTRIBUTE = re.compile(r'\(\* src = "([^"]*)" \*\)')
_NAME = r"(\\\S+ |[A-Za-z_][\w$]*)"


def shorten(place: str) -> str:
    """File and line of a place in ``rtl``, relative to the repository, or "" elsewhere."""
    match = re.search(r"eieio/(rtl/[\w/]+\.py:\d+)", place)
    return match[1] if match else ""


@dataclass
class ModuleSources:
    """A module of Verilog.

    Attributes
    ----------
    name : :class:`str`
        Its name.
    file : :class:`str`
        The source file from which most of it comes, or "" if none is known.
    lines : dict of :class:`int` to :class:`str`
        What each line of Verilog comes from: file and line, by number from 1.
    targets : dict of :class:`int` to :class:`str`
        Which register or net the block of a line computes.
    """

    name: str
    file: str = ""
    lines: dict[int, str] = field(default_factory=dict)
    targets: dict[int, str] = field(default_factory=dict)


def module_sources(path: Path) -> list[ModuleSources]:
    """Read where the modules of a file come from."""
    found: list[ModuleSources] = []
    texts = path.read_text(encoding="utf-8").splitlines()
    first = 0
    for number, text in enumerate(texts, start=1):
        if match := re.match(rf"module {_NAME}", text):
            found.append(ModuleSources(match[1].strip()))
            first = number
        if text.startswith("endmodule") and found:
            _read(found[-1], dict(enumerate(texts[first - 1:number], start=first)))
    return found


def _read(module: ModuleSources, texts: Mapping[int, str]) -> None:
    net_places: dict[str, str] = {}
    registers: dict[str, str] = {}  # by the net that is their next value
    counts: Counter[str] = Counter()
    pending = ""
    for number, text in texts.items():
        if match := _ATTRIBUTE.search(text):
            place = shorten(match[1])
            if place:
                counts[place.partition(":")[0]] += 1
            if text.strip().startswith("(* src"):
                pending = place
                continue
            if assigned := re.match(rf"  assign {_NAME}", text):
                net_places[assigned[1].strip()] = place
            module.lines[number] = place
        elif declared := re.match(
                rf"  (?:input|output|reg|wire)(?: signed)?(?: \[\d+:\d+\])? {_NAME}", text):
            net_places.setdefault(declared[1].strip(), pending)
            module.lines[number] = pending
            if not text.startswith(("  input", "  output")):
                pending = ""
            continue
        elif clocked := re.match(rf"\s+{_NAME} <= {_NAME};", text):
            registers[clocked[2].strip()] = clocked[1].strip()
            module.lines[number] = pending
            continue
        elif text.startswith("  always @(posedge"):
            module.lines[number] = pending
            continue
        pending = ""
    block: list[int] = []
    place = target = ""
    for number, text in texts.items():
        if text.startswith("  always @*"):
            block, place, target = [number], "", ""
        elif block:
            block.append(number)
            if match := re.search(rf"\b(?:if|case[xz]?) \(!?{_NAME}", text):
                module.lines[number] = net_places.get(match[1].strip(), "")
            elif match := re.match(rf"\s+{_NAME}(?:\[[^]]*\])? = ", text):
                target = registers.get(match[1].strip(), match[1].strip())
                place = net_places.get(target, "")
            if text == "  end":
                for line in block:
                    # Yosys starts blocks by a condition of its own, which does nothing.
                    if "$verilog_backend" not in texts[line]:
                        module.targets[line] = target
                        module.lines[line] = module.lines.get(line) or place
                block = []
    module.file = counts.most_common(1)[0][0] if counts else ""
