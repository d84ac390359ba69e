"""Steps that several commands share: load, compile, write, simulate."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from eieio.model.compress.stages import Compression, compress_network
from eieio.model.errors import InputError
from eieio.model.formats import compressed
from eieio.model.formats.atomic import move_file
from eieio.model.formats.design_folder import (
    COMPRESSED,
    IMAGE,
    MANIFEST,
    RTL,
    Design,
    read_manifest,
    write_manifest,
)
from eieio.model.formats.load import load_network
from eieio.model.formats.samples import Samples
from eieio.model.formats.samples import read as read_samples
from eieio.model.network import Network
from eieio.model.shared_network import SharedNetwork
from eieio.model.sparse import image
from eieio.model.sparse.choices import FASTEST, FittedNetwork, fit_network
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.precision import layer_snr
from eieio.model.sparse.report import layer_figures
from eieio.rtl.emit import write
from eieio.scripts.console import note, progress, show
from eieio.scripts.options import chosen_output
from eieio.sim import runner
from eieio.sim.sparse.simulation import TOP, Comparison, build_engine, compare, emit_engine

__all__ = ["CALIBRATION_SAMPLES", "build_simulation", "compile_shared", "layout_figures", "load",
           "mismatch", "open_design", "samples_or_random", "share", "show_files",
           "simulate_design", "simulation_folder", "write_design"]

#: Samples, from the first on, that set the ranges of the integers.
CALIBRATION_SAMPLES = 256


def load(path: Path) -> Network | SharedNetwork:
    """Load a network of any format."""
    with progress(f"Loading {path.name}"):
        return load_network(path, chosen_output())


def share(network: Network | SharedNetwork, options: dict[str, Any]) -> Compression:
    """Share the weights of a network that nobody asked to prune."""
    with progress("Sharing weights"):
        return compress_network(network, code_width=options.get("code_width"))


def samples_or_random(path: Path | None, network: Network | SharedNetwork, scale: float | None,
                      seed: int = 0) -> Samples:
    """Read samples for a network, or make up inputs without labels."""
    inputs, outputs = network.layers[0].inputs, network.layers[-1].outputs
    if path is not None:
        with progress(f"Reading {path.name}"):
            return read_samples(path, inputs, outputs, scale)
    note("no samples are given: random inputs from 0 to 1 calibrate the integers' ranges")
    random = np.random.default_rng(seed).random((CALIBRATION_SAMPLES, inputs), np.float32)
    return Samples(random, None)


def compile_shared(network: SharedNetwork, samples: Samples, options: dict[str, Any], *,
                   board: bool = False, output_order: str = FASTEST) -> FittedNetwork:
    """Quantize a network and compile it for an engine that fits it, perhaps for a board."""
    with progress("Compiling"):
        return fit_network(network, samples.x[:CALIBRATION_SAMPLES], options, board=board,
                           reorder_outputs=output_order == FASTEST)


def layout_figures(fitted: FittedNetwork, network: SharedNetwork,
                   samples: Samples) -> dict[str, Any]:
    """Figures of what was chosen for a network, and of its layers."""
    with progress("Measuring the integers' precision"):
        ratios = layer_snr(network, fitted.compiled.network, samples.x[:CALIBRATION_SAMPLES])
    layers = [
        {**figures, "order": layout.order, "weight_steps": int(abs(layer.layer.codebook).max()),
         "snr_db": ratio}
        for figures, layout, layer, ratio in zip(
            layer_figures(fitted.compiled), fitted.layouts, fitted.compiled.layers, ratios,
            strict=True)]
    return {"choices": [choice.to_dict() for choice in fitted.choices], "layers": layers}


def write_design(folder: Path, config: SparseConfig, network: SharedNetwork | None = None,
                 compiled: CompiledNetwork | None = None) -> Design:
    """Write Verilog, and network and image if there are, and the manifest."""
    with progress("Emitting Verilog"):
        write(emit_engine(config), folder / RTL)
    if network is not None:
        compressed.write(folder / COMPRESSED, network)
    if compiled is not None:
        image.write(folder / IMAGE, compiled)
    return write_manifest(folder, engine="sparse", top=TOP, config=config.to_dict(),
                          network=network.name if network else None)


def open_design(folder: Path) -> tuple[Design, CompiledNetwork]:
    """Read a design with its image."""
    design = read_manifest(folder)
    if not (folder / IMAGE).is_file():
        raise InputError(f"{folder} must hold an image: generate the design from a network")
    compiled = image.read(folder / IMAGE)
    if compiled.config.to_dict() != design.config:
        raise InputError(f"{folder / IMAGE} must be for the engine in {MANIFEST}")
    return design, compiled


def build_simulation(compiled: CompiledNetwork, simulator: str, *, folder: Path | None = None,
                     design: Design | None = None, waves: bool = False) -> runner.Build:
    """Build the simulation of a design's own Verilog, or of Verilog that is not kept."""
    with progress(f"Building the simulation ({simulator})"):
        if folder is None or design is None:
            return build_engine(compiled.config, simulator=simulator, waves=waves)
        return runner.build(design.sources(folder), design.top, simulator=simulator, waves=waves)


def simulate_design(compiled: CompiledNetwork, x: NDArray[np.integer], built: runner.Build,
                    waves: Path | None = None) -> Comparison:
    """Run inputs on the RTL, beside the golden and the cycle model."""
    with simulation_folder(len(x), built, waves) as folder:
        return compare(compiled, x, built, folder=folder)


@contextmanager
def simulation_folder(inferences: int, built: runner.Build,
                      waves: Path | None = None) -> Iterator[Path]:
    """Give a simulation a folder, and take its waveforms from there if they are wanted.

    The folder is deleted, but not after an error, which names the log in it.
    """
    with runner.simulation_folder() as folder:
        with progress(f"Simulating {inferences} inference{'s' if inferences != 1 else ''}"):
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


def show_files(design: Design, folder: Path, json_file: Path | None) -> None:
    """List the files that were written."""
    sources = design.sources(folder)
    others = [folder / name for name in [*design.files, MANIFEST] if not name.endswith(".v")]
    show(f"\nFiles written:\n  {sources[0].parent / '*.v'} ({len(sources)} files)",
         *[f"  {name}" for name in others], *([f"  {json_file}"] if json_file else []))
