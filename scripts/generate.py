"""``eieio generate``: Verilog and image of an engine."""

from pathlib import Path
from typing import Any

import click

from eieio.model.formats.design_folder import MANIFEST, output_folder
from eieio.scripts import steps
from eieio.scripts.console import check_writable, show, table, write_json
from eieio.scripts.engine import EngineCommand, choose_engine, engine_options
from eieio.scripts.figures import choice_lines, compiled_figures, show_parts
from eieio.scripts.options import family_option, json_option, sample_options

__all__ = ["generate"]


@click.command(cls=EngineCommand,
               short_help="Write an engine in Verilog, with the image of a network.")
@click.argument("network_or_config", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="Folder to make; an earlier design in it is replaced.")
@sample_options
@engine_options
@family_option
@json_option
def generate(network_or_config: Path, out: Path, samples: Path | None, input_scale: float | None,
             engine: str | None, options: dict[str, Any], family: str | None,
             json_file: Path | None) -> None:
    """Write the Verilog of an engine for the file NETWORK_OR_CONFIG.

    A network is compressed or quantized as its engine wants it, and compiled into the image that
    the engine loads. Memories get the depths that the network needs, rounded up to powers of two
    ('eieio synthesize', which knows the board, takes exact ones where these do not fit); a depth
    that is given and too small is an error that says how much is needed.

    For a .json file with options of the engine, such as {"pes": 32, "entry_depth": 8192}, there is
    Verilog alone: an engine for any network that fits. The design.json of an earlier design will
    do, too.

    The Verilog is portable: any tool simulates and synthesizes it, but where 'eieio export
    --family' says otherwise. The folder --out then holds what 'eieio build' writes.

    \b
    Examples:
      eieio generate lenet.eie --samples mnist_test.npz --pes 64 --queue-depth 16 --out design
      eieio generate engine.json --out design
    """  # noqa: D301
    check_writable(json_file)
    choice = choose_engine(engine, options, network_or_config)
    compiled = None
    with output_folder(out) as folder:
        if choice.has_network:
            compiled = steps.prepare(choice, samples, input_scale).compile(choice.options)
        config = choice.config() if compiled is None else compiled.config
        design = steps.write_design(folder, config, compiled, family=family)
    figures: dict[str, Any] = {"engine": choice.engine.name, "network": None, "choices": [],
                               "config": design.config, "layers": [], "image_bytes": 0}
    if compiled is not None:
        figures |= compiled_figures(compiled, precise=True)
    figures |= {"out": str(out), "files": [*design.files, MANIFEST]}
    write_json(json_file, figures)
    show(table(("option", "value"), [(name, str(value))
                                     for name, value in design.config.items()]))
    if compiled is not None:
        show_parts(*compiled.tables(figures), *choice_lines(figures["choices"]))
        show(f"Image: {figures['image_bytes']:,} bytes")
    steps.show_files(design, out, json_file)
