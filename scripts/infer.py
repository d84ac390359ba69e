"""``eieio infer``: run inputs on the golden model or the RTL and keep the outputs."""

import io
from pathlib import Path
from typing import Any

import click
import numpy as np

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes
from eieio.scripts import steps
from eieio.scripts.console import check_writable, note, progress, show, write_json
from eieio.scripts.engine import EngineCommand, choose_engine, engine_options
from eieio.scripts.figures import compiled_figures, show_compiled
from eieio.scripts.options import json_option, sample_options, simulator_options

__all__ = ["infer"]


@click.command(cls=EngineCommand,
               short_help="Run inputs on the golden model or the RTL; keep the outputs.")
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
              help="Write the engine's integers, not real numbers (float32).")
@sample_options
@simulator_options
@engine_options
@json_option
@click.pass_context
def infer(ctx: click.Context, network_or_design: Path, input_file: Path, output: Path, target: str,
          integers: bool, samples: Path | None, input_scale: float | None, simulator: str,
          engine: str | None, options: dict[str, Any], json_file: Path | None) -> None:
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
    choice = choose_engine(engine, options, network_or_design)
    folder = None
    if choice.design is not None:
        if samples is not None:
            raise click.UsageError("Option --samples goes with a network, not with a design, whose "
                                   "ranges are fixed")
        folder = network_or_design
        compiled = steps.open_design(choice)
    else:
        prepared = steps.prepare(choice, samples or input_file, input_scale)
        if samples is None and prepared.calibrates:
            note("no samples are given: the inputs calibrate the integers' ranges")
        compiled = prepared.compile(choice.options)
    x = compiled.read_samples(input_file, input_scale).x
    host = compiled.host
    figures: dict[str, Any] = {
        "engine": choice.engine.name, "on": target, "output": str(output), **compiled.figures(),
        "samples": len(x), "input_scale": host.input_numbers.scale,
        "output_scale": host.output_numbers.scale,
        "output_zero_point": host.output_numbers.zero_point,
        "saturated_inputs": int(np.count_nonzero(host.input_numbers.saturates(x))),
        "output_file": str(output),
    }
    if figures["saturated_inputs"]:
        note(f"{figures['saturated_inputs']} inputs are beyond the calibrated range and saturate")
    if target == "rtl":
        built = steps.build_simulation(compiled, x, simulator, folder=folder,
                                       design=choice.design)
        comparison = steps.simulate(compiled, x, built)
        y = compiled.finish(comparison.outputs)[:len(x)]
        figures |= {"simulator": simulator, **compiled_figures(compiled, comparison, len(x))}
    else:
        with progress(f"Computing {len(x):,} inferences"):
            y = compiled.finish(compiled.run(compiled.quantize(x)))
    if integers and compiled.ending is not None:
        note(f"the integers are those in front of the {compiled.ending}, which the host computes")
    written = y if integers else compiled.real(y)
    buffer = io.BytesIO()
    np.save(buffer, written)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(output, buffer.getvalue())
    write_json(json_file, figures)
    if target == "rtl":
        show_compiled(compiled, figures)
    show(f"Outputs written: {output}, {written.dtype} of shape {written.shape}, in steps of "
         f"{figures['output_scale']:.6g}")
    if target == "rtl":
        steps.mismatch(ctx, figures["mismatches"], figures["cycle_mismatches"])
