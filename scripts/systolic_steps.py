"""Steps that the commands share for the systolic engine: load, compile, write, simulate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats import graph_file
from eieio.model.formats.design_folder import (
    GRAPH,
    IMAGE,
    MANIFEST,
    RTL,
    Design,
    read_manifest,
    write_manifest,
)
from eieio.model.formats.samples import Samples
from eieio.model.graph import float_graph
from eieio.model.graph.calibration import Method
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.graph.golden import run_graph, run_operator
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.graph.quantized_graph import QuantizedGraph, Stack, Tensor
from eieio.model.sparse.precision import signal_to_noise
from eieio.model.systolic import image as systolic_image
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.fitting import compile_fitted
from eieio.model.systolic.mapping import CompiledGraph, compile_graph
from eieio.rtl.emit import write
from eieio.scripts.console import note, progress
from eieio.scripts.options import chosen_output
from eieio.scripts.steps import CALIBRATION_SAMPLES, simulation_folder
from eieio.sim import runner
from eieio.sim.systolic.simulation import TOP, Comparison, build_engine, compare, emit_engine

__all__ = ["Loaded", "build_simulation", "compile_network", "group", "layer_snr", "load",
           "open_design", "random_inputs", "run_float", "run_golden", "run_host", "simulate",
           "write_design"]

# Samples that the models compute together.
_TOGETHER = 32


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network, and inputs for it.

    Attributes
    ----------
    graph : QuantizedGraph
        The network in integers.
    reference : FloatGraph or None
        The network in floating-point numbers, if that is what the file holds.
    samples : Samples
        Inputs of shape (samples, and the shape of the network's input), and their labels.
    """

    graph: QuantizedGraph
    reference: FloatGraph | None
    samples: Samples


def load(path: Path, samples: Path | None, scale: float | None, *, calibration: Method = "minmax",
         percentile: float = 99.99, seed: int = 0, inputs: int = CALIBRATION_SAMPLES) -> Loaded:
    """Read a network and samples, and quantize the network by them if it is not.

    Parameters
    ----------
    path, samples : :class:`pathlib.Path`
        Files. Without samples there are random inputs; floating-point networks need samples.
    scale : :class:`float`, optional
        Real value of a 1 in the samples.
    calibration, percentile :
        As in :func:`eieio.model.graph.calibration.calibrate`.
    seed : :class:`int`
        Seed of the random inputs.
    inputs : :class:`int`
        Number of random inputs.
    """
    with progress(f"Loading {path.name}"):
        file = NetworkFile(path, chosen_output())
    if samples is None:
        with progress(f"Quantizing {path.name}"):
            graph = file.quantize()
        _note_segments(graph)
        note("no samples are given: inputs are random integers")
        return Loaded(graph, None, Samples(random_inputs(graph.input, inputs, seed), None))
    with progress(f"Reading {samples.name}"):
        taken = file.read_samples(samples, scale)
    with progress(f"Quantizing {path.name}"):
        graph = file.quantize(taken.x[:CALIBRATION_SAMPLES], calibration, percentile)
    if file.reference is None and file.needs_samples:
        note("the file leaves activations in real numbers: their ranges are measured on the "
             "samples")
    _note_segments(graph)
    return Loaded(graph, file.reference, taken)


def _note_segments(graph: QuantizedGraph) -> None:
    stacks = sum(isinstance(operator, Stack) for operator in graph.operators)
    if stacks:
        note(f"real numbers of the file lie in segments, for {stacks} sums or means: this costs "
             "layers, which quantizers in front of them would save")


