"""``eieio build``: the whole way from a network to verified hardware."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from eieio.model.compress.stages import Compression, compress_network
from eieio.model.compress.weight_sharing import Initialisation
from eieio.model.errors import InputError
from eieio.model.formats.design_folder import MANIFEST, output_folder
from eieio.model.formats.samples import Samples
from eieio.model.graph.calibration import Method
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.sparse.choices import FittedNetwork
from eieio.model.sparse.report import accuracy
from eieio.scripts import steps, systolic_commands
from eieio.scripts.console import check_writable, progress, show, write_json
from eieio.scripts.figures import (
    accuracy_table,
    layout_tables,
    simulation_figures,
    simulation_tables,
    stage_table,
)
from eieio.scripts.options import (
    any_engine_options,
    choose_engine,
    compression_options,
    json_option,
    only_for,
    output_order_option,
    quantization_options,
    sample_options,
    simulator_options,
)
from eieio.scripts.speed import interval_lines, network_speed

__all__ = ["build"]


@click.command(short_help="Compress or quantize, compile, emit and verify in one go.")
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="Folder to make; an earlier design in it is replaced.")
@click.option("--simulate", "count", type=click.IntRange(min=0), default=10, show_default=True,
              help="Run this many of the samples, from the first on, on the RTL.")
@sample_options
@compression_options
@quantization_options
@output_order_option
@any_engine_options
@simulator_options
@json_option
@click.pass_context
def build(ctx: click.Context, network: Path, out: Path, count: int, samples: Path | None,
          input_scale: float | None, density: tuple[float, ...], quality: tuple[float, ...],
          initialisation: Initialisation, seed: int, batch: int, calibration: Method,
          percentile: float, engine: str | None, options: dict[str, Any], output_order: str,
          simulator: str, json_file: Path | None) -> None:
    """Go the whole way: from the file NETWORK to hardware that is proved to compute it.

    For the sparse engine the network is pruned (if --density or --quality is given), its weights
    are shared (unless they are already), Huffman-coded and quantized; a network of integers, such
    as a .tflite file of fully connected layers, is taken as it is. For the systolic engine
    (--engine systolic) it is quantized to 8 bits, if it is not, by --calibration on the samples;
    its file is .onnx or .tflite. It is compiled for the engine, and the engine is written as
    Verilog. Then the RTL runs --simulate samples under cocotb; the integers of every layer and the
    cycles of every layer must equal the golden model's and the cycle model's.

    \b
    The folder --out then holds
      rtl/*.v, rtl/*.f   the engine in Verilog, and the list of its files
      network.eie        the compressed network (sparse), or
      network.graph      the quantized network (systolic)
      network.image      the image that the engine loads
      design.json        the configuration and the list of files

    \b
    Examples:
      eieio build lenet.npz --samples mnist_test.npz --pes 16 --out design \\
          --simulate 100 --json report.json
      eieio build lenet_5.onnx --engine systolic --rows 8 --columns 8 --winograd 2 \\
          --samples mnist_test.npz --out design --simulate 10
    """  # noqa: D301
    check_writable(json_file)
    engine = choose_engine(engine, options, network)
    only_for(ctx, engine, "sparse", "density", "quality", "initialisation", "output_order")
    only_for(ctx, engine, "systolic", "batch", "calibration", "percentile")
    if engine == "systolic":
        quantizing = systolic_commands.Quantizing(samples, input_scale, batch, calibration,
                                                  percentile)
        systolic_commands.build(ctx, network, out, count, quantizing, seed, options, simulator,
                                json_file)
        return
    with output_folder(out) as folder:
        loaded = steps.load_any(network)
        taken = steps.samples_or_random(samples, loaded, input_scale, seed)
        if count > len(taken.x):
            raise InputError(f"Option --simulate must be at most {len(taken.x)}, the number of "
                             f"samples, not {count}")
        compression = None
        if isinstance(loaded, QuantizedGraph):
            for name in ("density", "quality", "initialisation"):
                if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
                    raise click.UsageError(f"Option --{name} goes with a network of real numbers, "
                                           f"not with one of integers, such as {network}")
            prepared = loaded
        else:
            with progress("Sharing weights"):
                compression = compress_network(
                    loaded, density=density, quality=quality, initialisation=initialisation,
                    code_width=options.get("code_width"), seed=seed)
            prepared = compression.shared
        fitted = steps.compile_shared(prepared, taken, options, output_order=output_order)
        compiled = fitted.compiled
        design = steps.write_design(folder, compiled.config, prepared, compiled)
        figures = _figures(compression, fitted, taken)
        figures |= steps.layout_figures(fitted, prepared, taken)
        figures["image_bytes"] = compiled.image().nbytes
        figures |= {"engine": engine, "simulator": simulator if count else None}
        comparison = None
        if count:
            built = steps.build_simulation(compiled, simulator, folder=folder, design=design)
            x = compiled.network.quantize_input(taken.x[:count])
            comparison = steps.simulate_design(compiled, x, built)
    speed = network_speed(compiled, taken)
    figures |= simulation_figures(comparison) | speed.cycles()
    figures |= {"out": str(out), "files": [*design.files, MANIFEST]}
    write_json(json_file, figures)
    show(*([] if compression is None else [stage_table(compression.stages())]),
         accuracy_table(figures, figures["samples"]),
         *layout_tables(figures), *simulation_tables(figures),
         *interval_lines(figures["interval"]))
    steps.show_files(design, out, json_file)
    steps.mismatch(ctx, figures["mismatches"], figures["cycle_mismatches"])


def _figures(compression: Compression | None, fitted: FittedNetwork,
             samples: Samples) -> dict[str, Any]:
    """Figures of the network: sizes, accuracies."""
    compiled = fitted.compiled
    matrices = [layer.matrix for layer in compiled.layers]
    parameters = sum(layer.weights.size for layer in compiled.layers)
    figures: dict[str, Any] = {
        "network": compiled.network.name,
        "parameters": parameters,
        "density": sum(matrix.entries - matrix.fillers for matrix in matrices) / parameters,
        "stages": [],
        "samples": len(samples.x),
        "calibration_samples": min(len(samples.x), steps.CALIBRATION_SAMPLES),
        "accuracy_float": None,
        "accuracy_compressed": None,
        "accuracy_integer": None,
    }
    if compression is not None:
        stages = compression.stages()
        last = stages[-1]
        figures |= {
            "parameters": compression.original.parameters,
            "density": last.density,
            "bits_per_weight": last.bits_per_weight,
            "bits_per_nonzero": last.bits_per_nonzero,
            "float32_bytes": stages[0].bytes,
            "compressed_bytes": last.bytes,
            "ratio": last.ratio,
            "stages": [stage.to_dict() for stage in stages],
        }
    if samples.labels is not None:
        with progress("Measuring the accuracy"):
            integers = compiled.run(compiled.network.quantize_input(samples.x))[-1]
            figures["accuracy_integer"] = accuracy(integers, samples.labels)
            if compression is not None:
                shared = compression.shared.to_network()
                figures |= {
                    "accuracy_float": accuracy(compression.original.forward(samples.x),
                                               samples.labels),
                    "accuracy_compressed": accuracy(shared.forward(samples.x), samples.labels),
                }
    return figures | {"config": compiled.config.to_dict()}
