"""Steps that several commands share: load, compile, write, simulate."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.compress.stages import Compression
from eieio.model.formats import compressed, image
from eieio.model.formats.design_folder import (
    COMPRESSED,
    IMAGE,
    MANIFEST,
    RTL,
    Design,
    write_manifest,
)
from eieio.model.formats.load import load_network
from eieio.model.formats.samples import Samples
from eieio.model.formats.samples import read as read_samples
from eieio.model.network import Network
from eieio.model.shared_network import SharedNetwork
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.fitting import compile_fitted
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.rtl.emit import write
from eieio.scripts.console import note, progress, show
from eieio.sim.runner import Build
from eieio.sim.sparse_simulation import TOP, Comparison, compare, emit_engine

__all__ = ["CALIBRATION_SAMPLES", "compile_shared", "load", "samples_or_random", "show_files",
           "simulate_design", "write_design"]

#: Samples, from the first on, that set the ranges of the integers.
CALIBRATION_SAMPLES = 256


def load(path: Path) -> Network | SharedNetwork:
    """Load a network of any format."""
    with progress(f"Loading {path.name}"):
        return load_network(path)


def samples_or_random(path: Path | None, network: Network | SharedNetwork, scale: float | None,
                      seed: int) -> Samples:
    """Read samples for a network, or make up inputs without labels."""
    inputs, outputs = network.layers[0].inputs, network.layers[-1].outputs
    if path is not None:
        with progress(f"Reading {path.name}"):
            return read_samples(path, inputs, outputs, scale)
    note("without --samples, random inputs from 0 to 1 calibrate the integers' ranges")
    random = np.random.default_rng(seed).random((CALIBRATION_SAMPLES, inputs), np.float32)
    return Samples(random, None)


def compile_shared(network: SharedNetwork, samples: Samples,
                   options: dict[str, Any]) -> CompiledNetwork:
    """Quantize a network and compile it for an engine that fits it."""
    with progress("Compiling"):
        return compile_fitted(network, samples.x[:CALIBRATION_SAMPLES], options)


def write_design(folder: Path, config: SparseConfig, compression: Compression | None = None,
                 compiled: CompiledNetwork | None = None) -> Design:
    """Write Verilog, and network and image if there are, and the manifest."""
    with progress("Emitting Verilog"):
        write(emit_engine(config), folder / RTL)
    if compression is not None:
        compressed.write(folder / COMPRESSED, compression.shared)
    if compiled is not None:
        image.write(folder / IMAGE, compiled)
    return write_manifest(folder, engine="sparse", top=TOP, config=config.to_dict(),
                          network=compiled.network.name if compiled else None)


def simulate_design(compiled: CompiledNetwork, x: NDArray[np.integer], built: Build,
                    folder: Path | None = None) -> Comparison:
    """Run inputs on the RTL, beside the golden and the cycle model."""
    with progress(f"Simulating {len(x)} inference{'s' if len(x) != 1 else ''}"):
        return compare(compiled, x, built, folder=folder)


def show_files(design: Design, folder: Path, json_file: Path | None) -> None:
    """List the files that were written."""
    sources = design.sources(folder)
    others = [folder / name for name in [*design.files, MANIFEST] if not name.endswith(".v")]
    show(f"\nFiles written:\n  {sources[0].parent / '*.v'} ({len(sources)} files)",
         *[f"  {name}" for name in others], *([f"  {json_file}"] if json_file else []))
