"""What all builds of Verilator have in common: its own objects and headers, compiled once."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eieio.model.child_process import run_program
from eieio.model.formats.atomic import move_file
from eieio.model.leftovers import forget, locked_folder
from eieio.sim.simulator_tools import tool_versions

__all__ = ["shared_runtime"]

# Increase when a change here changes what the folder holds.
_VERSION = 3

# File in the folder of objects that are complete.
_DONE = "done"

# What Verilator's sources and cocotb's include, apart from the design's own.
_HEADERS = ("verilated.h", "verilated_dpi.h", "verilated_vpi.h", "memory")


@contextmanager
def shared_runtime(cache: Path, place: Path, kind: str, *, quick: bool = False
                   ) -> Iterator[str | None]:
    """Give a build what does not depend on the design, and keep it from the first build.

    The first one compiles objects; others that need them wait for it. Headers take longer to
    compile than a build saves by them, so that a quick build after the first keeps them.

    Parameters
    ----------
    cache : :class:`pathlib.Path`
        Folder of all builds.
    place : :class:`pathlib.Path`
        Where the build happens, within the context.
    kind : :class:`str`
        What the objects depend on: builds of one kind have the same of them.
    quick : :class:`bool`
        Whether the design is compiled in one piece; only then headers are shared.

    Yields
    ------
    :class:`str` or None
        Header in `place` that the build may include everywhere, by this name: precompiled, if
        there is a file of this name and ``.gch``, and else to be.
    """
    compiler = os.environ.get("CXX", "c++")
    version = run_program([compiler, "--version"]).stdout
    identity = [_VERSION, tool_versions("verilator"), compiler, version, kind,
                os.environ.get("CXXFLAGS"), os.environ.get("CPPFLAGS")]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    folder = cache / f"runtime-{key}"
    with locked_folder(folder, wait=True, done=_DONE) as needed:
        if needed:
            yield None
            for path in place.glob("verilated*.o"):
                shutil.copy(path, folder)
            (folder / _DONE).touch()
            forget(folder)
            return

    # Make would rebuild them as older than the design's makefile, which is yet to be written.
    later = time.time() + 24 * 3600
    for path in folder.glob("*.o"):
        os.utime(shutil.copy(path, place), (later, later))
    if not quick or "clang" in version:
        yield None
        return
    # Where the precompiled one does not fit after all, the compiler takes the header itself.
    header = place / "runtime.h.fast"
    for path in (header, header.with_suffix("")):
        path.write_text("".join(f"#include <{name}>\n" for name in _HEADERS), encoding="utf-8")
    made, kept = (path / f"{header.name}.gch" for path in (place, folder))
    if kept.exists():
        made.symlink_to(kept)
    yield header.name
    if not kept.exists():
        move_file(made, kept)
