"""What an exported package says of its own verification."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig
from eieio.scripts.main import main
from eieio.scripts.packaging import Package
from eieio.scripts.verification_summary import (
    SUMMARY,
    Simulated,
    components_of,
    summary,
    summary_text,
)

SYSTOLIC = SystolicConfig(rows=2, columns=2, activation_depth=16, weight_depth=16,
                          parameter_depth=4, program_depth=4)
SPARSE = SparseConfig(pes=2, entry_depth=16, pointer_depth=16, activation_depth=4)


def test_components() -> None:
    """They are those of the configuration: of the bus, the engine and its options."""
    native = components_of(Package(SYSTOLIC, "native"))
    shell = components_of(Package(SYSTOLIC))
    assert {"systolic/engine.py", "systolic/pe.py", "requantize.py"} <= set(native)
    assert not any(name.startswith(("bus/axi", "sparse/", "winograd/shift")) for name in native)
    assert {"bus/shell.py", "bus/axi_lite_registers.py"} <= set(shell) - set(native)


def test_summary() -> None:
    """Proofs are those of the components that are there; figures are those that are given."""
    package = Package(SPARSE, name="accelerator")
    known = summary(package, None, linted=False)
    used = components_of(package)
    assert {proof["component"] for proof in known["proofs"]} <= set(used)
    named = {name for entry in known["unproved"] for name in entry["components"]}
    assert named == set(used) - {proof["component"] for proof in known["proofs"]}
    text = summary_text(package, known)
    assert "This export has simulated nothing" in text
    assert "This export has linted nothing." in text
    assert text.count("| `skid_buffer_order` |") == 1
    assert "systolic_pe_2" not in text

    simulated = Simulated(2, 3456, 6, 7890, 1, 0)
    known = {**known, "simulated": asdict(simulated), "linted": True}
    text = " ".join(summary_text(package, known).split())
    assert ("ran 2 inferences of random inputs of this network in Verilator. Of 3,456 integers of "
            "all layers and outputs 1 differ from the golden model; of the cycles of 6 layers, "
            "7,890 in all, 0 differ from the cycle model.") in text
    assert "passes `verilator -Wall`" in text


@pytest.mark.long
def test_options() -> None:
    """Options bring components, and these their proofs."""
    winograd = components_of(Package(SystolicConfig(
        rows=2, columns=2, activation_depth=16, weight_depth=16, parameter_depth=4,
        program_depth=4, winograd=2, activation_width=12, weight_width=12), "native"))
    assert "winograd/shift_add.py" in winograd

    package = Package(SparseConfig(pes=2, entry_depth=16, pointer_depth=16, activation_depth=4,
                                   parity=True, watchdog=100), "native")
    names = {proof["name"] for proof in summary(package, None, linted=False)["proofs"]}
    assert {"parity_clocked", "watchdog_fires"} <= names


@pytest.mark.long
def test_simulates(made_design: Path, tmp_path: Path) -> None:
    """An export simulates the engine and lints the package, if asked."""
    result = CliRunner(catch_exceptions=False).invoke(main, [
        "export", str(made_design), "--simulate", "2", "--out", str(tmp_path / "package"),
        "--json", str(tmp_path / "figures.json")])
    assert result.exit_code == 0, result.stderr
    known = json.loads((tmp_path / "figures.json").read_text())["verification"]
    assert known["linted"]
    found = known["simulated"]
    assert found["inferences"] == 2
    assert found["integers"] > 0 < found["cycles"]
    assert (found["wrong_integers"], found["wrong_cycles"]) == (0, 0)
    text = (tmp_path / "package" / SUMMARY).read_text()
    assert f"of the cycles of {found['layers']} layers" in " ".join(text.split())


def test_nothing_to_simulate(tmp_path: Path) -> None:
    (tmp_path / "engine.json").write_text('{"pes": 2}')
    result = CliRunner().invoke(main, [
        "export", str(tmp_path / "engine.json"), "--simulate", "1", "--out",
        str(tmp_path / "package")])
    assert result.exit_code == 2
    assert "Option --simulate goes with a design that has a network" in result.stderr
