"""Verilog of the whole sparse engine: stable, each module once, and clean under Verilator."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from long_cases import long

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.emit import emit, write
from eieio.rtl.sparse.engine import SparseEngine
from eieio.sim.lint import lint

TOP = "engine"
CONFIGS: list[Any] = [*long({"pes": 4, "column_groups": 1}), {"pes": 8, "column_groups": 4}]


def verilog(settings: dict[str, Any]) -> dict[str, str]:
    return emit(SparseEngine(SparseConfig(**settings)), TOP, header="Test")


@pytest.fixture(scope="module", params=CONFIGS, ids=str)
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Choose a configuration of the engine."""
    return request.param


@pytest.fixture(scope="module")
def files(settings: dict[str, Any]) -> dict[str, str]:
    """Emit its Verilog: contents by name."""
    return verilog(settings)


def test_same_text_in_every_process(settings: dict[str, Any], files: dict[str, str]) -> None:
    program = ("from eieio.model.sparse.config import SparseConfig; "
               "from eieio.rtl.emit import emit; "
               "from eieio.rtl.sparse.engine import SparseEngine; "
               f"config = SparseConfig(**{settings!r}); "
               f"print(repr(emit(SparseEngine(config), {TOP!r}, header='Test')))")
    # Another process, with other hashes than this one.
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    reply = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True,
                           encoding="utf-8", env=os.environ | {"PYTHONHASHSEED": seed})
    assert reply.stdout == repr(files) + "\n"


def test_each_module_once(settings: dict[str, Any], files: dict[str, str]) -> None:
    pes, groups = settings["pes"], settings["column_groups"]
    modules = [module for text in files.values()
               for module in re.findall(r"(?m)^module (\w+)", text)]
    assert len(modules) == len(set(modules))
    counts = {"activation_bank": groups, "broadcast": groups, "processing_element": pes,
              "output_lane": pes, "partial_sum": pes // groups if groups > 1 else 0}
    for name, count in counts.items():
        assert modules.count(f"{TOP}_{name}") == (count > 0)
        assert len(re.findall(rf"(?m)^  {TOP}_{name} \w+ \(", files[f"{TOP}.v"])) == count
    # Nothing is emitted that nothing uses.
    text = "".join(files.values())
    for module in modules:
        assert module == TOP or re.search(rf"(?m)^  {module} \w+ \(", text), module


def test_lint(files: dict[str, str], tmp_path: Path) -> None:
    lint(write(files, tmp_path), TOP)
