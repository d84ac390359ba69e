"""Millions of cycles of an engine: a script of images and inputs, run without Python.

Any engine that has the ports of :mod:`eieio.rtl.hardware` is driven through these alone; what must
come out is known before, from the golden and the cycle model. ``replay.cpp`` beside this file does
the driving, checks every beat and its stability, and counters where a script asks for it.

A script is made of definitions, cases, each of which begins with a reset, and their commands:

``image WORD...``, ``vector INPUTS OUTPUTS CYCLES MACS BEAT...``, ``limit CYCLES``
    An image, and an input with its output and the bits of it that matter; beats and words in
    hexadecimal. Cycles that a command may wait.
``case NUMBER``
    Begin a case.
``load IMAGE``, ``infer VECTOR``, ``drain``, ``count``
    Send an image or an input, when those before it are accepted; wait for all that is under way;
    compare the counters with the models', too.
``refuse KIND BEAT...``
    Send an image or an input (``image``, ``input``) for which the engine must report an error.
``reset AFTER CYCLES``
    Reset in the middle of what is under way.
``stalls IMAGE INPUT OUTPUT RUN``
    How often each stream, and ``run``, pause, of 256.
``recover IMAGE VECTOR``
    If the case has ended by an error: send what has begun to its end, clear the error, and send an
    image and an input, whose output and counters must be right.
``strike PLACE ADDR BIT AFTER``
    Flip a bit of a design that can be struck (:mod:`eieio.sim.strikes`).
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eieio.model.cache_folder import cache_folder
from eieio.model.child_process import run_program
from eieio.model.engine import Compiled
from eieio.model.engine_config import EngineConfig
from eieio.model.formats.atomic import move_file, write_text, writing
from eieio.model.leftovers import forget, locked_folder, temporary_folder
from eieio.model.plain_paths import plain_temporary_folder
from eieio.rtl.emit import write
from eieio.rtl.hardware import emit_engine, engine_top, make_engine
from eieio.rtl.interface import Port, module_ports
from eieio.sim.runner import BuildError
from eieio.sim.simulator_tools import verilator_environment
from eieio.sim.verilator_runtime import shared_runtime

__all__ = ["PORTS", "Outcome", "build_replay", "counted", "engine_ports", "image_line",
           "inference_script", "is_replayable", "replay", "vector_line"]

_MAIN = Path(__file__).with_name("replay.cpp")
_PROGRAM = "replay"
# Folder beside a program with the Verilog that it is made of, if it counts what is covered.
_SOURCES = "sources"
_COUNTS = "coverage.dat"
# See `counted`.
_count_arguments: tuple[str, ...] = ()
_take_counts: Callable[[Path, Path], None] | None = None

#: Ports without which an engine cannot be driven.
PORTS = ("image__payload", "i__payload", "o__payload", "run", "busy", "loading", "error",
         "clear_error", "cycles", "macs")


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes
    ----------
    number : :class:`int`
        Its number.
    what : :class:`str`
        ``"ok"``; ``"error"``, one that the engine reported and should not have; ``"not usable"``
        and why, if it did not recover from that; ``"error stays"``; ``"hang"``; ``"counters"``,
        which differ from the models'; or what was wrong with the output: ``"wrong"``,
        ``"surplus"``, ``"unstable"``, ``"withdrawn"``.
    code : :class:`int`
        The last error code that was seen.
    cycles : :class:`int`
        Cycles of the case.
    """

    number: int
    what: str
    code: int
    cycles: int


def engine_ports(config: EngineConfig) -> tuple[Port, ...]:
    """Return the ports of an engine's module."""
    return module_ports(make_engine(config))


def is_replayable(config: EngineConfig) -> bool:
    """Tell whether an engine has the ports by which it can be driven."""
    names = {port.name for port in engine_ports(config)}
    return names.issuperset(PORTS)


@contextmanager
def counted(arguments: Sequence[str], take: Callable[[Path, Path], None]) -> Iterator[None]:
    """Let programs that are built and run within count, for :mod:`eieio.sim.coverage.measure`.

    ``arguments`` are what Verilator is told for that. After each run ``take`` is called with the
    file of its counts, and the folder of the Verilog.
    """
    global _count_arguments, _take_counts
    _count_arguments, _take_counts = tuple(arguments), take
    try:
        yield
    finally:
        _count_arguments, _take_counts = (), None


