"""What the emitted Verilog says of its ports."""

import re
from typing import Any

import pytest
from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.registry import engines, find_engine
from eieio.rtl.bus.shell import Shell
from eieio.rtl.emit import emit
from eieio.rtl.hardware import make_engine
from eieio.rtl.interface import instance, module_ports
from eieio.rtl.port_notes import member_notes, port_notes, with_port_notes


class Described(wiring.Component):
    """Adds.

    Members
    -------
    i : ``In(stream)``
        Beats of :class:`~eieio.model.Thing`, see ``docs``:
        two lines.

        And a paragraph.
    first, second : ``Out(4)``
        Sums.
    word_* : ``Out``
        Of words.

    Notes are not members: they are text.

    Raises
    ------
    Nothing : never
        Or so.
    """

    i: stream.Interface

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"low": 3, "last": 1}))),
            "o": Out(stream.Signature(unsigned(2))),
            "first": Out(4), "second": Out(4), "word_a": Out(1), "quiet": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal(4, init=5)
        m.d.sync += [held.eq(self.i.payload.low), self.first.eq(held)]  # type: ignore
        return m


class Around(wiring.Component):
    """Contains.

    Members
    -------
    quiet : ``Out(1)``
        Not ours.
    """

    def __init__(self) -> None:
        self.described = Described()
        super().__init__(self.described.signature)


def test_members() -> None:
    assert member_notes(Described()) == {
        "i": "Beats of eieio.model.Thing, see docs: two lines. And a paragraph.",
        "first": "Sums.", "second": "Sums.", "word_*": "Of words."}
    assert member_notes(Around()) == {**member_notes(Described()), "quiet": "Not ours."}


def test_ports() -> None:
    assert port_notes(Described()) == {
        "clk": "Clock; all ports belong to its rising edge.",
        "rst": "Reset, synchronous, high while it holds.",
        "i__payload": "Beats of eieio.model.Thing, see docs: two lines. And a paragraph. "
                      "Bits: low 2:0, last 3.",
        "i__valid": "i offers a beat, which moves when i__ready is 1, too.",
        "i__ready": "This side takes a beat of i.",
        "o__valid": "o offers a beat, which moves when o__ready is 1, too.",
        "o__ready": "The other side takes a beat of o.",
        "first": "Sums.", "second": "Sums.", "word_a": "Of words."}


def test_verilog() -> None:
    """Ports come first, in order, with comments; but for that the module is what Yosys wrote."""
    text = emit(Described(), "top", header="test")["top.v"]
    ports = text[text.index(");\n"):]
    assert re.findall(r"(?m)^  // (.*)\n  (?:input|output) (?:\[\d+:0\] )?(\w+);$", ports)[:4] == [
        ("Clock; all ports belong to its rising edge.", "clk"),
        ("Reset, synchronous, high while it holds.", "rst"),
        ("Beats of eieio.model.Thing, see docs: two lines. And a paragraph. Bits: low 2:0, last 3.",
         "i__payload"),
        ("i offers a beat, which moves when i__ready is 1, too.", "i__valid")]
    assert ("  output [3:0] first;\n  reg [3:0] first = 4'h0;\n"
            "  // Sums.\n  output [3:0] second;\n") in text
    plain = re.sub(r"(?m)^  // .*\n", "", text)
    assert sorted(with_port_notes(plain, {}).splitlines()) == sorted(plain.splitlines())
    assert re.search(r"output quiet;\n  (?:wire|reg)[^\n]*quiet[^\n]*;\n", plain)


def test_instance() -> None:
    ports = module_ports(Described())
    text = instance("top", ports, port_notes(Described()))
    assert re.search(r"(?m)^wire +word_a; +// output: Of words$", text)
    assert re.search(r"(?m)^wire +quiet; +// output$", text)
    assert re.search(r"(?m)^wire +clk; +// input: Clock$", text)


@pytest.mark.parametrize("kind", [engine.name for engine in engines()])
def test_every_port_is_described(kind: str) -> None:
    """Engines, guarded ones, and shells say what each of their ports is for."""
    engine = find_engine(kind)
    options: list[dict[str, Any]] = [{}]
    if any(option.name == "watchdog" for option in engine.options):
        options.append({"watchdog": 1000})
    for given in options:
        component = make_engine(engine.make_config(given))
        tops = [component, *([Shell(component)] if engine.number is not None else [])]
        for top in tops:
            assert [port.name for port in module_ports(top)
                    if port.name not in port_notes(top)] == []
