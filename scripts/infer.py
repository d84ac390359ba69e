"""``eieio infer``: run inputs on the golden model or the RTL and keep the outputs."""

import io
from pathlib import Path
from typing import Any

import click
import numpy as np

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes
from eieio.model.graph.calibration import Method
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.network import end
from eieio.scripts import steps, systolic_commands
from eieio.scripts.console import check_writable, note, progress, show, write_json
from eieio.scripts.figures import simulation_figures, simulation_tables
from eieio.scripts.options import (
    any_engine_options,
    choose_engine,
    json_option,
    not_for_design,
    only_for,
    quantization_options,
    sample_options,
    simulator_options,
)

__all__ = ["infer"]


@click.command(short_help="Run inputs on the golden model or the RTL; keep the outputs.")
@click.argument("network_or_design", type=click.Path(path_type=Path))
@click.option("--input", "input_file", type=click.Path(path_type=Path), required=True,
              help="Inputs: an .npy file of shape (samples, inputs), or an .npz file with these "
              "under the key x.")
@click.option("--output", type=click.Path(path_type=Path), required=True,
              help="Outputs: .npy file to write, of shape (samples, outputs).")
@click.option("--on", "target", type=click.Choice(["golden", "rtl"]), default="golden",
              show_default=True, help="What computes: the golden model in NumPy, or the simulated "
              "RTL.")
@click.option("--integers", is_flag=True,
              help="Write the engine's integers (int8, or int32 of more than 8 bits), not real "
              "numbers (float32).")
@sample_options
@simulator_options
@quantization_options
@any_engine_options
@json_option
@click.pass_context
def infer(ctx: click.Context, network_or_design: Path, input_file: Path, output: Path, target: str,
          integers: bool, samples: Path | None, input_scale: float | None, simulator: str,
          batch: int, calibration: Method, percentile: float, engine: str | None,
          options: dict[str, Any], json_file: Path | None) -> None:
    """Run inputs through NETWORK_OR_DESIGN as the hardware does, and write the outputs.

    This is for comparing with another framework. Inputs are real numbers; they are rounded to
    integers, and those beyond the calibrated range saturate. The outputs are the engine's integers
    times their scale; softmax at the end of a network, or its logarithm, is done by the host.
    Images are written in the order height, width, channels.

    A design is a folder that 'eieio generate' or 'eieio build' made, with the ranges in its image.
    The file of a network is quantized first; --samples calibrates the ranges, or without them the
    inputs themselves.

    \b
    Examples:
      eieio infer lenet.npz --samples mnist_test.npz --input x.npy --output y.npy
      eieio infer design --input x.npy --output y.npy --on rtl
    """  # noqa: D301
    if output.suffix.lower() != ".npy":
        raise InputError(f"{output} must end in .npy")
    check_writable(output)
    check_writable(json_file)
    engine = choose_engine(engine, options, network_or_design)
    only_for(ctx, engine, "systolic", "batch", "calibration", "percentile")
    not_for_design(ctx, network_or_design, "samples", "batch", "calibration", "percentile")
    if engine == "systolic":
        quantizing = systolic_commands.Quantizing(samples, input_scale, batch, calibration,
                                                  percentile)
        systolic_commands.infer(ctx, network_or_design, input_file, output, target, integers,
                                quantizing, options, simulator, json_file)
        return
    folder = design = None
    if network_or_design.is_dir():
        folder = network_or_design
        design, compiled = steps.open_design(folder)
        inputs = steps.read_inputs(input_file, compiled.network, input_scale)
    else:
        loaded = steps.load_any(network_or_design)
        inputs = steps.samples_or_random(input_file, loaded, input_scale)
        typical = inputs
        if samples is None and not isinstance(loaded, QuantizedGraph):
            note("no samples are given: the inputs calibrate the integers' ranges")
        elif samples is not None:
            typical = steps.samples_or_random(samples, loaded, input_scale)
        compiled = steps.compile_shared(steps.prepare(loaded, options), typical,
                                        options).compiled
    network = compiled.network
    x = network.quantize_input(inputs.x)
    tensor = network.input
    low, high = ((end - tensor.zero_point + half) * tensor.scale for end, half in (
        (tensor.minimum, -0.5), (tensor.maximum, 0.5)))
    figures: dict[str, Any] = {
        "network": network.name, "engine": engine, "on": target,
        "config": compiled.config.to_dict(), "samples": len(x),
        "input_scale": network.input.scale, "output_scale": network.output.scale,
        "saturated_inputs": int(np.count_nonzero((inputs.x < low) | (inputs.x > high))),
        "output": str(output),
    }
    if figures["saturated_inputs"]:
        note(f"{figures['saturated_inputs']} inputs are beyond the calibrated range and saturate")
    if target == "rtl":
        built = steps.build_simulation(compiled, simulator, folder=folder, design=design)
        comparison = steps.simulate_design(compiled, x, built)
        y = compiled.finish(comparison.rtl.outputs)
        figures |= {"simulator": simulator, **simulation_figures(comparison)}
    else:
        with progress(f"Computing {len(x):,} inferences"):
            y = compiled.finish(compiled.run(x)[-1])
    buffer = io.BytesIO()
    if integers and network.ending != "none":
        note(f"the integers are those in front of the {network.ending}, which the host computes")
    np.save(buffer, y if integers else end(network.ending, network.dequantize_output(y)))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(output, buffer.getvalue())
    write_json(json_file, figures)
    if target == "rtl":
        show(*simulation_tables(figures))
    show(f"Outputs written: {output}, {y.dtype if integers else 'float32'} of shape {y.shape}, "
         f"in steps of {network.output.scale:.6g}")
    if target == "rtl":
        steps.mismatch(ctx, figures["mismatches"], figures["cycle_mismatches"])