def build_replay(config: EngineConfig, extra: Mapping[str, str] | None = None,
                 top: str | None = None, *, files: Mapping[str, str] | None = None,
                 arguments: Sequence[str] = (), cache: Path | None = None) -> Path:
    """Build the program that replays scripts on an engine, or find it in the cache.

    Parameters
    ----------
    config : EngineConfig
        Configuration of the engine.
    extra : mapping of :class:`str`, optional
        More Verilog by file name, with a module around the engine that can be struck.
    top : :class:`str`, optional
        Name of that module.
    files : mapping of :class:`str`, optional
        The engine's Verilog, if it is not what is emitted for it.
    arguments : sequence of :class:`str`
        More arguments for ``verilator``.
    cache : :class:`pathlib.Path`, optional
        Folder of all builds, as in :func:`eieio.sim.runner.build`.

    Returns
    -------
    :class:`pathlib.Path`
        The program.

    Raises
    ------
    InputError
        If a program that Verilator needs is missing.
    BuildError
        If Verilator or the C++ compiler refuses the design.
    """
    environment = os.environ | verilator_environment()
    arguments = [*arguments, *_count_arguments]
    sources = {**(emit_engine(config) if files is None else files), **(extra or {})}
    ports = {port.name: port.width for port in engine_ports(config)}
    header = "".join(f"constexpr unsigned {name} = {ports[port] - 1};\n" for name, port in (
        ("kImageBits", "image__payload"), ("kInputBits", "i__payload"),
        ("kOutputBits", "o__payload")))
    if top is not None:
        header += "#define STRIKES\n"
    identity = [version("verilator"), _MAIN.read_text(encoding="utf-8"), header, sources,
                *arguments]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    folder = cache_folder(cache) / f"replay-{key}"
    program = folder / _PROGRAM
    with writing(folder.parent), locked_folder(folder, wait=True, done=_PROGRAM) as needed:
        if needed:
            with (plain_temporary_folder(folder) as place,
                  shared_runtime(folder.parent, place, "board")):
                written = write(sources, place)
                write_text(place / "ports.h", header)
                command = [
                    "verilator", "--cc", "--exe", "--build", "-j", "1", "-O3", "-Wno-fatal",
                    "--x-assign", "unique", "--x-initial", "unique", "--no-timing",
                    "--top-module", top or engine_top(config), "--prefix", "Vreplayed",
                    "-CFLAGS", f"-I{place} -std=c++17", "-Mdir", place, "-o", _PROGRAM, *arguments,
                    *written,
                    shutil.copy(_MAIN, place)]
                reply = run_program(command, env=environment)
                if reply.returncode:
                    write_text(folder / "build.log", reply.stdout + reply.stderr)
                    forget(folder)  # The message names the log in it.
                    errors = [line for line in (reply.stderr + reply.stdout).splitlines()
                              if "%Error" in line or "error:" in line]
                    raise BuildError(f"verilator cannot build a replay: "
                                     f"{errors[0] if errors else 'no reason'} (log: "
                                     f"{folder / 'build.log'})")
                if _count_arguments:
                    (folder / _SOURCES).mkdir(exist_ok=True)
                    for source in written:
                        shutil.copy(source, folder / _SOURCES)
                move_file(place / _PROGRAM, program)
            forget(folder)
    return program


def image_line(words: NDArray[np.uint32]) -> str:
    """Define an image."""
    return " ".join(["image", *(f"{int(word):x}" for word in words)])


def vector_line(compiled: Compiled, x: NDArray[np.integer]) -> list[str]:
    """Define a vector for each inference of inputs, shape (samples, and the input's shape)."""
    host = compiled.host
    results = compiled.run(x)
    values = host.outputs.positions.size
    mask = host.outputs.pack_beats(np.full(values, host.outputs.zero_point - 1))
    lines = []
    for source, result, counters in zip(
            compiled.group(x).reshape(-1, host.inputs.positions.size), results.reshape(-1, values),
            compiled.counters(x), strict=True):
        inputs, outputs = host.inputs.pack_beats(source), host.outputs.pack_beats(result)
        lines.append(" ".join([
            "vector", str(len(inputs)), str(len(outputs)), str(counters.cycles),
            str(counters.macs), *(f"{beat:x}" for beat in (*inputs, *outputs, *mask))]))
    return lines


def inference_script(compiled: Compiled, x: NDArray[np.integer]) -> list[str]:
    """Return a script of one case: inferences one by one, whose counters are looked at each time.

    Parameters
    ----------
    compiled : Compiled
        Network in an engine.
    x : integer array of shape (samples, and the input's shape)
        Inputs, of whole inferences.
    """
    vectors = vector_line(compiled, x)
    return [image_line(compiled.host.words), *vectors, "case 0", "load 0",
            *(line for number in range(len(vectors)) for line in (f"infer {number}", "count"))]


def replay(program: Path, script: Sequence[str], *, seed: int = 0, timeout: float | None = None
           ) -> tuple[list[Outcome], int]:
    """Run a script.

    Parameters
    ----------
    program : :class:`pathlib.Path`
        What :func:`build_replay` returned.
    script : sequence of :class:`str`
        Its lines.
    seed : :class:`int`
        Seed of stalls, and of what is undefined before a reset.
    timeout : :class:`float`, optional
        Seconds after which it is ended.

    Returns
    -------
    list of Outcome, and int
        What became of the cases, and cycles in all.

    Raises
    ------
    BuildError
        If the program ends by itself.
    """
    with temporary_folder() as folder:
        path = folder / "script"
        write_text(path, "".join(f"{line}\n" for line in script))
        reply = run_program([program, path, str(seed), folder / _COUNTS], timeout=timeout)
        if _take_counts is not None and (folder / _COUNTS).exists():
            _take_counts(folder / _COUNTS, program.parent / _SOURCES)
    if reply.returncode:
        raise BuildError(f"replay ended with status {reply.returncode}: {reply.stderr.strip()}")
    outcomes, cycles = [], 0
    for line in reply.stdout.splitlines():
        kind, *rest = line.split(" ")
        if kind == "cycles":
            cycles = int(rest[0])
        else:
            number, *what, code, taken = rest
            outcomes.append(Outcome(int(number), " ".join(what), int(code), int(taken)))
    return outcomes, cycles
