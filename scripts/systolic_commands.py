"""What ``build``, ``generate``, ``simulate`` and ``infer`` do for the systolic engine."""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.design_folder import MANIFEST, output_folder
from eieio.model.formats.samples import Samples
from eieio.model.graph.calibration import Method
from eieio.model.graph.quantized_graph import QuantizedGraph, WeightedOperator
from eieio.model.sparse.report import accuracy
from eieio.model.systolic.fitting import make_config
from eieio.scripts import steps, systolic_steps
from eieio.scripts.console import note, progress, show, table, write_json
from eieio.scripts.figures import accuracy_table
from eieio.scripts.options import read_config
from eieio.scripts.systolic_figures import network_figures, summary, systolic_figures

__all__ = ["Quantizing", "build", "generate", "infer", "simulate"]


@dataclass(frozen=True)
class Quantizing:
    """How a network becomes integers.

    Attributes
    ----------
    samples : :class:`pathlib.Path` or None
        File of samples.
    scale : :class:`float` or None
        Real value of a 1 in it.
    batch : :class:`int`
        Samples of an inference.
    calibration, percentile :
        As in :func:`eieio.model.graph.calibration.calibrate`.
    """

    samples: Path | None
    scale: float | None
    batch: int
    calibration: Method
    percentile: float

    def load(self, network: Path, *, seed: int = 0, inputs: int = steps.CALIBRATION_SAMPLES
             ) -> systolic_steps.Loaded:
        """Load a network: see :func:`eieio.scripts.systolic_steps.load`."""
        return systolic_steps.load(network, self.samples, self.scale, seed=seed, inputs=inputs,
                                   calibration=self.calibration, percentile=self.percentile)

    def read(self, path: Path, graph: QuantizedGraph) -> Samples:
        """Read a file of inputs for a network."""
        return steps.read_inputs(path, graph, self.scale)


def build(ctx: click.Context, network: Path, out: Path, count: int, quantizing: Quantizing,
          seed: int, options: dict[str, Any], simulator: str, json_file: Path | None) -> None:
    """Go the whole way from a network to verified hardware."""
    make_config(options)
    with output_folder(out) as folder:
        loaded = quantizing.load(network, seed=seed)
        graph, samples = loaded.graph, loaded.samples
        if count > len(samples.x):
            raise InputError(f"Option --simulate must be at most {len(samples.x)}, the number of "
                             f"samples, not {count}")
        compiled = systolic_steps.compile_network(graph, options, quantizing.batch)
        design = systolic_steps.write_design(folder, compiled.config, compiled)
        weights = [operator.weight for operator in graph.operators
                   if isinstance(operator, WeightedOperator)]
        figures: dict[str, Any] = {
            "engine": "systolic", "simulator": simulator if count else None,
            **network_figures(compiled), "parameters": sum(weight.size for weight in weights),
            "samples": len(samples.x), "calibration": None, "calibration_samples": 0,
            "accuracy_float": None, "accuracy_integer": None,
        }
        if loaded.reference is not None:
            figures |= {"calibration": quantizing.calibration, "calibration_samples": min(
                len(samples.x), steps.CALIBRATION_SAMPLES)}
        if samples.labels is not None:
            with progress("Measuring the accuracy"):
                golden = systolic_steps.run_golden(graph, graph.input.quantize(samples.x))
                figures["accuracy_integer"] = _accuracy(golden, samples.labels)
                if loaded.reference is not None:
                    figures["accuracy_float"] = _accuracy(
                        systolic_steps.run_float(loaded.reference, samples.x), samples.labels)
        comparison = None
        if count:
            built = systolic_steps.build_simulation(compiled, simulator, folder=folder,
                                                    design=design)
            comparison = systolic_steps.simulate(
                compiled, graph.input.quantize(samples.x[:count]), built)
    figures |= systolic_figures(compiled, comparison, count)
    _add_snr(figures, loaded)
    figures |= {"out": str(out), "files": [*design.files, MANIFEST]}
    write_json(json_file, figures)
    show(accuracy_table(figures, figures["samples"]), *summary(figures))
    steps.show_files(design, out, json_file)
    steps.mismatch(ctx, figures["mismatches"], figures["cycle_mismatches"])


def _add_snr(figures: dict[str, Any], loaded: systolic_steps.Loaded) -> None:
    """Add to the layers' figures how exact their integers are, where real numbers are known."""
    with progress("Measuring the integers' precision"):
        ratios = systolic_steps.layer_snr(loaded)
    for layer in figures["layers"]:
        layer["snr_db"] = ratios.get(layer["name"])


def _accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    return accuracy(outputs.reshape(len(outputs), -1), labels)


