"""A simulated board on a pseudo-terminal, for the unmodified host driver.

::

    built = build_board(config)
    with SimulatedBoard(built) as board, Device.open(
            board.port, timeout=built.timeout, patience=built.patience) as device:
        device.load(image)

What runs is the Verilog of a whole :class:`~eieio.rtl.bus.uart_board.UartSystem`, clocked by a
program in C++ (``uart_board.cpp``) that turns the levels of its serial line into bytes. The line is
faster for its clock than a real one, since most of the time of a simulation goes by on the line.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import tty
from dataclasses import astuple, dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.registers import engine_kind
from eieio.rtl.boards.system import make_engine
from eieio.rtl.bus.uart_board import UartSystem
from eieio.rtl.emit import emit, write
from eieio.sim.runner import BuildError, verilator_environment

__all__ = ["BoardBuild", "BoardFigures", "Noise", "SimulatedBoard", "build_board"]

TOP = "uart_board"

#: Seconds until a host should send a frame again, and seconds that the engine may need, for engines
#: of up to 16 PEs: the simulation is slower than a real line, the slower the more PEs there are.
_TIMEOUT, _PATIENCE, _PES = 5.0, 600.0, 16

_MAIN = Path(__file__).with_name("uart_board.cpp")


@dataclass(frozen=True)
class BoardBuild:
    """A board that is ready to simulate.

    Attributes
    ----------
    executable : :class:`pathlib.Path`
        Program; belongs to the cache.
    divisor : :class:`int`
        Clocks of a bit on its serial line.
    timeout, patience : :class:`float`
        Seconds after which a host should repeat a request, and that the engine may need, for
        :class:`eieio.host.device.Device`.
    """

    executable: Path
    divisor: int
    timeout: float
    patience: float


@dataclass(frozen=True)
class Noise:
    """What happens to the serial line.

    Attributes
    ----------
    flip : :class:`float`
        Probability that a bit is inverted, start and stop bits of what the host sends included.
    glitch : :class:`float`
        Probability that a bit that the host sends is inverted for one clock.
    drop : :class:`float`
        Probability that a byte is lost.
    insert : :class:`float`
        Probability that a random byte comes before a byte.
    """

    flip: float = 0.0
    glitch: float = 0.0
    drop: float = 0.0
    insert: float = 0.0


@dataclass(frozen=True)
class BoardFigures:
    """What a simulated board did.

    Attributes
    ----------
    cycles : :class:`int`
        Clocks simulated.
    line_cycles : :class:`int`
        Those in which the serial line carried bytes, in either direction.
    bytes_to_board, bytes_from_board : :class:`int`
        Bytes from and to the host.
    flips, glitches, drops, inserts : :class:`int`
        Noise on the line.
    """

    cycles: int
    line_cycles: int
    bytes_to_board: int
    bytes_from_board: int
    flips: int
    glitches: int
    drops: int
    inserts: int


def build_board(config: EngineConfig, *, divisor: int = 4, cache: Path | None = None
                ) -> BoardBuild:
    """Build the simulation of a board, or find it in the cache.

    Parameters
    ----------
    config : EngineConfig
        Configuration of the engine.
    divisor : :class:`int`
        Clocks of a bit on its serial line, at least 4.
    cache : :class:`pathlib.Path`, optional
        Folder of all builds, as in :func:`eieio.sim.runner.build`.

    Raises
    ------
    InputError
        If a program that Verilator needs is missing.
    BuildError
        If Verilator or the C++ compiler refuses the design.
    """
    environment = os.environ | verilator_environment()
    files = emit(UartSystem(make_engine(config), divisor), TOP,
                 header=f"{engine_kind(config).capitalize()} engine on a serial line: "
                        f"{config.label}")
    cache = (cache or Path(os.environ.get("EIEIO_CACHE", "build/cache"))).absolute()
    if any(character.isspace() for character in str(cache)):
        raise InputError(f"Cache folder must have a path without spaces, not {str(cache)!r}; set "
                         f"EIEIO_CACHE to another")
    cache.mkdir(parents=True, exist_ok=True)
    identity = [version("verilator"), _MAIN.read_text(encoding="utf-8"), files]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    executable = cache / f"board-{key}"
    with (cache / f"board-{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # The lock goes when the file is closed.
        if not executable.exists():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                sources = write(files, Path(folder))
                log = cache / f"board-{key}.log"
                command = [
                    "verilator", "--cc", "--exe", "--build", "-j", "1", "-O3", "-Wno-fatal",
                    "--x-assign", "fast", "--x-initial", "fast", "--no-timing",
                    "--top-module", TOP, "--prefix", f"V{TOP}", "-Mdir", folder, "-o", "board",
                    *map(str, sources), str(_MAIN),
                ]
                reply = subprocess.run(command, env=environment, capture_output=True,
                                       encoding="utf-8", check=False)
                log.write_text(reply.stdout + reply.stderr, encoding="utf-8")
                if reply.returncode:
                    errors = [line for line in (reply.stderr + reply.stdout).splitlines()
                              if "rror" in line]
                    raise BuildError(f"verilator cannot build {TOP}: "
                                     f"{errors[0] if errors else 'no reason'} (log: {log})")
                shutil.move(Path(folder) / "board", executable)
                log.unlink()
    slower = max(1.0, cast(Any, config).pes / _PES)
    return BoardBuild(executable, divisor, _TIMEOUT * slower, _PATIENCE * slower)


class SimulatedBoard:
    """A board that runs while the ``with`` statement does.

    Parameters
    ----------
    built : BoardBuild
        What to run.
    noise : Noise
        What happens to its serial line.
    seed : :class:`int`
        Seed of the noise.

    Attributes
    ----------
    port : :class:`str`
        Serial port for the host.
    figures : BoardFigures or None
        What it did, once it has ended.
    """

    port: str

    def __init__(self, built: BoardBuild, *, noise: Noise | None = None, seed: int = 0) -> None:
        self._built = built
        self._noise = noise or Noise()
        self._seed = seed
        self.figures: BoardFigures | None = None

    def __enter__(self) -> Self:
        controller, self._terminal = os.openpty()
        tty.setraw(self._terminal)  # Open for as long as the board, whether a host is there or not.
        os.set_blocking(controller, False)
        self.port = os.ttyname(self._terminal)
        arguments = [controller, self._built.divisor, self._seed, *astuple(self._noise)]
        self._process = subprocess.Popen(
            [self._built.executable, *map(str, arguments)], pass_fds=[controller],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8")
        os.close(controller)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._process.terminate()
        output, _ = self._process.communicate()
        os.close(self._terminal)
        if output:
            self.figures = BoardFigures(**json.loads(output))
