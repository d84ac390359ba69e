"""The page of results, of an engine that nobody knows."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from eieio.scripts import page as page_module
from eieio.scripts.page import page
from eieio.scripts.page_svg import TIMES

_VOID = {"meta", "link"}


class Checker(HTMLParser):
    """Checks that tags are balanced, and keeps them and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open[-1] != "style":
            self.texts.append(data.strip())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def check_page(text: str) -> Checker:
    """Check that a page is whole, needs nothing else, and can be read without its pictures."""
    checker = Checker(text)
    assert text.startswith("<!DOCTYPE html>")
    for tag, attributes in checker.tags:
        assert tag not in {"script", "img", "iframe", "object", "embed"}
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?:", text)
    drawings = text.count('role="img"')
    assert len(re.findall(r'role="img"[^>]*><title>[^<]+</title>', text)) == drawings
    ids = [attributes["id"] for _, attributes in checker.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["aria-labelledby"] for tag, attributes in checker.tags
            if tag == "section"} == set(ids)
    assert checker.count("table") == checker.count("thead") == checker.count("tbody")
    assert all(attributes.get("scope") in {"row", "col"} for tag, attributes in checker.tags
               if tag == "th")
    return checker


@pytest.fixture
def figures() -> dict[str, Any]:
    """Make a network with a residual, a softmax on the host, and names that are a nuisance."""
    names = ["a<b>&\"c\"", "functional_1/a_very_long_name/convolution_number_two", "sum"]
    inputs = [["x"], ["v0"], ["v1", "v0"]]
    operators: list[dict[str, Any]] = [
        {"name": name, "operator": "Conv2D", "inputs": taken, "output": f"v{number}",
         "shape": [8, 8, 3], "place": "engine"}
        for number, (name, taken) in enumerate(zip(names, inputs, strict=True))]
    operators.append({"name": "softmax", "operator": "Softmax", "inputs": ["v2"], "output": "y",
                      "shape": [8, 8, 3], "place": "host"})
    return {
        "engine": "abacus", "network": "net", "simulator": "beads", "images": 2, "mismatches": 0,
        "cycle_mismatches": 0, "compared_integers": 1234, "cycles_per_inference": 600,
        "graph": {"input": {"name": "x", "shape": [8, 8, 1]}, "operators": operators},
        "causes": {"slide": "a bead slides", "rest": "none does", "never": "not here"},
        "profile": [
            {"name": name, "cycles": 100 * (number + 1),
             "causes": {"rest": 25.0, "slide": 100 * (number + 1) - 25.0, "never": 0},
             "used": {"bead": [0.5, 0.5, 0.25, 1.0]}} for number, name in enumerate(names)],
        "memories": [{"memory": "beads of a wire", "used": 3, "depth": 4, "copies": 7,
                      "width": 16}],
        "layers": [{"name": name, "macs": 5, "snr_db": ratio, "mismatches": 0}
                   for name, ratio in zip(names, [40.0, 20.0, None], strict=True)],
        "stages": [{"name": name, "density": 0.1, "bits_per_weight": 3.2, "bytes": size,
                    "ratio": 400 / size} for name, size in (("float32", 400), ("coded", 40))],
        "samples": 50, "accuracy_float": 0.98, "accuracy_integer": None,
        "interval": {"input": 60, "inference": 600.0, "output": 30, "handshakes": 10,
                     "cycles": 700.0, "limit": "inference"},
        "inferences": [{}, {}], "cycles_rtl": [590, 610], "cycles_model": [590, 610],
        "config": {"wires": 10, "loud": True},
        "choices": [{"option": "wires", "value": 10, "reason": "a hand has ten fingers"}],
        "seconds": 12.345, "out": "folder", "files": ["abacus.v"],
    }


