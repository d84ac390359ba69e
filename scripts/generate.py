"""``eieio generate``: Verilog and image of an engine."""

from pathlib import Path
from typing import Any

import click

from eieio.model.formats.design_folder import MANIFEST, output_folder
from eieio.model.graph.calibration import Method
from eieio.model.sparse.config import SparseConfig
from eieio.scripts import steps, systolic_commands
from eieio.scripts.console import check_writable, show, table, write_json
from eieio.scripts.figures import layout_tables
from eieio.scripts.options import (
    any_engine_options,
    choose_engine,
    json_option,
    only_for,
    output_order_option,
    quantization_options,
    read_config,
    sample_options,
)

__all__ = ["generate"]


@click.command(short_help="Write an engine in Verilog, with the image of a network.")
@click.argument("network_or_config", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="Folder to make; an earlier design in it is replaced.")
@sample_options
@quantization_options
@output_order_option
@any_engine_options
@json_option
@click.pass_context
def generate(ctx: click.Context, network_or_config: Path, out: Path, samples: Path | None,
             input_scale: float | None, batch: int, calibration: Method, percentile: float,
             engine: str | None, options: dict[str, Any], output_order: str,
             json_file: Path | None) -> None:
    """Write the Verilog of an engine for the file NETWORK_OR_CONFIG.

    For a network, its weights are shared if they are not yet (sparse engine), it is quantized to
    integers, and compiled into the image that the engine loads. Memories get the depths that the
    network needs, rounded up to powers of two ('eieio synthesize', which knows the board, takes
    exact ones where these do not fit); a depth that is given and too small is an error that says
    how much is needed.

    For a .json file with options of the engine, such as {"pes": 32, "entry_depth": 8192}, there is
    Verilog alone: an engine for any network that fits. The design.json of an earlier design will
    do, too.

    \b
    The Verilog is portable: any tool simulates and synthesizes it, but for sparse engines on iCE40,
    which 'eieio export --family ice40' and 'eieio synthesize' write for those FPGAs.

    The folder --out then holds
      rtl/*.v, rtl/*.f   the engine in Verilog, and the list of its files
      network.eie        the compressed network (sparse), or
      network.graph      the quantized network (systolic)
      network.image      the image that the engine loads
      design.json        the configuration and the list of files

    \b
    Examples:
      eieio generate lenet.eie --samples mnist_test.npz --pes 64 --queue-depth 16 --out design
      eieio generate lenet_5.onnx --engine systolic --samples mnist_test.npz --out design
      eieio generate engine.json --engine systolic --out design
    """  # noqa: D301
    check_writable(json_file)
    engine = choose_engine(engine, options, network_or_config)
    only_for(ctx, engine, "systolic", "batch", "calibration", "percentile")
    only_for(ctx, engine, "sparse", "output_order")
    if engine == "systolic":
        quantizing = systolic_commands.Quantizing(samples, input_scale, batch, calibration,
                                                  percentile)
        systolic_commands.generate(network_or_config, out, quantizing, options, json_file)
        return
    network = compiled = None
    figures: dict[str, Any] = {"choices": [], "layers": []}
    with output_folder(out) as folder:
        if network_or_config.suffix.lower() == ".json":
            config = SparseConfig.from_dict(read_config(network_or_config) | options)
        else:
            loaded = steps.load_any(network_or_config)
            taken = steps.samples_or_random(samples, loaded, input_scale)
            network = steps.prepare(loaded, options)
            fitted = steps.compile_shared(network, taken, options, output_order=output_order)
            compiled = fitted.compiled
            figures = steps.layout_figures(fitted, network, taken)
            config = compiled.config
        design = steps.write_design(folder, config, network, compiled)
    figures |= {
        "engine": engine, "network": design.network, "config": design.config,
        "image_bytes": compiled.image().nbytes if compiled else 0,
        "out": str(out), "files": [*design.files, MANIFEST],
    }
    write_json(json_file, figures)
    show(table(("option", "value"), [(name, str(value)) for name, value in config.to_dict().items()]
               ))
    if compiled:
        show(table(("layer", "inputs", "outputs", "density", "entries", "fillers"), [
            (layer["name"], str(layer["inputs"]), str(layer["outputs"]), f"{layer['density']:.2%}",
             f"{layer['entries']:,}", f"{layer['fillers']:,}") for layer in figures["layers"]]),
             *layout_tables(figures), f"Image: {figures['image_bytes']:,} bytes")
    steps.show_files(design, out, json_file)