def random_inputs(tensor: Tensor, count: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw inputs: float32 array of shape (count, and the shape of the tensor)."""
    q = np.random.default_rng(seed).integers(-128, 128, (count, *tensor.shape)).astype(np.int8)
    return tensor.dequantize(q).astype(np.float32)


def compile_network(graph: QuantizedGraph, options: dict[str, Any], batch: int, *,
                    exact: bool = False) -> CompiledGraph:
    """Compile a network for an engine that fits it."""
    with progress("Compiling"):
        return compile_fitted(graph, options, batch=batch, exact=exact)


def write_design(folder: Path, config: SystolicConfig, compiled: CompiledGraph | None) -> Design:
    """Write Verilog, and network and image if there are, and the manifest."""
    with progress("Emitting Verilog"):
        write(emit_engine(config), folder / RTL)
    if compiled is not None:
        graph_file.write(folder / GRAPH, compiled.graph)
        systolic_image.write(folder / IMAGE, compiled)
    return write_manifest(folder, engine="systolic", top=TOP, config=config.to_dict(),
                          network=compiled.graph.name if compiled else None)


def open_design(folder: Path) -> tuple[Design, CompiledGraph]:
    """Read a design with its network, and check that its image is of this network."""
    design = read_manifest(folder)
    for name in (GRAPH, IMAGE):
        if not (folder / name).is_file():
            raise InputError(f"{folder} must hold {name}: generate the design from a network")
    image = systolic_image.read(folder / IMAGE)
    if image.config.to_dict() != design.config:
        raise InputError(f"{folder / IMAGE} must be for the engine in {MANIFEST}")
    with progress("Compiling"):
        compiled = compile_graph(graph_file.read(folder / GRAPH), image.config, batch=image.batch)
    if not np.array_equal(compiled.image(), image.words):
        raise InputError(f"{folder / IMAGE} must be the image of {GRAPH}")
    return design, compiled


def build_simulation(compiled: CompiledGraph, simulator: str, *, folder: Path | None = None,
                     design: Design | None = None, waves: bool = False) -> runner.Build:
    """Build the simulation of a design's own Verilog, or of Verilog that is not kept."""
    with progress(f"Building the simulation ({simulator})"):
        if folder is None or design is None:
            return build_engine(compiled.config, simulator=simulator, waves=waves)
        return runner.build(design.sources(folder), design.top, simulator=simulator, waves=waves)


def group(x: NDArray[np.int8], compiled: CompiledGraph) -> NDArray[np.int8]:
    """Arrange samples as inferences: shape (inferences, batch, and the shape of the input).

    The last batch is filled up with zeros.
    """
    batch = compiled.batch
    missing = -len(x) % batch
    rest = np.full((missing, *x.shape[1:]), compiled.graph.input.zero_point, np.int8)
    return np.concatenate([x, rest]).reshape(-1, batch, *x.shape[1:])


def simulate(compiled: CompiledGraph, x: NDArray[np.int8], built: runner.Build,
             waves: Path | None = None) -> Comparison:
    """Run samples on the RTL, beside the golden and the cycle model."""
    inferences = group(x, compiled)
    with simulation_folder(len(inferences), built, waves) as folder:
        return compare(compiled, inferences, built, folder=folder)


def run_golden(graph: QuantizedGraph, x: NDArray[np.int8]) -> NDArray[np.int8]:
    """Compute outputs by the golden model: shape (samples, and the shape of the output)."""
    return np.concatenate([run_graph(graph, x[start:start + _TOGETHER])[graph.output.name]
                           for start in range(0, len(x), _TOGETHER)])


def run_float(graph: FloatGraph, x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute outputs in floating point: shape (samples, and the shape of the output)."""
    return np.concatenate([float_graph.run(graph, x[start:start + _TOGETHER])[graph.output.name]
                           for start in range(0, len(x), _TOGETHER)])


def layer_snr(loaded: Loaded) -> dict[str, float | None]:
    """Compare real numbers and integers by operator, in dB; of some samples, where both are known.

    What rounded before an operator is included. None stands for what is all 0, or exact.
    """
    graph, reference = loaded.graph, loaded.reference
    if reference is None:
        return {}
    x = loaded.samples.x[:_TOGETHER]
    real = float_graph.run(reference, x)
    integers = run_graph(graph, graph.input.quantize(x))
    ratios: dict[str, float | None] = {}
    for operator in graph.operators:
        tensor = operator.output
        signal = real.get(tensor.name)
        if signal is not None and signal.shape == integers[tensor.name].shape:
            error = tensor.dequantize(integers[tensor.name]) - signal
            ratios[operator.name] = signal_to_noise(float(np.square(signal).sum()),
                                                    float(np.square(error).sum()))
    return ratios


def run_host(compiled: CompiledGraph, results: NDArray[np.int8]) -> NDArray[np.int8]:
    """Compute what the engine leaves to the host.

    Parameters
    ----------
    compiled : CompiledGraph
        Network.
    results : int8 array of shape (samples, and the shape of the engine's result)
        What the engine sent.

    Returns
    -------
    int8 array of shape (samples, and the shape of the network's output)
        Outputs.
    """
    for operator in compiled.host_operators:
        results = run_operator(operator, results)
    return results