def generate(network_or_config: Path, out: Path, quantizing: Quantizing, options: dict[str, Any],
             json_file: Path | None) -> None:
    """Write the Verilog of an engine, and the image of a network if there is one."""
    compiled = loaded = None
    with output_folder(out) as folder:
        if network_or_config.suffix.lower() == ".json":
            config = make_config(read_config(network_or_config, "systolic") | options)
        else:
            make_config(options)
            loaded = quantizing.load(network_or_config)
            compiled = systolic_steps.compile_network(loaded.graph, options, quantizing.batch)
            config = compiled.config
        design = systolic_steps.write_design(folder, config, compiled)
    figures: dict[str, Any] = {"engine": "systolic", "network": None, "config": design.config,
                               "layers": [], "image_bytes": 0}
    if compiled is not None and loaded is not None:
        figures |= network_figures(compiled) | systolic_figures(compiled, None)
        _add_snr(figures, loaded)
    figures |= {"out": str(out), "files": [*design.files, MANIFEST]}
    write_json(json_file, figures)
    show(table(("option", "value"), [(name, str(value))
                                     for name, value in design.config.items()]))
    if compiled is not None:
        show(summary(figures)[0], f"Image: {figures['image_bytes']:,} bytes")
    steps.show_files(design, out, json_file)


def simulate(ctx: click.Context, design_or_network: Path, quantizing: Quantizing,
             count: int | None, waves: Path | None, simulator: str, options: dict[str, Any],
             json_file: Path | None) -> None:
    """Run the RTL, and compare it with the models; ``quantizing.samples`` are the inputs."""
    folder = design = None
    inputs = count or 10
    if design_or_network.is_dir():
        folder = design_or_network
        design, compiled = systolic_steps.open_design(folder)
        graph = compiled.graph
        if quantizing.samples is not None:
            x = quantizing.read(quantizing.samples, graph).x
        else:
            note("no inputs are given: they are random integers")
            x = systolic_steps.random_inputs(graph.input, inputs)
    else:
        make_config(options)
        loaded = quantizing.load(design_or_network, inputs=inputs)
        compiled = systolic_steps.compile_network(loaded.graph, options, quantizing.batch)
        x = loaded.samples.x
    if count is not None and count > len(x):
        raise InputError(f"Option --count must be at most {len(x)}, the number of inputs, not "
                         f"{count}")
    x = x[:count]
    built = systolic_steps.build_simulation(compiled, simulator, folder=folder, design=design,
                                            waves=waves is not None)
    recorded = None if waves is None else waves.with_suffix(f".{built.waves}")
    comparison = systolic_steps.simulate(compiled, compiled.graph.input.quantize(x), built,
                                         recorded)
    figures = {"engine": "systolic", "simulator": simulator, **network_figures(compiled),
               **systolic_figures(compiled, comparison, len(x)),
               "waves": None if recorded is None else str(recorded)}
    write_json(json_file, figures)
    show(*summary(figures))
    if recorded is not None:
        show(f"Waveforms: {recorded}")
    steps.mismatch(ctx, comparison.mismatches, comparison.cycle_mismatches)


def infer(ctx: click.Context, network_or_design: Path, input_file: Path, output: Path, target: str,
          integers: bool, quantizing: Quantizing, options: dict[str, Any], simulator: str,
          json_file: Path | None) -> None:
    """Run inputs on the golden model or the RTL, and write the outputs."""
    folder = design = None
    if network_or_design.is_dir():
        folder = network_or_design
        design, compiled = systolic_steps.open_design(folder)
    else:
        make_config(options)
        if quantizing.samples is None:
            quantizing = replace(quantizing, samples=input_file)
        loaded = quantizing.load(network_or_design)
        if loaded.reference is not None and quantizing.samples == input_file:
            note("no samples are given: the inputs calibrate the integers' ranges")
        compiled = systolic_steps.compile_network(loaded.graph, options, quantizing.batch)
    graph = compiled.graph
    inputs = quantizing.read(input_file, graph).x
    x = graph.input.quantize(inputs)
    ends = graph.input.dequantize(np.array([-128, 127], np.int8)) + np.array(
        [-0.5, 0.5]) * graph.input.scale
    figures: dict[str, Any] = {
        "engine": "systolic", "on": target, **network_figures(compiled), "samples": len(x),
        "input_scale": graph.input.scale, "output_scale": graph.output.scale,
        "output_zero_point": graph.output.zero_point,
        "saturated_inputs": int(np.count_nonzero((inputs < ends[0]) | (inputs > ends[1]))),
        "output_file": str(output),
    }
    if figures["saturated_inputs"]:
        note(f"{figures['saturated_inputs']} inputs are beyond the calibrated range and saturate")
    if target == "rtl":
        built = systolic_steps.build_simulation(compiled, simulator, folder=folder, design=design)
        comparison = systolic_steps.simulate(compiled, x, built)
        results = comparison.rtl.outputs.reshape(-1, *compiled.result.shape)[:len(x)]
        y = systolic_steps.run_host(compiled, results)
        figures |= {"simulator": simulator, **systolic_figures(compiled, comparison, len(x))}
    else:
        with progress(f"Computing {len(x):,} inferences"):
            y = systolic_steps.run_golden(graph, x)
    buffer = io.BytesIO()
    np.save(buffer, y if integers else graph.output.dequantize(y).astype(np.float32))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(output, buffer.getvalue())
    write_json(json_file, figures)
    if target == "rtl":
        show(*summary(figures))
    show(f"Outputs written: {output}, {'int8' if integers else 'float32'} of shape {y.shape}, "
         f"in steps of {graph.output.scale:.6g}")
    if target == "rtl":
        steps.mismatch(ctx, figures["mismatches"], figures["cycle_mismatches"])
