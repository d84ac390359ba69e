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

import hashlib
import json
import os
import shutil
import subprocess
import tty
from dataclasses import astuple, dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from eieio.model.cache_folder import cache_folder
from eieio.model.child_process import program, run_program
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.formats.atomic import check_room, move_file, write_text, writing
from eieio.model.leftovers import forget, locked_folder
from eieio.model.plain_paths import plain_temporary_folder
from eieio.model.registry import engine_of
from eieio.rtl.bus.uart_board import UartSystem
from eieio.rtl.emit import emit, write
from eieio.rtl.hardware import make_engine
from eieio.sim.runner import BuildError, verilator_environment
from eieio.sim.verilator_runtime import shared_runtime

__all__ = ["BoardBuild", "BoardFigures", "Noise", "SimulatedBoard", "build_board"]

TOP = "uart_board"

#: Seconds until a host should send a frame again, and seconds that the engine may need, for engines
#: of up to 16 PEs: the simulation is slower than a real line, the slower the more PEs there are.
_TIMEOUT, _PATIENCE, _PES = 5.0, 600.0, 16

_MAIN = Path(__file__).with_name("uart_board.cpp")
_PROGRAM = "board"


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
                 header=f"{engine_of(config).name.capitalize()} engine on a serial line: "
                        f"{config.label}")
    identity = [version("verilator"), _MAIN.read_text(encoding="utf-8"), files]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    folder = cache_folder(cache) / f"board-{key}"
    executable = folder / _PROGRAM
    with writing(folder.parent), locked_folder(folder, wait=True, done=_PROGRAM) as needed:
        if needed:
            log = folder / "build.log"
            with (plain_temporary_folder(folder) as place,
                  shared_runtime(folder.parent, place, "board")):
                sources = write(files, place)
                main = shutil.copy(_MAIN, place)
                command = [
                    "verilator", "--cc", "--exe", "--build", "-j", "1", "-O3", "-Wno-fatal",
                    "--x-assign", "fast", "--x-initial", "fast", "--no-timing",
                    "--top-module", TOP, "--prefix", f"V{TOP}", "-Mdir", place, "-o", _PROGRAM,
                    *sources, main,
                ]
                reply = run_program(command, env=environment)
                if reply.returncode:
                    check_room(folder.parent)
                    write_text(log, reply.stdout + reply.stderr)
                    forget(folder)  # The message names the log in it.
                    errors = [line for line in (reply.stderr + reply.stdout).splitlines()
                              if "rror" in line]
                    raise BuildError(f"verilator cannot build {TOP}: "
                                     f"{errors[0] if errors else 'no reason'} (log: {log})")
                move_file(place / _PROGRAM, executable)
            forget(folder)
    slower = max(1.0, getattr(config, "pes", 1) / _PES)
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
        try:
            controller, self._terminal = os.openpty()
        except OSError as error:
            raise InputError("A simulated board needs a pseudo-terminal, and there is none: "
                             f"{error.strerror or error}") from error
        tty.setraw(self._terminal)  # Open for as long as the board, whether a host is there or not.
        os.set_blocking(controller, False)
        self.port = os.ttyname(self._terminal)
        arguments = [controller, self._built.divisor, self._seed, *astuple(self._noise)]
        self._running = program(
            [self._built.executable, *map(str, arguments)], pass_fds=[controller],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self._process = self._running.__enter__()
        os.close(controller)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._process.terminate()
        output, _ = self._process.communicate()
        self._running.__exit__(None, None, None)
        os.close(self._terminal)
        if output:
            self.figures = BoardFigures(**json.loads(output))
