"""The notebooks run from beginning to end, and are kept without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

#: Seconds for a cell, on a machine that does much else.
_TIMEOUT = 600


@pytest.mark.parametrize("path", [
    pytest.param(path, marks=pytest.mark.long if path.stem in ("sparse", "systolic") else ())
    for path in NOTEBOOKS], ids=lambda path: path.stem)
# The kernel's client, not the notebook.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs; objects at the ends of cells show themselves as pages."""
    monkeypatch.setenv("EIEIO_CACHE", str(FOLDER.parents[1] / "build" / "cache"))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=_TIMEOUT, kernel_name="python3",
                   resources={"metadata": {"path": FOLDER}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code"
               for output in cell.outputs]
    assert outputs
    assert all(output.output_type in {"stream", "execute_result"} for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs)
    pages = [output["data"]["text/html"] for output in outputs if output.output_type ==
             "execute_result" and "text/html" in output["data"]]
    if path.stem != "tensor_core":
        assert any("Utilisation" in page and "<svg" in page for page in pages)
        assert any("equals the models" in page for page in pages)


def test_clean() -> None:
    """Notebooks are kept without outputs, one for each engine."""
    assert [path.stem for path in NOTEBOOKS] == ["sparse", "systolic", "tensor_core"]
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                assert (cell.outputs, cell.execution_count) == ([], None)
