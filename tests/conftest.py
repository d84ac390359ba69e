"""Fixtures and settings for all tests."""

import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run: a change is judged by what it changes. For new examples:
# pytest --hypothesis-profile=default
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of published networks and data sets, beside the repository."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs published networks in {folder}")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was not tested for want of a simulator."""
    if shutil.which("iverilog") is None:
        terminalreporter.write_line(
            "Icarus is missing: nothing was tested in a four-state simulator "
            "(Debian, Ubuntu: apt install iverilog)", yellow=True)
