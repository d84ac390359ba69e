"""Fixtures of the benches of the systolic engine's parts."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from amaranth.lib import wiring

from eieio.rtl.emit import emit, write
from eieio.sim.case import case_environment, save_case
from eieio.sim.lint import lint
from eieio.sim.runner import build, run


@pytest.fixture
def record_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list]:
    """Return a function that simulates a component's Verilog, and returns its outputs.

    It is given the component, words of each input by cycle, and names of outputs, and returns the
    words of the outputs by cycle.
    """
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def record(dut: wiring.Component, inputs: Mapping[str, Sequence[int]],
               outputs: Sequence[str]) -> list[tuple[int, ...]]:
        save_case(tmp_path, {}, inputs=list(inputs), outputs=list(outputs), words=[
            [hex(word) for word in words] for words in zip(*inputs.values(), strict=True)])
        sources = write(emit(dut, "dut", header=""), tmp_path)
        lint(sources, "dut")
        run(build(sources, "dut"), "bench_ports", environment=case_environment(tmp_path))
        seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
        return [tuple(int(word, 16) for word in words) for words in seen]

    return record
