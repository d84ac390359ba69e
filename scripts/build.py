"""``eieio build``: the whole way from a network to verified hardware."""

from pathlib import Path
from typing import Any

import click

from eieio.model.errors import InputError
from eieio.model.formats.design_folder import MANIFEST, output_folder
from eieio.scripts import steps
from eieio.scripts.console import check_writable, show, write_json
from eieio.scripts.engine import EngineCommand, choose_engine, engine_options
from eieio.scripts.figures import accuracy_table, design_figures, show_compiled, show_parts
from eieio.scripts.options import (
    family_option,
    json_option,
    sample_options,
    simulator_options,
)
from eieio.scripts.results import ResultFiles, profiles, result_options

__all__ = ["build"]


@click.command(cls=EngineCommand,
               short_help="Compress or quantize, compile, emit and verify in one go.")
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="Folder to make; an earlier design in it is replaced.")
@click.option("--simulate", "count", type=click.IntRange(min=0), default=10, show_default=True,
              help="Run this many of the samples, from the first on, on the RTL.")
@sample_options
@click.option("--seed", type=int, default=0, show_default=True,
              help="Seed of random starts and of random inputs.")
@engine_options
@simulator_options
@family_option
@json_option
@result_options
@click.pass_context
def build(ctx: click.Context, network: Path, out: Path, count: int, samples: Path | None,
          input_scale: float | None, seed: int, engine: str | None, options: dict[str, Any],
          simulator: str, family: str | None, json_file: Path | None,
          result_files: ResultFiles) -> None:
    """Go the whole way: from the file NETWORK to hardware that is proved to compute it.

    The network is compressed or quantized as its engine wants it, compiled, and the engine is
    written as Verilog. Then the RTL runs --simulate samples under cocotb; the integers of every
    layer and the cycles of every layer must equal the golden model's and the cycle model's.

    \b
    The folder --out then holds
      rtl/*.v, rtl/*.f   the engine in Verilog, and the list of its files
      network.*          the network as the engine has it, and the image that it loads
      design.json        the configuration and the list of files

    \b
    Example:
      eieio build lenet.npz --samples mnist_test.npz --out design --simulate 100 --json report.json
    """  # noqa: D301
    check_writable(json_file)
    choice = choose_engine(engine, options, network)
    with output_folder(out) as folder:
        prepared = steps.prepare(choice, samples, input_scale, seed=seed)
        x = prepared.samples.x
        if count > len(x):
            raise InputError(f"Option --simulate must be at most {len(x)}, the number of samples, "
                             f"not {count}")
        compiled = prepared.compile(choice.options)
        design = steps.write_design(folder, compiled.config, compiled, family=family)
        comparison = None
        if count:
            built = steps.build_simulation(compiled, x[:count], simulator, folder=folder,
                                           design=design, traced=result_files.traced)
            comparison = steps.simulate(compiled, x[:count], built, traced=result_files.traced)
    figures = design_figures(compiled, prepared, x, comparison, images=count,
                             simulator=simulator if count else None)
    figures |= {"out": str(out), "files": [*design.files, MANIFEST]}
    write_json(json_file, figures)
    result_files.write(figures, f"{compiled.name}, build", lambda: profiles(
        compiled, x[:max(count, 1)], comparison))
    show_parts(*prepared.tables(figures))
    show(accuracy_table(figures, figures["samples"]))
    show_compiled(compiled, figures)
    steps.show_files(design, out, json_file, result_files.files)
    steps.mismatch(ctx, figures["mismatches"], figures["cycle_mismatches"])
