"""Running programs that end with us."""

import subprocess
import time
from pathlib import Path

import pytest

from eieio.model.child_process import run_program
from eieio.model.errors import InputError


def test_gives_what_a_program_prints(tmp_path: Path) -> None:
    reply = run_program(["sh", "-c", "cat; pwd; echo $X >&2; exit 3"], input="in\n", cwd=tmp_path,
                        env={"X": "y", "PATH": "/usr/bin:/bin"})
    assert (reply.returncode, reply.stdout, reply.stderr) == (3, f"in\n{tmp_path}\n", "y\n")


def test_temporary_files_go() -> None:
    reply = run_program(["sh", "-c", "echo x > $TMPDIR/x; echo $TMPDIR; ls $TMP $TEMP"])
    folder, *names = reply.stdout.split()
    assert names.count("x") == 2
    assert not Path(folder).exists()


@pytest.mark.parametrize("command", ["sleep 1000 & sleep 1000 & wait", "sleep 1000 & exit 0"])
def test_children_go(tmp_path: Path, command: str) -> None:
    """They go when the time is up, and when the program ends before them."""
    log = tmp_path / "log"
    started = time.monotonic()
    with log.open("w") as file:
        try:
            run_program(["sh", "-c", f"{command.replace('&', '& echo $! >&2;')}"], timeout=2,
                        output=subprocess.DEVNULL, errors=file)
        except subprocess.TimeoutExpired:
            assert "wait" in command
    assert time.monotonic() - started < 60
    for number in log.read_text().split():
        stat = Path("/proc") / number / "stat"
        assert not stat.exists() or ") Z " in stat.read_text()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^Program .*/none cannot be run: No such file or "
                                         r"directory$"):
        run_program([tmp_path / "none"])
