"""Steps that several commands share: prepare, compile, write, simulate."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from eieio.model.engine import Compiled, Messages, Prepared, Request
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.formats.atomic import move_file
from eieio.model.formats.design_folder import MANIFEST, RTL, Design, write_manifest
from eieio.model.registry import engine_of
from eieio.rtl.emit import write
from eieio.rtl.hardware import emit_engine, engine_top
from eieio.scripts.console import CONSOLE, progress, show
from eieio.scripts.engine import Choice
from eieio.sim import runner
from eieio.sim.simulation import (
    Comparison,
    build_engine,
    build_sources,
    simulation_of,
)

__all__ = ["build_simulation", "mismatch", "open_design", "prepare", "show_files",
           "simulate", "simulation_folder", "write_design"]

#: Cycles of which their simulation takes as much longer without optimization as compiling takes
#: with it. Measured: 16 PEs, 20 s and 0.1 ms a cycle.
_LONG = 200_000


def prepare(choice: Choice, samples: Path | None, scale: float | None, *, seed: int = 0,
            random: int = 0) -> Prepared:
    """Read a network and its samples, and make it ready for its engine.

    Parameters
    ----------
    choice : Choice
        Engine and network.
    samples : :class:`pathlib.Path`, optional
        Typical inputs.
    scale : :class:`float`, optional
        Real value of a 1 in them.
    seed, random : :class:`int`
        Of the inputs that are drawn without samples: seed, and how many there must be at least.
    """
    request = Request(samples, scale, seed, max(random, Request.random), choice.options,
                      choice.settings)
    return choice.engine.prepare(choice.read(), request, CONSOLE)


def open_design(choice: Choice) -> Compiled:
    """Read the network of a design."""
    assert choice.path is not None
    with progress("Compiling"):
        return choice.engine.open(choice.path)


def write_design(folder: Path, config: EngineConfig, compiled: Compiled | None = None, *,
                 family: str | None = None, messages: Messages = CONSOLE) -> Design:
    """Write Verilog, for a family or any, and network and image if there are, and the manifest."""
    with messages.progress("Emitting Verilog"):
        write(emit_engine(config, family), folder / RTL)
    if compiled is not None:
        compiled.write(folder)
    return write_manifest(folder, engine=engine_of(config).name, top=engine_top(config),
                          config=config.to_dict(), network=compiled.name if compiled else None)


def build_simulation(compiled: Compiled, x: NDArray[np.floating], simulator: str, *,
                     folder: Path | None = None, design: Design | None = None,
                     waves: bool = False, traced: bool = False, quick: bool | None = None,
                     messages: Messages = CONSOLE) -> runner.Build:
    """Build the simulation of a design's own Verilog, or of Verilog that is not kept.

    ``quick`` is as for :func:`eieio.sim.simulation.build_engine`; None means what takes less time
    for the inputs ``x``, by the cycles of the first of them.
    """
    if quick is None:
        inferences = -(-len(x) // compiled.batch)
        cycles = compiled.counters(compiled.quantize(x[:compiled.batch]))[0].cycles
        quick = inferences * cycles < _LONG
    with messages.progress(f"Building the simulation ({simulator})"):
        if folder is None or design is None:
            return build_engine(compiled.config, simulator=simulator, waves=waves,
                                traced=traced, quick=quick)
        sources, options = design.sources(folder), {
            "simulator": simulator, "waves": waves, "quick": quick}
        if traced:
            return build_sources(sources, compiled.config, traced=True, **options)
        return runner.build(sources, design.top, **options)


def simulate(compiled: Compiled, x: NDArray[np.floating], built: runner.Build,
             waves: Path | None = None, *, traced: bool = False, messages: Messages = CONSOLE
             ) -> Comparison:
    """Run inputs on the RTL, beside the golden and the cycle model."""
    inferences = compiled.group(compiled.quantize(x))
    with simulation_folder(len(inferences), built, waves, messages=messages) as folder:
        more = {"traced": True} if traced else {}
        return simulation_of(compiled.config).compare(compiled.inner, inferences, built,
                                                      folder=folder, **more)


@contextmanager
def simulation_folder(inferences: int, built: runner.Build,
                      waves: Path | None = None, *, messages: Messages = CONSOLE
                      ) -> Iterator[Path]:
    """Give a simulation a folder, and take its waveforms from there if they are wanted.

    The folder is deleted, but not after an error, which names the log in it.
    """
    with runner.simulation_folder() as folder:
        many = "s" if inferences != 1 else ""
        with messages.progress(f"Simulating {inferences} inference{many}"):
            yield folder
        if waves is not None:
            recorded, = folder.glob(f"*.{built.waves}")
            if not shutil.disk_usage(folder).free:
                raise InputError(f"Waveforms are cut off, since the disk of {folder.parent} is "
                                 "full; TMPDIR may name another folder")
            waves.parent.mkdir(parents=True, exist_ok=True)
            move_file(recorded, waves)


def mismatch(ctx: click.Context, mismatches: int, cycle_mismatches: int) -> None:
    """End with status 1 if the RTL differs from the models."""
    if mismatches or cycle_mismatches:
        click.echo(f"eieio: The RTL differs from the models: {mismatches} integers and "
                   f"{cycle_mismatches} cycle counts", err=True)
        ctx.exit(1)


def show_files(design: Design, folder: Path, json_file: Path | None,
               more: Sequence[Path] = ()) -> None:
    """List the files that were written."""
    sources = design.sources(folder)
    others = [folder / name for name in [*design.files, MANIFEST] if not name.endswith(".v")]
    show(f"\nFiles written:\n  {sources[0].parent / '*.v'} ({len(sources)} files)",
         *[f"  {name}" for name in [*others, *([json_file] if json_file else []), *more]])
