"""``eieio simulate``: run the RTL and compare it with the models."""

from pathlib import Path
from typing import Any

import click

from eieio.model.errors import InputError
from eieio.scripts import steps
from eieio.scripts.console import check_writable, note, show, write_json
from eieio.scripts.engine import EngineCommand, choose_engine, engine_options
from eieio.scripts.figures import show_compiled, simulation_figures
from eieio.scripts.options import input_scale_option, json_option, simulator_options
from eieio.scripts.results import ResultFiles, profiles, result_options

__all__ = ["simulate"]

#: Random inputs, if neither they nor their number are given.
_INPUTS = 10


@click.command(cls=EngineCommand,
               short_help="Run a design's RTL; compare it with the golden and the cycle model.")
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
@engine_options
@json_option
@result_options
@click.pass_context
def simulate(ctx: click.Context, design_or_network: Path, input_file: Path | None,
             count: int | None, input_scale: float | None, waves: Path | None, simulator: str,
             engine: str | None, options: dict[str, Any], json_file: Path | None,
             result_files: ResultFiles) -> None:
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
    choice = choose_engine(engine, options, design_or_network)
    folder = None
    if choice.design is not None:
        folder = design_or_network
        compiled = steps.open_design(choice)
        if input_file is not None:
            x = compiled.read_samples(input_file, input_scale).x
        else:
            note("no inputs are given: they are random integers")
            x = compiled.random_inputs(count or _INPUTS)
    else:
        prepared = steps.prepare(choice, input_file, input_scale, random=count or _INPUTS)
        compiled = prepared.compile(choice.options)
        x = prepared.samples.x if input_file is not None else prepared.samples.x[:count or _INPUTS]
    if count is not None and count > len(x):
        raise InputError(f"Option --count must be at most {len(x)}, the number of inputs, not "
                         f"{count}")
    x = x[:count]
    built = steps.build_simulation(compiled, x, simulator, folder=folder, design=choice.design,
                                   waves=waves is not None, traced=result_files.traced)
    recorded = None if waves is None else waves.with_suffix(f".{built.waves}")
    comparison = steps.simulate(compiled, x, built, recorded, traced=result_files.traced)
    figures = simulation_figures(compiled, x, comparison, simulator, recorded)
    write_json(json_file, figures)
    result_files.write(figures, f"{compiled.name}, simulation", lambda: profiles(
        compiled, x, comparison))
    show_compiled(compiled, figures)
    result_files.show()
    if recorded is not None:
        show(f"Waveforms: {recorded}")
    steps.mismatch(ctx, comparison.mismatches, comparison.cycle_mismatches)