def test_page(figures: dict[str, Any]) -> None:
    text = page(figures, "net, build")
    checker = check_page(text)
    said = " | ".join(checker.texts)
    for expected in (
            "net, build", "The RTL (beads) equals the models: 1,234 integers and every cycle",
            "abacus", "a<b>&\"c\"",
            "functional_1/a_very_long_name/convolution_number_two", "a bead slides",
            "slide: 275.0 cycles", "By bead", "bead 0 to 1: 50.0%", "bead 3: 100.0%",
            "beads of a wire: 3 of 4", "20.0 dB, the least", "exact or not known", "98.00%",
            "coded: 40 bytes", f"10.0{TIMES}", "a hand has ten fingers", "abacus.v",
            "In the folder folder",
            "from one input to the next | 700 | 100.0%", "RTL | 600 | 590 | 610"):
        assert expected in said, expected
    for unexpected in ("never", "12.345", "accuracy integer"):
        assert unexpected not in said, unexpected
    # A node for the input and each operator, an edge for each operand.
    assert len(re.findall(r'<g class="node ', text)) == 5
    assert text.count('class="edge"') == 5
    assert f"softmax: Softmax, 8 {TIMES} 8 {TIMES} 3, computed by the host" in said
    # Of a layer's bar the parts are as wide as its cycles.
    shares = re.findall(r'Shares of the cycles of sum by cause</title>(.*?)</svg>', text)
    assert [float(width) for width in re.findall(r'width="([\d.]+)"', shares[0])] \
        == pytest.approx([1000 * 25 / 300, 1000 * 275 / 300], abs=0.01)


def test_same_figures_same_page(figures: dict[str, Any]) -> None:
    assert page(figures, "net") == page(json.loads(json.dumps(figures)), "net")
    assert page({**figures, "seconds": 99.0}, "net") == page(figures, "net")


@pytest.mark.parametrize(("change", "verdict"), [
    ({"images": 0}, "The RTL has not been simulated"),
    ({"mismatches": 3}, "The RTL differs from the models: 3 integers and 0 cycle counts"),
    ({"layers": [{"name": "a", "mismatches": 1, "cycle_mismatches": 1}], "mismatches": None},
     "2 integers or cycle counts of the RTL differ from the models'"),
    ({"layers": [{"name": "a", "mismatches": None}], "mismatches": None},
     "The RTL has not been simulated"),
])
def test_verdict(figures: dict[str, Any], change: dict[str, Any], verdict: str) -> None:
    assert any(verdict in text for text in check_page(page(figures | change, "net")).texts)


@pytest.mark.parametrize("left_out", [
    "graph", "profile", "causes", "memories", "layers", "stages", "interval", "config", "choices",
    "files", "samples", "network", "engine", "images", "inferences"])
def test_what_is_missing_is_left_out(figures: dict[str, Any], left_out: str) -> None:
    del figures[left_out]
    check_page(page(figures, "net"))


def test_nothing_but_a_name() -> None:
    assert check_page(page({}, "nothing")).texts[1] == "nothing"


def test_one_layer_and_many() -> None:
    """Columns of a graph do not run away: a chain has one, with a shortcut there are two."""
    for count, shortcut in ((1, False), (30, False), (30, True)):
        operators = [{"name": f"o{number}", "operator": "Add",
                      "inputs": [f"v{number}", *([f"v{number - 2}"] if shortcut and number > 2
                                                 and number % 3 == 0 else [])],
                      "output": f"v{number + 1}", "shape": [4], "place": "engine"}
                     for number in range(count)]
        figures = {"graph": {"input": {"name": "v0", "shape": [4]}, "operators": operators}}
        width, = re.findall(r'class="graph" width="(\d+)"', page(figures, "net"))
        assert int(width) == (468 if shortcut else 228)


def test_names_no_engine() -> None:
    """The page is for any engine."""
    folder = Path(page_module.__file__).parent
    for name in ("page.py", "page_svg.py", "page.html", "results.py"):
        assert not re.search(r"sparse|systolic|tensor.core", (folder / name).read_text())
