"""``eieio simulate``: run the RTL and compare it with the models."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from eieio.model.errors import InputError
from eieio.model.graph.calibration import Method
from eieio.scripts import steps, systolic_commands
from eieio.scripts.console import check_writable, note, show, write_json
from eieio.scripts.figures import simulation_figures, simulation_tables
from eieio.scripts.options import (
    any_engine_options,
    choose_engine,
    input_scale_option,
    json_option,
    not_for_design,
    only_for,
    quantization_options,
    simulator_options,
)
from eieio.scripts.speed import interval_lines, network_speed_of

__all__ = ["simulate"]


@click.command(short_help="Run a design's RTL; compare it with the golden and the cycle model.")
@click.argument("design_or_network", type=click.Path(path_type=Path))
@click.option("--input", "input_file", type=click.Path(path_type=Path),
              help="Inputs: an .npy file of shape (samples, inputs), or an .npz file with these "
              "under the key x. Default: random inputs.")
@click.option("--count", type=click.IntRange(min=1),
              help="Run this many of the inputs, from the first on. Default: all, or 10 random "
              "ones.")
@input_scale_option
@click.option("--waves", type=click.Path(path_type=Path), metavar="FILE.fst",
              help="Record waveforms into this file: FST, or VCD (and .vcd) where lz4's headers "
              "for FST are missing.")
@simulator_options
@quantization_options
@any_engine_options
@json_option
@click.pass_context
def simulate(ctx: click.Context, design_or_network: Path, input_file: Path | None,
             count: int | None, input_scale: float | None, waves: Path | None, simulator: str,
             batch: int, calibration: Method, percentile: float, engine: str | None,
             options: dict[str, Any], json_file: Path | None) -> None:
    """Simulate DESIGN_OR_NETWORK and compare every integer of every layer, and every cycle count.

    A design is a folder that 'eieio generate' or 'eieio build' made: its Verilog is simulated, with
    its image. For the file of a network, an engine is generated as 'eieio generate' does, with the
    inputs as samples.

    The exit status is 1 if the RTL differs from the golden model or the cycle model anywhere.

    \b
    Examples:
      eieio simulate design --input mnist_test.npz --count 100
      eieio simulate design --count 1 --waves run.fst
      eieio simulate lenet.npz --input mnist_test.npz --count 5 --pes 4 --simulator icarus
    """  # noqa: D301
    check_writable(json_file)
    check_writable(waves)
    engine = choose_engine(engine, options, design_or_network)
    only_for(ctx, engine, "systolic", "batch", "calibration", "percentile")
    not_for_design(ctx, design_or_network, "batch", "calibration", "percentile")
    if engine == "systolic":
        quantizing = systolic_commands.Quantizing(input_file, input_scale, batch, calibration,
                                                  percentile)
        systolic_commands.simulate(ctx, design_or_network, quantizing, count, waves, simulator,
                                   options, json_file)
        return
    folder = design = None
    if design_or_network.is_dir():
        folder = design_or_network
        design, compiled = steps.open_design(folder)
        tensor = compiled.network.input
        if input_file is not None:
            inputs = steps.read_inputs(input_file, compiled.network, input_scale).x
        elif not tensor.symmetric:
            note("no inputs are given: they are random integers")
            inputs = steps.random_inputs(tensor, count or 10)
        else:
            note("no inputs are given: they are random, from 0 to 0.8 of the range")
            inputs = np.random.default_rng(0).random((count or 10, tensor.elements)) * (
                0.8 * tensor.maximum * tensor.scale)
    else:
        loaded = steps.load_any(design_or_network)
        samples = steps.samples_or_random(input_file, loaded, input_scale)
        compiled = steps.compile_shared(steps.prepare(loaded, options), samples,
                                        options).compiled
        inputs = samples.x if input_file is not None else samples.x[:count or 10]
    if count is not None and count > len(inputs):
        raise InputError(f"Option --count must be at most {len(inputs)}, the number of inputs, "
                         f"not {count}")
    x = compiled.network.quantize_input(inputs[:count])
    built = steps.build_simulation(compiled, simulator, folder=folder, design=design,
                                   waves=waves is not None)
    recorded = None if waves is None else waves.with_suffix(f".{built.waves}")
    comparison = steps.simulate_design(compiled, x, built, recorded)
    speed = network_speed_of(compiled, float(comparison.rtl.layer_cycles.sum(axis=1).mean()))
    figures: dict[str, Any] = {
        "network": compiled.network.name, "engine": engine, "simulator": simulator,
        "config": compiled.config.to_dict(), **simulation_figures(comparison), **speed.cycles(),
        "waves": None if recorded is None else str(recorded),
    }
    write_json(json_file, figures)
    show(*simulation_tables(figures), *interval_lines(figures["interval"]))
    if recorded is not None:
        show(f"Waveforms: {recorded}")
    steps.mismatch(ctx, comparison.mismatches, comparison.cycle_mismatches)
