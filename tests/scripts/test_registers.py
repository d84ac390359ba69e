"""The command that prints the registers."""

import pytest
from click.testing import CliRunner

from eieio.model.registers import c_header, markdown
from eieio.scripts.registers import registers


@pytest.mark.parametrize(("arguments", "text"), [
    ([], markdown()), (["--format", "markdown"], markdown()), (["--format", "c"], c_header())])
def test_formats(arguments: list[str], text: str) -> None:
    result = CliRunner().invoke(registers, arguments)
    assert (result.exit_code, result.output) == (0, text)


def test_unknown_format() -> None:
    assert CliRunner().invoke(registers, ["--format", "pdf"]).exit_code == 2
